"""A field is required by the reader, and the writer may leave it out.

Why: Decoding fails for every record without it.

Example: `optional string station = 4;` is read as `required string station = 4;`.

Instead: Leave it optional, and check for it in code.

Confluent: Breaks for numbers (FIELD_NUMERIC_LABEL_CHANGED), and calls it compatible for texts and messages. The
policy `confluent` deviates there: records do not decode, which is plainly unsafe.
"""

from __future__ import annotations

from collections.abc import Sequence

from prism_protobuf.compatibility.pairs import Fields, Problem
from prismlib.contracts.rules import Rule

RULE = Rule(
    "PRO017",
    "required-field-optional-in-writer",
    "Leave it optional, and check for it in code.",
)


def check(pair: Fields) -> Sequence[Problem]:
    if not pair.reader.required or pair.writer.required:
        return ()
    return (Problem(f"{pair.place} is required where it is read, and may be left out where it is written"),)
