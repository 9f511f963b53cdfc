"""The reader uses a keyword that cannot be decided without a record.

Why: `$dynamicRef` and `$recursiveRef` mean another schema from place to place. What cannot be decided is not a pass;
equal reader and writer are.

Example: read `{"properties": {"children": {"items": {"$dynamicRef": "#node"}}}}`, where something else of the schema
changed.

Instead: Use `$ref`.

Confluent: does not follow these references and passes whatever they change, although records may be refused. This rule
deviates and fails.
"""

from __future__ import annotations

from prism_jsonschema.compatibility.pairs import Unproved
from prismlib.contracts.rules import Rule

RULE = Rule("JSN025", "not-decidable", "use $ref, which always means the same schema")


def check(pair: Unproved) -> str | None:
    """``$dynamicRef`` and ``$recursiveRef``."""
    if pair.keyword != "unclear":
        return None
    return f"{pair.place.subject}: what {pair.detail} of the reader stands for cannot be decided"
