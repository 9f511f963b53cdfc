"""A field is a member of a oneof for the reader, and stands alone where it is written.

Why: Bytes and value are the same, as long as no other member is written with it, and only the writer's code knows
that. Besides, a reader can tell now whether it was set.

Example: `string gate = 1;` is read as `oneof place { string gate = 1; string stand = 2; }`.

Instead: Put new fields into a oneof, and never old ones.

Confluent: Compatible where it is the only one.
"""

from __future__ import annotations

from collections.abc import Sequence

from prism_protobuf.compatibility.pairs import Fields, Problem
from prismlib.contracts.rules import Rule

RULE = Rule(
    "PRO028",
    "field-moved-into-oneof",
    "Put new fields into a oneof, and never old ones.",
    frozenset({"wire", "consumer"}),
)


def check(pair: Fields) -> Sequence[Problem]:
    if not pair.reader.oneof or pair.writer.oneof:
        return ()
    return (Problem(f"{pair.place} is written alone, and a member of oneof {pair.reader.oneof!r} where it is read"),)
