"""A decimal has another scale in the reader.

What:
    The numbers of digits after the point differ.

Why:
    The scale is not written with the value. Libraries that use the reader's read each amount multiplied by a power of ten: 12.34
    becomes 1,234 or 0.1234. Those that use the writer's, as this one, give a number with other digits than the consumer declared.

Example:
    Written ``decimal(9, 2)``, read ``decimal(9, 4)``.

Instead:
    Add a field with the new scale, and fill both until the last consumer has moved.

Confluent:
    Ignores logical types, and so does the profile ``confluent``.
"""

from __future__ import annotations

from prism_avro.compatibility.pairs import Met
from prism_avro.compatibility.wording import decimals, subject
from prismlib.contracts.rules import Rule

RULE = Rule(
    "AVR012",
    "decimal-scale-changed",
    "Keep the scale, and add a field for the new one.",
    frozenset({"wire", "consumer"}),
)


def check(pair: Met) -> str | None:
    """Two decimals, two scales."""
    both = decimals(pair)
    if both is None or both[0].scale == both[1].scale:
        return None
    reader, writer = both
    return (
        f"{subject(pair.place)} is written with {writer.scale} digits after the point and read with {reader.scale}, "
        "so amounts change"
    )
