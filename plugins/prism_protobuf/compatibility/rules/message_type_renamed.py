"""A field holds a message of another name.

Why: Messages have no names on the wire, and their fields are compared whatever they are called. Code that uses the
message by its name does not compile any more.

Example: `Position at = 3;` is read as `Location at = 3;`.

Instead: Keep the name.

Confluent: Agrees (FIELD_NAMED_TYPE_CHANGED): the name within its package counts, the package does not. The policies
`wire` and `consumer` compare what is inside, so that a contract can hold an imported message under a name of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from prism_protobuf.compatibility.pairs import Problem, Types
from prismlib.contracts.rules import Rule

RULE = Rule(
    "PRO008",
    "message-type-renamed",
    "Keep the name.",
    frozenset({"confluent"}),
)


def check(pair: Types) -> Sequence[Problem]:
    reader, writer = pair.reader.message, pair.writer.message
    if reader is None or writer is None or reader.is_entry or writer.is_entry or reader.name == writer.name:
        return ()
    return (
        Problem(f"{pair.subject} is written as message {writer.full_name}, and read as message {reader.full_name}"),
    )
