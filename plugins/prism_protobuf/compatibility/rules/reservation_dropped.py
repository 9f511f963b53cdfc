"""Numbers that were reserved are reserved no more.

Why: Nobody uses them yet. But the next one who does meets no objection, and old records have something else there.

Example: `reserved 4, 8;` becomes `reserved 4;`.

Instead: Leave numbers reserved for ever.

Confluent: Compatible: Confluent does not look at reserved numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

from prism_protobuf.compatibility.kinds import sides, uncovered
from prism_protobuf.compatibility.model import Message
from prism_protobuf.compatibility.pairs import Enums, Messages, Problem
from prismlib.contracts.rules import Rule

RULE = Rule(
    "PRO038",
    "reservation-dropped",
    "Leave numbers reserved for ever.",
    frozenset({"wire"}),
)


def check(pair: Messages | Enums) -> Sequence[Problem]:
    found = []
    for older, newer, side in sides(pair.reader, pair.writer):
        used = newer.fields if isinstance(newer, Message) else newer.values
        dropped = uncovered(older.reserved, newer.reserved, used)
        if dropped is not None:
            found.append(
                Problem(f"number {dropped} of {older.full_name} was reserved, and is not any more", newer=side)
            )
    return found
