"""The message that is read is not written any more.

Why: No record of it will come: the consumer waits for ever, and nothing fails.

Example: A contract reads `message Weather`, and the file has `message Observation` instead.

Instead: Keep the message, and tell its consumers before it ends.

Confluent: Compatible (MESSAGE_ADDED).
"""

from __future__ import annotations

from collections.abc import Sequence

from prism_protobuf.compatibility.pairs import Problem, UnwrittenMessage
from prismlib.contracts.rules import Rule

RULE = Rule(
    "PRO004",
    "message-not-written",
    "Keep the message, and tell its consumers before it ends.",
    frozenset({"consumer"}),
)


def check(pair: UnwrittenMessage) -> Sequence[Problem]:
    return (Problem(f"{pair.place} is read, and the writer has no such message"),)
