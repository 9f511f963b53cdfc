"""A value may be written that the reader excludes.

Why: `not` of the reader refuses the record. It is not known to be left out by the writer: types, constants and a `not`
that excludes as much are.

Example: written `{"type": "string"}`, read `{"type": "string", "not": {"const": ""}}`.

Instead: A reader can only exclude less. Exclude it in the writer first.

Confluent: agrees (NOT_TYPE_EXTENDED).
"""

from __future__ import annotations

from prism_jsonschema.compatibility.pairs import Unproved
from prismlib.contracts.rules import Rule

RULE = Rule("JSN023", "excluded-value-written", "exclude it in the writer first, or leave it out of the reader")


def check(pair: Unproved) -> str | None:
    """``not``."""
    if pair.keyword != "not":
        return None
    return f"{pair.place.subject}: the reader excludes values (not) that the writer may write"
