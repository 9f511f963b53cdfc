"""Several fields that could be set together are members of one oneof for the reader.

Why: Of a record that has both, a reader keeps the last and drops the other.

Example: `string gate = 1; string stand = 2;` are read as `oneof place { string gate = 1; string stand = 2; }`.

Instead: Put new fields into a oneof, and never old ones.

Confluent: Agrees (MULTIPLE_FIELDS_MOVED_TO_ONEOF).
"""

from __future__ import annotations

from collections.abc import Sequence

from prism_protobuf.compatibility.kinds import listed, oneofs
from prism_protobuf.compatibility.pairs import Messages, Problem
from prismlib.contracts.rules import Rule

RULE = Rule(
    "PRO026",
    "fields-moved-into-oneof",
    "Put new fields into a oneof, and never old ones.",
)


def check(pair: Messages) -> Sequence[Problem]:
    return [
        Problem(f"{listed(moved)} are written apart, and members of oneof {oneof!r} where they are read", oneof)
        for oneof, moved, _ in oneofs(pair)
        if len(moved) > 1
    ]
