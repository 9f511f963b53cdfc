"""The label of a number is another one.

Why: A list of numbers is written in one piece, which a reader of one number drops. Between `optional` and `required`,
or where a list is what reads, the bytes are fine.

Example: `optional int32 gusts = 5;` is read as `repeated int32 gusts = 5;`.

Instead: Keep the label.

Confluent: Agrees (FIELD_NUMERIC_LABEL_CHANGED), so the label counts where it is written: a number of proto3 without
one may become a list. The policies `wire` and `consumer` have rules of their own for lists and for `required`.
"""

from __future__ import annotations

from collections.abc import Sequence

from prism_protobuf.compatibility.kinds import TEXT, encoding
from prism_protobuf.compatibility.pairs import Fields, Problem
from prismlib.contracts.rules import Rule

RULE = Rule(
    "PRO014",
    "numeric-label-changed",
    "Keep the label.",
    frozenset({"confluent"}),
)


def check(pair: Fields) -> Sequence[Problem]:
    reader, writer = pair.reader, pair.writer
    if reader.label == writer.label or not reader.label or not writer.label:
        return ()
    if encoding(reader) != encoding(writer) or encoding(reader) in ("", TEXT):
        return ()
    return (Problem(f"{pair.place} is written as {writer.label}, and read as {reader.label}"),)
