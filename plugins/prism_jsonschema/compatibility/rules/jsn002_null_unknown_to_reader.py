"""Null is written, and the reader does not take it.

Why: Records without the value are refused, or code that expects one fails.

Example: written `{"type": ["string", "null"]}`, read `{"type": "string"}`.

Instead: Let the readers take null first. Or leave the property out where there is no value, if it is not required.

Confluent: agrees (TYPE_NARROWED, SUM_TYPE_NARROWED).
"""

from __future__ import annotations

from prism_jsonschema.compatibility.nodes import ALL_TYPES
from prism_jsonschema.compatibility.pairs import Values
from prism_jsonschema.compatibility.wording import of_types
from prismlib.contracts.rules import Rule

RULE = Rule("JSN002", "null-unknown-to-reader", "let readers take null before the first writer sends it")


def check(pair: Values) -> str | None:
    """Null alone; JSN001 is about the others."""
    read = pair.reader.types
    if read is None or "null" in read or "null" not in pair.writer.types or pair.writer.types == ALL_TYPES:
        return None
    return f"{pair.place.subject} can be written as null and is read as {of_types(read)}"
