"""The reader asks for certain items among the others, and the writer does not promise them.

Why: `contains`, `minContains` or `maxContains` of the reader refuses the record.

Example: written `{"type": "array"}`, read `{"type": "array", "contains": {"const": "id"}}`.

Instead: Leave `contains` out of the reader, or promise it in the writer first.

Confluent: looks at the two numbers alone, although `contains` itself refuses records as well. This rule deviates and
fails.
"""

from __future__ import annotations

from prism_jsonschema.compatibility.pairs import Unproved
from prismlib.contracts.rules import Rule

RULE = Rule("JSN020", "contains-changed", "leave contains out of the reader, or promise it in the writer first")


def check(pair: Unproved) -> str | None:
    """``contains`` and how often."""
    if pair.keyword != "contains":
        return None
    return f"{pair.place.subject}: the reader asks for items that the writer does not promise (contains)"
