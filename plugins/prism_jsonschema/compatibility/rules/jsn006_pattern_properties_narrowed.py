"""The reader says of names that match a pattern what the writer does not promise.

Why: A property whose name matches can be written with any value, and the reader refuses most of them.

Example: written `{"type": "object"}`, read `{"type": "object", "patternProperties": {"^n_": {"type": "integer"}}}`.

Instead: Add a pattern in the first version, or together with closing the model; give the values of it as much room as
the writer does.

Confluent: does not look at `patternProperties` of both sides and calls every change of them compatible, although the
records it lets through are refused by every validator. This rule deviates and fails.
"""

from __future__ import annotations

from prism_jsonschema.compatibility.pairs import Undeclared
from prismlib.contracts.rules import Rule

RULE = Rule(
    "JSN006", "pattern-properties-narrowed", "leave the pattern out of the reader, or promise it in the writer first"
)


def check(pair: Undeclared) -> str | None:
    """What ``patternProperties`` of the reader ask for."""
    if pair.pattern is None:
        return None
    return f"{pair.place.subject}: the writer does not say what properties that match {pair.pattern!r} hold"
