"""A value is written as one type, and read as another that it cannot become.

What:
    The types differ, and the writer's cannot be promoted to the reader's. Avro promotes int to long, float and double, long to
    float and double, float to double, and string to bytes and back; and any type to a union that holds it.

Why:
    Decoding fails for every record.

Example:
    Written ``{"name": "delay", "type": "long"}``, read ``{"name": "delay", "type": "int"}``.

Instead:
    Keep the field as it is and add one of the new type, with a default; or widen the type in every reader first.

Confluent:
    Agrees (TYPE_MISMATCH, and MISSING_UNION_BRANCH where the reader has a union).
"""

from __future__ import annotations

from prism_avro.compatibility.pairs import Mismatched
from prism_avro.compatibility.wording import subject
from prism_avro.schema import describe
from prismlib.contracts.rules import Rule

RULE = Rule(
    "AVR001",
    "type-changed",
    "Keep the type and add a field of the new one, or read a type that the old one can be promoted to.",
)


def check(pair: Mismatched) -> str | None:
    """Types that do not go together."""
    if pair.branch:
        return None
    return f"{subject(pair.place)} is written as {describe(pair.writer)} and read as {describe(pair.reader)}"
