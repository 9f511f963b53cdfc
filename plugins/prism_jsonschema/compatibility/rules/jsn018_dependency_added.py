"""The reader asks for something wherever a property is there, and the writer does not promise it.

Why: A record with the property and without the rest is refused.

Example: read with `{"dependentRequired": {"card": ["address"]}}` (`dependencies` before 2019-09), written without.

Instead: Promise it in the writer first, and ask for it when the last other record is gone.

Confluent: agrees (DEPENDENCY_ARRAY_ADDED, DEPENDENCY_ARRAY_EXTENDED, DEPENDENCY_SCHEMA_ADDED).
"""

from __future__ import annotations

from prism_jsonschema.compatibility.pairs import Unproved
from prismlib.contracts.rules import Rule

RULE = Rule("JSN018", "dependency-added", "leave the dependency out of the reader, or promise it in the writer first")


def check(pair: Unproved) -> str | None:
    """``dependentRequired``, ``dependentSchemas`` and ``dependencies``."""
    if pair.keyword == "dependentRequired":
        return f"{pair.place.subject}: {pair.detail} for the reader, and not for the writer"
    if pair.keyword == "dependentSchemas":
        return (
            f"{pair.place.subject}: where it is there, the reader asks for more of the object than the writer promises"
        )
    return None
