"""An array can be written with fewer or more items than the reader takes.

Why: `minItems` or `maxItems` of the reader refuses the record.

Example: written `{"type": "array"}`, read `{"type": "array", "minItems": 1}`.

Instead: Counts of a reader can only be widened.

Confluent: agrees (MAX_ITEMS_DECREASED, MIN_ITEMS_INCREASED and the like).
"""

from __future__ import annotations

from prism_jsonschema.compatibility.pairs import Values
from prism_jsonschema.compatibility.wording import size_change
from prismlib.contracts.rules import Rule

RULE = Rule("JSN014", "item-count-tightened", "leave the reader's counts as wide as the writer's")


def check(pair: Values) -> str | None:
    """``minItems`` and ``maxItems``."""
    if "array" not in pair.writer.types:
        return None
    return size_change(pair, "minItems", "min_items", "maxItems", "max_items")
