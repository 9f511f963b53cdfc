"""Text is read as bytes, or bytes as text.

What:
    One side has string where the other has bytes.

Why:
    Bytes that are no UTF-8 cannot be read as a string: libraries fail, or put replacement characters in. The other way round each record
    decodes, and code that expects text gets bytes.

Example:
    Written ``{"name": "payload", "type": "bytes"}``, read ``{"name": "payload", "type": "string"}``.

Instead:
    Add a field of the new type, and fill both until the last consumer has moved.

Confluent:
    Calls it compatible, since Avro promotes either way. The profile ``confluent`` follows, although bytes may not decode.
"""

from __future__ import annotations

from prism_avro.compatibility.pairs import Met
from prism_avro.compatibility.wording import subject
from prism_avro.schema import kind_of
from prismlib.contracts.rules import Rule

RULE = Rule(
    "AVR009",
    "string-as-bytes",
    "Keep the type and add a field of the new one.",
    frozenset({"wire", "consumer"}),
)


def check(pair: Met) -> str | None:
    """Either way."""
    written, read = kind_of(pair.writer), kind_of(pair.reader)
    if {written, read} != {"string", "bytes"}:
        return None
    return f"{subject(pair.place)} is written as {written} and read as {read}"
