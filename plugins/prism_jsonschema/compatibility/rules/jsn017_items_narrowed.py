"""Items can be written of which the writer says nothing, and the reader takes some of them only.

Why: An array of one item more, or of another one, is refused.

Example: written `{"type": "array"}`, read `{"type": "array", "items": {"type": "string"}}`; or read as a tuple that is
closed.

Instead: Say what items are in the first version. A tuple can be opened later, and grow while it is closed in the
writer.

Confluent: agrees (SCHEMA_ADDED, ITEM_ADDED_TO_OPEN_CONTENT_MODEL, ITEM_REMOVED_FROM_CLOSED_CONTENT_MODEL,
ADDITIONAL_ITEMS_REMOVED, ADDITIONAL_ITEMS_NARROWED).
"""

from __future__ import annotations

from prism_jsonschema.compatibility.pairs import Items
from prismlib.contracts.rules import Rule

RULE = Rule("JSN017", "items-narrowed", "leave the reader's items as open as the writer's")


def check(pair: Items) -> str | None:
    """Items by position, and all behind them."""
    which = "more items" if pair.index is None else f"item {pair.index}"
    if pair.reader.always is False:
        return f"{pair.place.subject}: {which} can be written, and the reader takes none there"
    return f"{pair.place.subject}: {which} can be written with any value, and the reader takes some only"
