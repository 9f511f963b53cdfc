"""A property is required by the reader, records can be written without it, and it has a default.

Why: Validators do not fill in defaults: a record without the property is refused, unless the code that reads it fills
the default in before it validates.

Example: written `{"properties": {}, "additionalProperties": false}`, read with `{"properties": {"gate": {"default":
"-"}}, "required": ["gate"]}`.

Instead: Leave the property optional; whoever reads it can still fill in the default.

Confluent: calls it compatible (REQUIRED_ATTRIBUTE_WITH_DEFAULT_ADDED,
REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_UNOPEN_CONTENT_MODEL). The profile `confluent` follows, although the record is
not valid as it is; `wire` does not.
"""

from __future__ import annotations

from prism_jsonschema.compatibility.nodes import MISSING, written
from prism_jsonschema.compatibility.pairs import Required
from prismlib.contracts.rules import Rule

RULE = Rule(
    "JSN008",
    "required-property-with-default",
    "let the property be optional in the reader; its default can be filled in all the same",
    frozenset({"wire", "consumer"}),
)


def check(pair: Required) -> str | None:
    """With a default; JSN007 is about those without."""
    if pair.reader is None or pair.reader.default is MISSING:
        return None
    default = written(pair.reader.default)
    return f"{pair.place.subject} is required by the reader and can be left out by the writer; its default is {default}"
