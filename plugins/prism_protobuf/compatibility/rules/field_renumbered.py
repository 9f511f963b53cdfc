"""The field of that name has another number.

Why: A reader looks for the number. It finds nothing, or another field.

Example: `int32 temp = 2;` is written, and read as `int32 temp = 5;`.

Instead: Keep the number. The order of fields in the file means nothing.

Confluent: Compatible: it sees a field that was removed and another that was added.
"""

from __future__ import annotations

from collections.abc import Sequence

from prism_protobuf.compatibility.pairs import Fields, Problem, UnwrittenField
from prismlib.contracts.rules import Rule

RULE = Rule(
    "PRO022",
    "field-renumbered",
    "Keep the number. The order of fields in the file means nothing.",
    frozenset({"wire", "consumer"}),
    misreads=True,
)


def check(pair: Fields | UnwrittenField) -> Sequence[Problem]:
    one = pair.messages.writer.field_named(pair.reader.name)
    if one is None or one.number == pair.reader.number:
        return ()
    return (Problem(f"{pair.place} is written at number {one.number}, and read at number {pair.reader.number}"),)
