"""By its aliases a field of the reader can be more than one written field, or two of them are the same written field.

What:
    A field of the reader matches a written field by its name and another one, or the same, by an alias; or two fields of the reader
    match one written field.

Why:
    The specification does not say which is meant. Java refuses the first, and of the second gives the value to whichever has the
    alias, so that the other is missing; other libraries decide the other way round.

Example:
    Written ``[{"name": "delay", "type": "int"}]``, read ``[{"name": "delay", "type": "int"}, {"name": "late_by", "type": "int",
    "aliases": ["delay"]}]``.

Instead:
    An alias belongs to a rename: the old name goes away in the same version that adds it.

Confluent:
    Agrees on the first. Calls the second compatible, although Avro Java then cannot decode a record; here it fails.
"""

from __future__ import annotations

from prism_avro.compatibility.pairs import Fields
from prism_avro.compatibility.wording import subject
from prismlib.contracts.rules import Rule

RULE = Rule(
    "AVR008",
    "ambiguous-alias",
    "Leave the alias out once nothing is written under it, or name each written field once.",
)


def check(pair: Fields) -> str | None:
    """Fields that cannot be told apart."""
    if len(pair.writers) > 1 and pair.writers[0] is pair.writers[1]:
        return f"{subject(pair.place)} has {pair.writers[0].name!r} twice among its name and aliases"
    if len(pair.writers) > 1:
        written = " and as ".join(repr(one.name) for one in pair.writers[:3])
        return f"{subject(pair.place)} is written as {written} at once, by its aliases"
    if pair.claimed is not None:
        written = pair.writers[0].name
        return f"{subject(pair.place)} and {pair.claimed.name!r} both read the written {written!r}, by an alias"
    return None
