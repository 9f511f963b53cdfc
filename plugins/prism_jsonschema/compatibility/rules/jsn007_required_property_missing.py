"""A property is required by the reader, and records can be written without it.

Why: The reader refuses every record that does not hold it.

Example: written `{"properties": {"gate": {"type": "string"}}}`, read with `"required": ["gate"]` besides.

Instead: A new property is optional. An old one becomes required in the writer first, and in readers when the last
record without it is gone.

Confluent: agrees (REQUIRED_ATTRIBUTE_ADDED, REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL), and goes further:
Confluent does not see a required name that `properties` does not declare, although records without it are refused just
as well.
"""

from __future__ import annotations

from prism_jsonschema.compatibility.nodes import MISSING
from prism_jsonschema.compatibility.pairs import Required
from prismlib.contracts.rules import Rule

RULE = Rule(
    "JSN007",
    "required-property-missing",
    "let the property be optional in the reader, or require it in the writer first",
)


def check(pair: Required) -> str | None:
    """Without a default; JSN008 is about those with one."""
    if pair.reader is not None and pair.reader.default is not MISSING:
        return None
    return f"{pair.place.subject} is required by the reader, and can be left out by the writer"
