"""A field is read, and the writer lacks its number.

Why: It reads as zero, "" or missing, without a word: data is lost, and nothing fails.

Example: A contract reads `wind_gust`, and the new version has no such field.

Instead: Keep the field until nobody reads it.

Confluent: Compatible (FIELD_REMOVED).
"""

from __future__ import annotations

from collections.abc import Sequence

from prism_protobuf.compatibility.pairs import Problem, UnwrittenField
from prismlib.contracts.rules import Rule

RULE = Rule(
    "PRO023",
    "field-not-written",
    "Keep the field until nobody reads it.",
    frozenset({"consumer"}),
)


def check(pair: UnwrittenField) -> Sequence[Problem]:
    one = pair.reader
    if one.required or pair.messages.writer.field_named(one.name) is not None:
        return ()
    return (Problem(f"{pair.place} is read, and the writer has no field {one.number}"),)
