"""The reader lacks a message that records can be of.

Why: Records of that message are in the topic, or will be, and the reader has nothing to read them with.

Example: `message Weather` and `message Forecast` are written, and the reader's file has `message Weather` alone.

Instead: Keep the message for as long as records of it are kept.

Confluent: Agrees (MESSAGE_REMOVED), so that a message that is added breaks FORWARD.
"""

from __future__ import annotations

from collections.abc import Sequence

from prism_protobuf.compatibility.pairs import Problem, UnreadMessage
from prismlib.contracts.rules import Rule

RULE = Rule(
    "PRO002",
    "message-unknown-to-reader",
    "Keep the message for as long as records of it are kept.",
    frozenset({"confluent", "wire"}),
)


def check(pair: UnreadMessage) -> Sequence[Problem]:
    if not pair.root:
        return ()
    return (Problem(f"{pair.place} can be written, and the reader has no such message"),)
