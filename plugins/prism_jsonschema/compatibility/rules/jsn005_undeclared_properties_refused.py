"""Properties that no one declares can be written, and the reader takes fewer of them or none.

Why: A record with one more property, which the writer's open content model allows, is refused.

Example: written `{"properties": {"id": {}}}`, read `{"properties": {"id": {}}, "additionalProperties": false}`.

Instead: A content model is closed in its first version; later it can only be opened.

Confluent: agrees (ADDITIONAL_PROPERTIES_REMOVED, ADDITIONAL_PROPERTIES_NARROWED), and goes further:
`unevaluatedProperties` counts likewise.
"""

from __future__ import annotations

from prism_jsonschema.compatibility.pairs import Undeclared
from prismlib.contracts.rules import Rule

RULE = Rule("JSN005", "undeclared-properties-refused", "leave the content model as open as it is")


def check(pair: Undeclared) -> str | None:
    """What ``additionalProperties`` and ``unevaluatedProperties`` of the reader leave out."""
    if pair.pattern is not None:
        return None
    which = "other properties" if pair.writer is None else f"properties that match {pair.writer!r}"
    takes = "takes none" if pair.reader.always is False else "takes some values only"
    return f"{pair.place.subject}: {which} can be written, and the reader {takes}"
