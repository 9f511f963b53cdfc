"""The reader's enum lacks a number that the writer's has.

Why: The reader gets a number without a name. Code that decides by the name takes none of its branches.

Example: The writer's enum has `DIVERTED = 3;`, and the reader's has not.

Instead: Add the value to readers first, and have them ready for values that they do not know.

Confluent: Compatible (ENUM_CONST_REMOVED).
"""

from __future__ import annotations

from collections.abc import Sequence

from prism_protobuf.compatibility.kinds import unknown_values
from prism_protobuf.compatibility.pairs import Enums, Problem
from prismlib.contracts.rules import Rule

RULE = Rule(
    "PRO032",
    "enum-value-unknown-to-reader",
    "Add the value to readers first, and have them ready for values that they do not know.",
    frozenset({"consumer"}),
)


def check(pair: Enums) -> Sequence[Problem]:
    if pair.reader.closed:
        return ()
    return unknown_values(pair)
