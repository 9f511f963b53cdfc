"""The default of a field that a consumer reads has changed.

What:
    Both the reader's field and the writer's have a default, and the values differ as far as the reader sees them.

Why:
    A reader uses its own default. But producers fill in theirs for what they are not given, so the consumer meets another value for
    "nothing was said" than the one it was written for.

Example:
    Written ``{"name": "currency", "type": "string", "default": "USD"}``, read with the default ``"EUR"``.

Instead:
    Keep the default. If nothing depends on it, derive the consumer's contract again.

Confluent:
    Ignores defaults of fields that are written; so do the profiles ``confluent`` and ``wire``. It fails for consumer contracts.
"""

from __future__ import annotations

from prism_avro.compatibility.pairs import Fields
from prism_avro.compatibility.wording import json_text, subject
from prismlib.contracts.rules import Rule

RULE = Rule(
    "AVR016",
    "field-default-changed",
    "Keep the default, or agree on the new one with the consumer.",
    frozenset({"consumer"}),
)


def check(pair: Fields) -> str | None:
    """Two defaults, two values."""
    reader = pair.reader
    if not reader.has_default or not pair.writers or not pair.writers[0].has_default:
        return None
    writer = pair.writers[0]
    if pair.defaults.same(reader, writer):
        return None
    written, read = json_text(writer.default), json_text(reader.default)
    return f"{subject(pair.place)} is written with the default {written} and read with the default {read}"
