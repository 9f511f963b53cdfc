"""A number is read as an enum, or an enum as a number.

Why: The number arrives, and not what it stands for: a reader without the enum has to know by heart that 2 is
CANCELLED. The other way round, numbers that the enum has not got arrive as unknown, or not at all.

Example: `Status status = 5;` is read as `int32 status = 5;`.

Instead: Add a field of the other type.

Confluent: Compatible, and the policy `confluent` follows: they share an encoding.
"""

from __future__ import annotations

from collections.abc import Sequence

from prism_protobuf.compatibility import model
from prism_protobuf.compatibility.kinds import encoding
from prism_protobuf.compatibility.pairs import Problem, Types
from prismlib.contracts.rules import Rule

RULE = Rule(
    "PRO012",
    "enum-as-number",
    "Add a field of the other type.",
    frozenset({"wire", "consumer"}),
)


def check(pair: Types) -> Sequence[Problem]:
    reader, writer = pair.reader.type, pair.writer.type
    if (reader == model.ENUM) == (writer == model.ENUM) or model.BOOL in (reader, writer):
        return ()
    if encoding(pair.reader) != encoding(pair.writer):
        return ()
    return (Problem(f"{pair.subject} is written as {pair.writer.type_name}, and read as {pair.reader.type_name}"),)
