"""A number that was reserved is used again.

Why: It was reserved because records have something else there. They are read as the new field.

Example: `reserved 8;` is gone, and there is `string remark = 8;`.

Instead: Take a number that was never used.

Confluent: Compatible: Confluent does not look at reserved numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

from prism_protobuf.compatibility.kinds import covered, lonely
from prism_protobuf.compatibility.pairs import Problem, UnreadField, UnwrittenField
from prismlib.contracts.rules import Rule

RULE = Rule(
    "PRO025",
    "reserved-number-used",
    "Take a number that was never used.",
    frozenset({"wire"}),
)


def check(pair: UnreadField | UnwrittenField) -> Sequence[Problem]:
    one, ranges, _, newer = lonely(pair)
    if not covered(one.number, ranges):
        return ()
    return (Problem(f"{pair.place} uses number {one.number}, which was reserved", newer=newer),)
