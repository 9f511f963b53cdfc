"""The reader's oneof lacks a member that the writer's has.

Why: Where that member is written, a reader sees the oneof empty.

Example: `oneof place { string gate = 1; string stand = 2; }` is read as `oneof place { string gate = 1; }`.

Instead: Keep the member.

Confluent: Agrees (ONEOF_FIELD_REMOVED): a field counts that is gone from a oneof of the same name, and not one that
moved out of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from prism_protobuf.compatibility.pairs import Problem, UnreadField
from prismlib.contracts.rules import Rule

RULE = Rule(
    "PRO031",
    "oneof-member-unknown-to-reader",
    "Keep the member.",
    frozenset({"confluent"}),
)


def check(pair: UnreadField) -> Sequence[Problem]:
    oneof = pair.writer.oneof
    if not oneof or oneof not in pair.messages.reader.oneofs:
        return ()
    return (Problem(f"{pair.place} is a member of oneof {oneof!r} where it is written, and unknown to the reader"),)
