"""The reader asks for a pattern that the writer does not promise.

Why: A text that does not match is refused. Whether one pattern takes all that another one does is not looked at: only
the same one counts.

Example: written `{"type": "string"}`, read `{"type": "string", "pattern": "^[A-Z]{3}$"}`.

Instead: Leave the pattern out of the reader, or keep it as it is.

Confluent: agrees (PATTERN_ADDED, PATTERN_CHANGED): any change fails, there and here.
"""

from __future__ import annotations

from prism_jsonschema.compatibility.pairs import Values
from prismlib.contracts.rules import Rule

RULE = Rule("JSN013", "pattern-changed", "keep the pattern as it is, or leave it out of the reader")


def check(pair: Values) -> str | None:
    """``pattern`` of texts."""
    pattern = pair.reader.pattern
    if pattern is None or "string" not in pair.writer.types:
        return None
    own = [part.pattern for part in pair.writer.parts if part.pattern is not None]
    if pattern in own:
        return None
    said = f"the pattern {own[0]!r}" if own else "no pattern"
    return f"{pair.place.subject} is written with {said} and read with {pattern!r}"
