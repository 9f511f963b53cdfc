"""Values are written that no branch of the reader takes.

Why: The reader has `anyOf` or `oneOf`, none of whose branches takes every such value.

Example: written `{"oneOf": [{"type": "string"}, {"type": "object"}]}`, read `{"oneOf": [{"type": "string"}]}`.

Instead: Add the branch to the readers before the first writer uses it.

Confluent: agrees (SUM_TYPE_NARROWED, COMBINED_TYPE_SUBSCHEMAS_CHANGED).
"""

from __future__ import annotations

from prism_jsonschema.compatibility.pairs import Branches
from prism_jsonschema.compatibility.wording import joined
from prismlib.contracts.rules import Rule

RULE = Rule("JSN021", "branch-unknown-to-reader", "add the branch to the readers before the first writer uses it")


def check(pair: Branches) -> str | None:
    """``anyOf`` and ``oneOf``."""
    return f"{pair.place.subject} can be written as {joined(pair.kinds)} that no branch of the reader takes"
