"""A field is required by the writer, and the reader lacks it.

Why: This reader is fine. One with the other schema fails for every record that is written without the field, and that
is what the next writer will do.

Example: The writer has `required string station = 4;`, and the reader has no field 4.

Instead: Make it optional first, in all readers; remove it when nobody requires it any more.

Confluent: Agrees (REQUIRED_FIELD_REMOVED).
"""

from __future__ import annotations

from collections.abc import Sequence

from prism_protobuf.compatibility.pairs import Problem, UnreadField
from prismlib.contracts.rules import Rule

RULE = Rule(
    "PRO018",
    "required-field-unknown-to-reader",
    "Make it optional first, in all readers; remove it when nobody requires it any more.",
    frozenset({"confluent"}),
)


def check(pair: UnreadField) -> Sequence[Problem]:
    if not pair.writer.required:
        return ()
    return (Problem(f"{pair.place} is required where it is written, and the reader has no field {pair.writer.number}"),)
