"""The reader lacks a message that is only a part of others.

Why: Nothing on the wire: the fields that hold it are looked at by themselves. Code that uses the message by its name
does not compile any more.

Example: `message Position` was held by a field `position`, and both were removed.

Instead: Keep the message where others import it.

Confluent: Agrees (MESSAGE_REMOVED): every message of the file counts, whether a record can be of it or not. The
policy `wire` does not follow.
"""

from __future__ import annotations

from collections.abc import Sequence

from prism_protobuf.compatibility.pairs import Problem, UnreadMessage
from prismlib.contracts.rules import Rule

RULE = Rule(
    "PRO003",
    "inner-message-unknown-to-reader",
    "Keep the message where others import it.",
    frozenset({"confluent"}),
)


def check(pair: UnreadMessage) -> Sequence[Problem]:
    if pair.root:
        return ()
    return (Problem(f"{pair.place} is a part of what is written, and the reader has no such message"),)
