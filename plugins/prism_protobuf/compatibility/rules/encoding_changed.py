"""A number or text is read by another encoding than it is written in.

Why: Integers, zigzag integers, numbers of four and of eight bytes, and text are written in different ways. Where the
wire type differs the value is dropped and reads as zero; where it does not, as between `int32` and `sint32`, it is
another number.

Example: `int32 temp = 2;` is read as `sint32 temp = 2;`: 1 is read as -1.

Instead: Add a field with a number of its own.

Confluent: Agrees (FIELD_SCALAR_KIND_CHANGED).
"""

from __future__ import annotations

from collections.abc import Sequence

from prism_protobuf.compatibility.kinds import encoding
from prism_protobuf.compatibility.pairs import Problem, Types
from prismlib.contracts.rules import Rule

RULE = Rule(
    "PRO006",
    "encoding-changed",
    "Add a field with a number of its own.",
)


def check(pair: Types) -> Sequence[Problem]:
    reader, writer = encoding(pair.reader), encoding(pair.writer)
    if reader == writer or not reader or not writer:
        return ()
    return (
        Problem(
            f"{pair.subject} is written as {pair.writer.type_name}, and read as {pair.reader.type_name}, which is encoded otherwise"
        ),
    )
