"""On one side it can be told whether a value was set, and on the other it cannot.

Why: Where the writer leaves values out, a reader that cannot tell takes them for zero or "". Where the writer does
not write zeros, a reader that can tell takes them for values that are missing.

Example: `optional int32 delay = 5;` is written, and read as `int32 delay = 5;`.

Instead: Keep `optional` as it is.

Confluent: Compatible: the values are the same but for this.
"""

from __future__ import annotations

from collections.abc import Sequence

from prism_protobuf.compatibility.kinds import shown
from prism_protobuf.compatibility.pairs import Fields, Problem
from prismlib.contracts.rules import Rule

RULE = Rule(
    "PRO019",
    "presence-changed",
    "Keep `optional` as it is.",
    frozenset({"consumer"}),
)


def check(pair: Fields) -> Sequence[Problem]:
    reader, writer = pair.reader, pair.writer
    if reader.presence == writer.presence or reader.repeated or writer.repeated:
        return ()
    if reader.message is not None or writer.message is not None:
        return ()
    if reader.oneof or writer.oneof or reader.required or writer.required:
        return ()
    if writer.presence:
        return (
            Problem(f"{pair.place} may be left out where it is written, and is read as {shown(reader.default)} then"),
        )
    return (Problem(f"{pair.place} is not written when it is {shown(writer.default)}, and is read as missing then"),)
