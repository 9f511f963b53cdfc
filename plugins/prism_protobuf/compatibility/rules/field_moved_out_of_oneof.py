"""A field is a member of a oneof where it is written, and stands alone for the reader.

Why: It is missing whenever another member is set. A reader that takes it for a field of its own reads zero or ""
then.

Example: `oneof place { string gate = 1; string stand = 2; }` is written, and `string gate = 1;` read.

Instead: Leave old fields out of oneofs.

Confluent: Compatible.
"""

from __future__ import annotations

from collections.abc import Sequence

from prism_protobuf.compatibility.pairs import Fields, Problem
from prismlib.contracts.rules import Rule

RULE = Rule(
    "PRO029",
    "field-moved-out-of-oneof",
    "Leave old fields out of oneofs.",
    frozenset({"consumer"}),
)


def check(pair: Fields) -> Sequence[Problem]:
    if not pair.writer.oneof or pair.reader.oneof:
        return ()
    return (
        Problem(
            f"{pair.place} is a member of oneof {pair.writer.oneof!r} where it is written, and stands alone where it is read"
        ),
    )
