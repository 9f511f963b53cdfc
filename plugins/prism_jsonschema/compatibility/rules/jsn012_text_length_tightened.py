"""A text can be written that is shorter or longer than the reader takes.

Why: `minLength` or `maxLength` of the reader refuses the record.

Example: written `{"type": "string", "maxLength": 20}`, read `{"type": "string", "maxLength": 10}`.

Instead: Lengths of a reader can only be widened.

Confluent: agrees (MAX_LENGTH_DECREASED, MIN_LENGTH_INCREASED and the like).
"""

from __future__ import annotations

from prism_jsonschema.compatibility.pairs import Values
from prism_jsonschema.compatibility.wording import size_change
from prismlib.contracts.rules import Rule

RULE = Rule("JSN012", "text-length-tightened", "leave the reader's lengths as wide as the writer's")


def check(pair: Values) -> str | None:
    """Characters, as JSON Schema counts them."""
    if "string" not in pair.writer.types:
        return None
    values = pair.writer.values
    if values is not None:
        lengths = [len(one) for one in values if isinstance(one, str)]
        most = pair.reader.max_length
        if all(pair.reader.min_length <= one and (most is None or one <= most) for one in lengths):
            return None
    return size_change(pair, "minLength", "min_length", "maxLength", "max_length")
