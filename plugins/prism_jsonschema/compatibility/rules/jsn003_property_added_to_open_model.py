"""A property is declared for records whose writer lets any other property through.

Why: The writer's content model is open, as it is where nothing is said: old records may hold that name already, with a
value of any type. Users are surprised by it, and it is true.

Example: written `{"properties": {"id": {}}}`, read `{"properties": {"id": {}, "gate": {"type": "string"}}}`.

Instead: Close the model from its first version on (`additionalProperties: false`), or leave it open for one type alone
(`additionalProperties: {"type": "string"}`) and add properties of that type.

Confluent: agrees (PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL), under its policy STRICT, which is the default. A property
without any demand on its value passes, there and here.
"""

from __future__ import annotations

from prism_jsonschema.compatibility.pairs import Property
from prismlib.contracts.rules import Rule

RULE = Rule(
    "JSN003",
    "property-added-to-open-model",
    "close the writer's content model, or declare the property without demands",
)


def check(pair: Property) -> str | None:
    """A property of which the writer says nothing."""
    if pair.written or pair.reader.is_true:
        return None
    return f"{pair.place.subject} is read, and the writer does not say what it holds: anything may be written there"
