"""Text may be no UTF-8 where it is written, and is checked where it is read.

Why: proto2 does not check text. A record with bytes that are none fails where proto3 reads it. It is a note in every
policy: few writers do that.

Example: `string remark = 4;` of proto2 is read as that of proto3.

Instead: See that what is written is UTF-8 before moving to proto3.

Confluent: Compatible.
"""

from __future__ import annotations

from collections.abc import Sequence

from prism_protobuf.compatibility import model
from prism_protobuf.compatibility.pairs import Problem, Types
from prismlib.contracts.rules import Rule

RULE = Rule(
    "PRO037",
    "text-not-checked-by-writer",
    "See that what is written is UTF-8.",
    frozenset(),
)


def check(pair: Types) -> Sequence[Problem]:
    if pair.reader.type != model.STRING or pair.writer.type != model.STRING:
        return ()
    if pair.writer.checked or not pair.reader.checked:
        return ()
    return (
        Problem(
            f"{pair.subject} is written without a check that it is UTF-8, and refused where it is read if it is not"
        ),
    )
