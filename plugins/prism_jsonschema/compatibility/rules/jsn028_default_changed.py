"""The default of a property is another one for the reader than for the writer.

Why: Whoever fills in the default reads another value than before where the property is left out.

Example: written `{"type": "string", "default": "none"}`, read `{"type": "string", "default": "-"}`.

Instead: Keep the default, or write the value into every record.

Confluent: calls it compatible (DEFAULT_CHANGED). Only a consumer's contract asks for it.
"""

from __future__ import annotations

from prism_jsonschema.compatibility.nodes import MISSING, Frozen, written
from prism_jsonschema.compatibility.pairs import Values
from prismlib.contracts.rules import Rule

RULE = Rule(
    "JSN028", "default-changed", "keep the default, or write the value into every record", frozenset({"consumer"})
)


def check(pair: Values) -> str | None:
    """Added, removed or another one."""
    defaults = [part.default for part in pair.writer.parts if part.default is not MISSING]
    new = defaults[0] if defaults else MISSING
    if pair.reader.default == new or (new is MISSING and pair.reader.default is MISSING):
        return None
    if isinstance(new, tuple) and new[0] in ("object", "array") and pair.reader.default is MISSING:
        return None  # of what is read in part, a contract keeps no default
    return f"{pair.place.subject} is written with {_said(new)} and read with {_said(pair.reader.default)}"


def _said(default: Frozen) -> str:
    return "no default" if default is MISSING else f"the default {written(default)}"
