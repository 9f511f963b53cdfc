"""A value is written that is of no type that the reader takes.

Why: The reader refuses the record; code behind it expects another type.

Example: written `{"type": "string"}`, read `{"type": "integer"}`; or written without a `type`, so that it can be
anything.

Instead: Add a property of the new type, and fill both until the last consumer has moved. A reader may widen: integer to
number, or a list of types.

Confluent: agrees (TYPE_CHANGED, TYPE_NARROWED), and goes further: Confluent takes `{"properties": ...}` and `{"type":
"object", "properties": ...}` for the same, although the first one lets texts and numbers through.
"""

from __future__ import annotations

from prism_jsonschema.compatibility.pairs import Values
from prism_jsonschema.compatibility.wording import of_types, one_of
from prismlib.contracts.rules import Rule

RULE = Rule("JSN001", "type-changed", "keep the type, and add a property of the new one")


def check(pair: Values) -> str | None:
    """Types that are written and not read; null has a rule of its own."""
    read = pair.reader.types
    if pair.reader.always is False and pair.writer.types:
        return f"{pair.place.subject} is written as {of_types(pair.writer.types)}, and the reader takes nothing there"
    if read is None:
        return None
    lost = pair.writer.types - read - {"null"}
    if not lost:
        return None
    return f"{pair.place.subject} is written as {one_of(lost, pair.writer.types)} and read as {of_types(read)}"
