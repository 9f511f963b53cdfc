"""A number of an enum that was reserved is used again.

Why: It was reserved because records have something else there. They are read as the new value.

Example: `reserved 3;` is gone, and there is `DELAYED = 3;`.

Instead: Take a number that was never used.

Confluent: Compatible: Confluent does not look at reserved numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

from prism_protobuf.compatibility.kinds import covered, sides
from prism_protobuf.compatibility.pairs import Enums, Problem
from prismlib.contracts.rules import Rule

RULE = Rule(
    "PRO036",
    "reserved-enum-number-used",
    "Take a number that was never used.",
    frozenset({"wire"}),
)


def check(pair: Enums) -> Sequence[Problem]:
    reader, writer = pair.reader, pair.writer
    return [
        Problem(f"{names[0]} of enum {newer.full_name} uses number {number}, which was reserved", names[0], side)
        for older, newer, side in sides(reader, writer)
        for number, names in newer.values.items()
        if number not in older.values and covered(number, older.reserved)
    ]
