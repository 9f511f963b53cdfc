"""A field was deleted, and its number not reserved.

Why: Sooner or later somebody uses the number again, for something else, and old records are then read as that.

Example: `int32 wind_gust = 8;` is gone, and `reserved 8;` does not stand in its place.

Instead: Write `reserved 8;` in the message, with the number of the field.

Confluent: Compatible (FIELD_REMOVED).
"""

from __future__ import annotations

from collections.abc import Sequence

from prism_protobuf.compatibility.kinds import covered, lonely
from prism_protobuf.compatibility.pairs import Problem, UnreadField, UnwrittenField
from prismlib.contracts.rules import Rule

RULE = Rule(
    "PRO024",
    "number-not-reserved",
    "Write `reserved 8;` in the message, with the number of the field.",
    frozenset({"wire"}),
)


def check(pair: UnreadField | UnwrittenField) -> Sequence[Problem]:
    one, ranges, newer, _ = lonely(pair)
    if covered(one.number, ranges):
        return ()
    return (Problem(f"{pair.place} is deleted, and its number {one.number} is not reserved", newer=newer),)
