"""A released version was changed or removed.

Why: Records that name its id are out there, and were written with what it said before. A reader that resolves the id
now gets another schema, and decodes them wrongly or not at all. An id of a folder registry comes from the text, so
the old id is then known to nobody.

Example: `schemas/flights-value/v2.avsc` differs from what the git revision holds that the check was told to compare
with.

Instead: Restore the file as it was released. Put the change into `next.avsc`, or into the next number.
"""

from prismlib.contracts.rules import Rule

RULE = Rule("PSM001", "released-version-changed", "restore the released file, and put the change into a new version")
