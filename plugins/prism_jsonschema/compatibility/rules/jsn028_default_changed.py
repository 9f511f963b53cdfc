"""The default of a property is another one for the reader than for the writer.

Why: Whoever fills in the default reads another value than before where the property is left out.

Example: written `{"type": "string", "default": "none"}`, read `{"type": "string", "default": "-"}`.

Instead: Keep the default, or write the value into every record.

Confluent: calls it compatible (DEFAULT_CHANGED). Only a consumer's contract asks for it.
"""

from __future__ import annotations

from collections.abc import Iterable

from prism_jsonschema.compatibility.nodes import MISSING, Frozen, Node, written
from prism_jsonschema.compatibility.pairs import Meaning
from prismlib.contracts.rules import Rule

RULE = Rule(
    "JSN028", "default-changed", "keep the default, or write the value into every record", frozenset({"consumer"})
)


def check(pair: Meaning) -> str | None:
    """Added, removed or another one."""
    if not pair.whole:
        return None
    new, known = _default(pair.writer.parts), _default(pair.reader.parts)
    if new == known:
        return None
    if known is MISSING and (new.__class__ is tuple or any(part.subs for part in pair.reader.parts)):
        return None  # of what is read in part, a contract keeps no default
    return f"{pair.place.subject} is written with {_said(new)} and read with {_said(known)}"


def _default(parts: Iterable[Node]) -> Frozen:
    return next((part.default for part in parts if part.default is not MISSING), MISSING)


def _said(default: Frozen) -> str:
    return "no default" if default is MISSING else f"the default {written(default)}"
