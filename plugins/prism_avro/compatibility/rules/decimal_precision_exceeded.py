"""A decimal may have more digits than the reader declares.

What:
    The writer's precision is higher than the reader's. A lower one is no finding: what is written still fits.

Why:
    Avro matches decimals by scale and precision; a column made for the reader's precision overflows, and strict libraries refuse.

Example:
    Written ``decimal(18, 2)``, read ``decimal(9, 2)``.

Instead:
    Consumers raise the precision first, then the producer.

Confluent:
    Ignores logical types, and so does the profile ``confluent``.
"""

from __future__ import annotations

from prism_avro.compatibility.pairs import Met
from prism_avro.compatibility.wording import decimals, subject
from prismlib.contracts.rules import Rule

RULE = Rule(
    "AVR013",
    "decimal-precision-exceeded",
    "Keep the precision, or raise it in every reader first.",
    frozenset({"wire", "consumer"}),
)


def check(pair: Met) -> str | None:
    """Two decimals, the writer's longer."""
    both = decimals(pair)
    if both is None or both[1].precision <= both[0].precision:
        return None
    reader, writer = both
    return f"{subject(pair.place)} may be written with {writer.precision} digits and is read with {reader.precision}"
