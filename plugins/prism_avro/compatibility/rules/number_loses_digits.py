"""A whole number is read as a floating-point number that cannot hold all of its digits.

What:
    Written as int and read as float, or written as long and read as float or double. int to long and double, and float to double, keep
    every digit.

Why:
    Everything decodes, and numbers above 16,777,216 (float) or 9,007,199,254,740,992 (double) are rounded: two ids become one.

Example:
    Written ``{"name": "id", "type": "long"}``, read ``{"name": "id", "type": "double"}``.

Instead:
    Read a long.

Confluent:
    Calls it compatible, since Avro promotes them, and so does the profile ``confluent``.
"""

from __future__ import annotations

from prism_avro.compatibility.pairs import Met
from prism_avro.compatibility.wording import subject
from prism_avro.schema import kind_of
from prismlib.contracts.rules import Rule

RULE = Rule(
    "AVR017",
    "number-loses-digits",
    "Read the type that is written.",
    frozenset({"wire", "consumer"}),
)


_LOSES = frozenset({("int", "float"), ("long", "float"), ("long", "double")})


def check(pair: Met) -> str | None:
    """Promotions that round."""
    written, read = kind_of(pair.writer), kind_of(pair.reader)
    if (written, read) not in _LOSES:
        return None
    return f"{subject(pair.place)} is written as {written} and read as {read}, which rounds large numbers"
