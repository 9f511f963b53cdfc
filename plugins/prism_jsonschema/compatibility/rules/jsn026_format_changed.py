"""The reader declares a format that the writer does not declare.

Why: `format`, `contentEncoding` and `contentMediaType` say how a text is to be understood. Most validators do not look;
code that parses the text does.

Example: written `{"type": "string"}`, read `{"type": "string", "format": "date-time"}`.

Instead: Add a property in the new format, and fill both until the last consumer has moved.

Confluent: ignores formats. The profile `confluent` follows, since the record stays valid; `wire` does not.
"""

from __future__ import annotations

from prism_jsonschema.compatibility.pairs import Meaning
from prism_jsonschema.compatibility.wording import TEXTS, formats
from prismlib.contracts.rules import Rule

RULE = Rule(
    "JSN026", "format-changed", "keep the format, and add a property in the new one", frozenset({"wire", "consumer"})
)


def check(pair: Meaning) -> str | None:
    """A format of the reader's."""
    read, written = formats(pair.reader.parts), formats(pair.writer.parts)
    if pair.whole or not pair.writer.types & TEXTS or not read or read == written:
        return None
    return f"{pair.place.subject} is written {written or 'without a format'} and read {read}"
