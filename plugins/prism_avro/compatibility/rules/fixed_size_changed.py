"""A fixed has another size in the reader.

What:
    The numbers of bytes differ.

Why:
    The size is not written, so a reader would take the bytes of the next field for its own. Decoders refuse.

Example:
    Written ``{"type": "fixed", "name": "Hash", "size": 16}``, read with size 32.

Instead:
    Add a field of a fixed with a name of its own, or of bytes.

Confluent:
    Agrees (FIXED_SIZE_MISMATCH).
"""

from __future__ import annotations

from prism_avro.compatibility.pairs import Met
from prism_avro.compatibility.wording import subject
from prism_avro.schema import Fixed
from prismlib.contracts.rules import Rule

RULE = Rule(
    "AVR007",
    "fixed-size-changed",
    "Keep the size, or add a field of a new fixed type.",
)


def check(pair: Met) -> str | None:
    """Sizes that differ."""
    match pair.reader, pair.writer:
        case Fixed() as reader, Fixed() as writer if reader.size != writer.size:
            return f"{subject(pair.place)} is written in {writer.size} bytes and read in {reader.size}"
    return None
