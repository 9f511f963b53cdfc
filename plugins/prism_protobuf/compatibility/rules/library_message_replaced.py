"""A message of Protobuf's own library is read as another one, or as one of the schema's.

Why: Libraries make a value of `google.protobuf.Timestamp` and its like: a time, a duration, a number, a table. Of
another message of the same shape they do not.

Example: `google.protobuf.Timestamp at = 2;` is read as a message `Time` with the same two fields.

Instead: Keep the library's message, or add a field.

Confluent: Breaks as well, by the name of the message (FIELD_NAMED_TYPE_CHANGED).
"""

from __future__ import annotations

from collections.abc import Sequence

from prism_protobuf.compatibility.pairs import Problem, Types
from prism_protobuf.compatibility.walker import LIBRARY
from prismlib.contracts.rules import Rule

RULE = Rule(
    "PRO009",
    "library-message-replaced",
    "Keep the library's message, or add a field.",
    frozenset({"consumer"}),
)


def check(pair: Types) -> Sequence[Problem]:
    reader, writer = pair.reader.message, pair.writer.message
    if reader is None or writer is None or reader.full_name == writer.full_name:
        return ()
    if not (reader.full_name.startswith(LIBRARY) or writer.full_name.startswith(LIBRARY)):
        return ()
    return (Problem(f"{pair.subject} is written as {writer.full_name}, and read as {reader.full_name}"),)
