"""The reader asks for items that differ from each other, and the writer does not promise it.

Why: A record with the same item twice is refused.

Example: written `{"type": "array"}`, read `{"type": "array", "uniqueItems": true}`.

Instead: Promise it in the writer first, and ask for it when the last other record is gone.

Confluent: agrees (UNIQUE_ITEMS_ADDED).
"""

from __future__ import annotations

from prism_jsonschema.compatibility.pairs import Values
from prismlib.contracts.rules import Rule

RULE = Rule("JSN015", "unique-items-asked", "leave uniqueItems out of the reader, or promise it in the writer first")


def check(pair: Values) -> str | None:
    """``uniqueItems``."""
    if not pair.reader.unique or "array" not in pair.writer.types or any(part.unique for part in pair.writer.parts):
        return None
    return f"{pair.place.subject} can be written with the same item twice, and the reader asks for unique ones"
