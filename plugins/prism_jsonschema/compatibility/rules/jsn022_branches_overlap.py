"""A value may be taken by two branches of the reader's `oneOf`.

Why: `oneOf` asks for exactly one branch: a value that two of them take is refused. Branches are known to differ by
their types, their constants, or by a required property that differs.

Example: written `{"oneOf": [{"type": "integer"}]}`, read `{"oneOf": [{"type": "integer"}, {"type": "number"}]}`.

Instead: Use `anyOf`, which says what is most often meant. Or give each branch a required property with a constant of
its own.

Confluent: adds branches to `oneOf` without looking at what they have in common, although the value 1 of the example is
then refused. This rule deviates and fails.
"""

from __future__ import annotations

from prism_jsonschema.compatibility.pairs import Overlap
from prismlib.contracts.rules import Rule

RULE = Rule(
    "JSN022", "branches-overlap", "use anyOf, or tell the branches apart by a required property with a constant"
)


def check(pair: Overlap) -> str | None:
    """Every pair of that kind is one."""
    return (
        f"{pair.place.subject}: what branch {pair.taken} of the reader's oneOf takes may also be taken by branch "
        f"{pair.other}, and is then refused"
    )
