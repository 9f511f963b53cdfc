"""The reader's enum is closed and lacks a number that the writer's has.

Why: The value is put among the unknown fields, and the field reads as its default: another value than was written.

Example: In proto2 the writer's enum has `DIVERTED = 3;`, and the reader's has not.

Instead: Add the value to readers first, or use an open enum (proto3, or `features.enum_type = OPEN`).

Confluent: Compatible (ENUM_CONST_REMOVED), and the policy `confluent` follows: no record fails.
"""

from __future__ import annotations

from collections.abc import Sequence

from prism_protobuf.compatibility.kinds import unknown_values
from prism_protobuf.compatibility.pairs import Enums, Problem
from prismlib.contracts.rules import Rule

RULE = Rule(
    "PRO033",
    "enum-value-dropped-by-reader",
    "Add the value to readers first, or use an open enum (proto3, or `features.enum_type = OPEN`).",
    frozenset({"wire", "consumer"}),
)


def check(pair: Enums) -> Sequence[Problem]:
    if not pair.reader.closed:
        return ()
    return unknown_values(pair)
