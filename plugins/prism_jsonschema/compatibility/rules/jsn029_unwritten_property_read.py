"""A property is read that the writer does not declare.

Why: Nothing stands there any more, or only by chance: an open content model lets any property through, and promises
none.

Example: written `{"properties": {"gate": {"type": "string"}}}`, read `{"properties": {"tailnum": {"type": "string"}}}`.

Instead: Go on writing the property until no consumer reads it. A renamed property is written under both names until
then.

Confluent: calls it compatible where the writer is closed (OPTIONAL_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL). Only a
consumer's contract asks for it.
"""

from __future__ import annotations

from prism_jsonschema.compatibility.pairs import Property
from prismlib.contracts.rules import Rule

RULE = Rule(
    "JSN029",
    "unwritten-property-read",
    "go on writing the property, under both names if it is renamed",
    frozenset({"consumer"}),
)


def check(pair: Property) -> str | None:
    """Whether by removal or by renaming."""
    if pair.declared or pair.reader.always is True:  # true says that nothing is read
        return None
    return f"{pair.place.subject} is read, and the writer does not declare it"
