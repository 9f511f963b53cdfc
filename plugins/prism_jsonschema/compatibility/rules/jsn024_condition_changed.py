"""The reader asks for something under a condition, and the writer does not promise it.

Why: `then` or `else` of the reader refuses the record. A writer promises it under an equal `if`, or always.

Example: written `{"type": "object"}`, read with `{"if": {"required": ["card"]}, "then": {"required": ["address"]}}`.

Instead: Leave the condition out of the reader, or promise it in the writer first.

Confluent: compares `if`, `then` and `else` only as long as both sides have nothing else, and passes the rest, although
a condition refuses records. This rule deviates and fails.
"""

from __future__ import annotations

from prism_jsonschema.compatibility.pairs import Unproved
from prismlib.contracts.rules import Rule

RULE = Rule("JSN024", "condition-changed", "leave the condition out of the reader, or promise it in the writer first")


def check(pair: Unproved) -> str | None:
    """``if`` with ``then`` and ``else``."""
    if pair.keyword != "if":
        return None
    return f"{pair.place.subject}: the reader's condition asks for more ({pair.detail}) than the writer promises"
