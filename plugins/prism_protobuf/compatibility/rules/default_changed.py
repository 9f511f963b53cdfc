"""What a reader gets where nothing was written is another value than the writer means.

Why: A value that is the writer's default may not be on the wire at all. The reader puts its own in its place.

Example: `optional int32 retries = 3 [default = 5];` is read as `optional int32 retries = 3;`.

Instead: Never change a default. Set the value when writing.

Confluent: Compatible: Confluent does not look at defaults.
"""

from __future__ import annotations

from collections.abc import Sequence

from prism_protobuf.compatibility.kinds import encoding, shown
from prism_protobuf.compatibility.pairs import Fields, Problem
from prismlib.contracts.rules import Rule

RULE = Rule(
    "PRO020",
    "default-changed",
    "Never change a default. Set the value when writing.",
    frozenset({"wire", "consumer"}),
)


def check(pair: Fields) -> Sequence[Problem]:
    reader, writer = pair.reader, pair.writer
    if reader.default is None or writer.default is None or reader.required or writer.required:
        return ()
    if encoding(reader) != encoding(writer) or isinstance(reader.default, str) != isinstance(writer.default, str):
        return ()
    if reader.default == writer.default or shown(reader.default) == shown(writer.default) == "nan":
        return ()
    return (
        Problem(
            f"{pair.place} is {shown(writer.default)} for the writer where nothing is written, and {shown(reader.default)} for the reader"
        ),
    )
