"""The reader says how properties may be called, and the writer may call them otherwise.

Why: `propertyNames` of the reader refuses the record.

Example: written `{"type": "object"}`, read `{"type": "object", "propertyNames": {"maxLength": 10}}`.

Instead: Leave `propertyNames` out of the reader, or promise it in the writer first.

Confluent: does not look at `propertyNames` and calls every change of it compatible, although records that it lets
through are refused by every validator. This rule deviates and fails.
"""

from __future__ import annotations

from prism_jsonschema.compatibility.pairs import Unproved
from prismlib.contracts.rules import Rule

RULE = Rule(
    "JSN019", "property-names-narrowed", "leave propertyNames out of the reader, or promise it in the writer first"
)


def check(pair: Unproved) -> str | None:
    """``propertyNames``."""
    if pair.keyword != "propertyNames":
        return None
    return f"{pair.place.subject}: properties can be written under names that the reader does not take"
