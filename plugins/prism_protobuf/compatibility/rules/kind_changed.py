"""A field is a message on one side, and on the other a map, a group or no message at all.

Why: Their bytes have nothing in common. A reader drops what it finds, or takes it for something else.

Example: `int32 position = 3;` is read as `Position position = 3;`.

Instead: Add a field with a number of its own.

Confluent: Agrees (FIELD_KIND_CHANGED), and goes further: Confluent does not look at groups, nor at the message
encoding of editions, where a reader drops what was written.
"""

from __future__ import annotations

from collections.abc import Sequence

from prism_protobuf.compatibility.kinds import kind
from prism_protobuf.compatibility.pairs import Problem, Types
from prism_protobuf.compatibility.walker import is_map_beside_messages
from prismlib.contracts.rules import Rule

RULE = Rule(
    "PRO005",
    "kind-changed",
    "Add a field with a number of its own.",
)


def check(pair: Types) -> Sequence[Problem]:
    reader, writer = kind(pair.reader), kind(pair.writer)
    if reader == writer or is_map_beside_messages(pair.reader, pair.writer):
        return ()
    return (
        Problem(
            f"{pair.subject} is written as {writer} ({pair.writer.type_name}), and read as {reader} ({pair.reader.type_name})"
        ),
    )
