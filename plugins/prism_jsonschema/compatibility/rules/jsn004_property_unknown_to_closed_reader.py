"""A property is written that a closed reader does not declare.

Why: The reader says `additionalProperties: false`, and refuses the whole record.

Example: written `{"properties": {"id": {}, "gate": {}}}`, read `{"properties": {"id": {}}, "additionalProperties":
false}`.

Instead: Keep the property in the reader as long as records hold it; or open the reader.

Confluent: agrees (PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL). With `patternProperties` Confluent looks at the first
pattern that matches; all of them count here.
"""

from __future__ import annotations

from prism_jsonschema.compatibility.pairs import Refused
from prismlib.contracts.rules import Rule

RULE = Rule("JSN004", "property-unknown-to-closed-reader", "go on declaring the property, or open the reader")


def check(pair: Refused) -> str | None:
    """Every pair of that kind is one."""
    return f"{pair.place.subject} is written, and the reader, which is closed, does not declare it"
