"""A value of an enum was deleted, and its number not reserved.

Why: Sooner or later somebody uses the number again, for something else, and old records are then read as that.

Example: `DIVERTED = 3;` is gone, and `reserved 3;` does not stand in its place.

Instead: Write `reserved 3;` in the enum, with the number of the value.

Confluent: Compatible (ENUM_CONST_REMOVED).
"""

from __future__ import annotations

from collections.abc import Sequence

from prism_protobuf.compatibility.kinds import covered, sides
from prism_protobuf.compatibility.pairs import Enums, Problem
from prismlib.contracts.rules import Rule

RULE = Rule(
    "PRO035",
    "enum-number-not-reserved",
    "Write `reserved 3;` in the enum, with the number of the value.",
    frozenset({"wire"}),
)


def check(pair: Enums) -> Sequence[Problem]:
    reader, writer = pair.reader, pair.writer
    return [
        Problem(
            f"{names[0]} of enum {older.full_name} is deleted, and its number {number} is not reserved", names[0], side
        )
        for older, newer, side in sides(reader, writer)
        for number, names in older.values.items()
        if number not in newer.values and not covered(number, newer.reserved)
    ]
