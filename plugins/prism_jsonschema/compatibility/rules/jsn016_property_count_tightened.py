"""An object can be written with fewer or more properties than the reader takes.

Why: `minProperties` or `maxProperties` of the reader refuses the record.

Example: written `{"type": "object"}`, read `{"type": "object", "maxProperties": 10}`.

Instead: Counts of a reader can only be widened.

Confluent: agrees (MAX_PROPERTIES_DECREASED, MIN_PROPERTIES_INCREASED and the like).
"""

from __future__ import annotations

from prism_jsonschema.compatibility.pairs import Values
from prism_jsonschema.compatibility.wording import size_change
from prismlib.contracts.rules import Rule

RULE = Rule("JSN016", "property-count-tightened", "leave the reader's counts as wide as the writer's")


def check(pair: Values) -> str | None:
    """``minProperties`` and ``maxProperties``."""
    if "object" not in pair.writer.types:
        return None
    return size_change(pair, "minProperties", "min_properties", "maxProperties", "max_properties")
