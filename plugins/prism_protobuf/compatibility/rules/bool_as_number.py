"""A number is read as bool, or bool as a number.

Why: Every number but zero is read as true, and the number is gone. The other way round, true is read as 1.

Example: `int32 gusts = 5;` is read as `bool gusts = 5;`.

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
    "PRO011",
    "bool-as-number",
    "Add a field of the other type.",
    frozenset({"wire", "consumer"}),
)


def check(pair: Types) -> Sequence[Problem]:
    reader, writer = pair.reader.type, pair.writer.type
    if (reader == model.BOOL) == (writer == model.BOOL) or encoding(pair.reader) != encoding(pair.writer):
        return ()
    return (Problem(f"{pair.subject} is written as {pair.writer.type_name}, and read as {pair.reader.type_name}"),)
