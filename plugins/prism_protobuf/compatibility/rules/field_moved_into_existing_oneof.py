"""A field that could be set together with a member of a oneof is a member itself for the reader.

Why: Of a record that has both, a reader keeps the last and drops the other.

Example: `string remark = 3;` beside `oneof place { string gate = 1; }` is read as a member of it.

Instead: Leave the field where it is.

Confluent: Agrees (FIELD_MOVED_TO_EXISTING_ONEOF).
"""

from __future__ import annotations

from collections.abc import Sequence

from prism_protobuf.compatibility.kinds import listed, oneofs
from prism_protobuf.compatibility.pairs import Messages, Problem
from prismlib.contracts.rules import Rule

RULE = Rule(
    "PRO027",
    "field-moved-into-existing-oneof",
    "Leave the field where it is.",
)


def check(pair: Messages) -> Sequence[Problem]:
    return [
        Problem(
            f"{moved[0]!r} is written beside {listed(existing)}, and a member of oneof {oneof!r} with it where it is read",
            oneof,
        )
        for oneof, moved, existing in oneofs(pair)
        if len(moved) == 1 and existing
    ]
