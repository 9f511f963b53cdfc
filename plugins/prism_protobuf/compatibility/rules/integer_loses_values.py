"""The reader's integer cannot hold every number of the writer's.

Why: Bits are cut off or taken for a sign, and nothing fails: 4294967295 of `uint32` is -1 as `int32`, and so is 2**32
- 1 of `int64`.

Example: `int64 bytes_sent = 7;` is read as `int32 bytes_sent = 7;`.

Instead: Read with a type that holds what is written, such as int64 for int32 and uint32, before anybody writes more.

Confluent: Compatible, and the policy `confluent` follows: they share an encoding.
"""

from __future__ import annotations

from collections.abc import Sequence

from prism_protobuf.compatibility.kinds import encoding, integers
from prism_protobuf.compatibility.pairs import Problem, Types
from prismlib.contracts.rules import Rule

RULE = Rule(
    "PRO010",
    "integer-loses-values",
    "Read with a type that holds what is written, such as int64 for int32 and uint32, before anybody writes more.",
    frozenset({"wire", "consumer"}),
)


def check(pair: Types) -> Sequence[Problem]:
    reader, writer = integers(pair.reader), integers(pair.writer)
    if reader is None or writer is None or encoding(pair.reader) != encoding(pair.writer):
        return ()
    if reader[0] <= writer[0] and writer[1] <= reader[1]:
        return ()
    return (
        Problem(
            f"{pair.subject} is written as {pair.writer.type_name}, and read as {pair.reader.type_name}, which cannot hold all of its numbers"
        ),
    )
