"""A list is read as a single value, or a single value as a list.

Why: Of a list of texts a reader of one gets the last; of a list of messages it gets all of them merged into one; a
list of numbers it mostly drops. The other way round it gets a list of one, or an empty one where the value was zero.

Example: `string alternate = 5;` is read as `repeated string alternate = 5;`.

Instead: Add a field for the list, and fill both until the last reader has moved.

Confluent: Compatible for texts and messages, and for numbers where one of the labels is left out; the policy
`confluent` follows: no record fails.
"""

from __future__ import annotations

from collections.abc import Sequence

from prism_protobuf.compatibility.pairs import Fields, Problem
from prismlib.contracts.rules import Rule

RULE = Rule(
    "PRO015",
    "list-as-single",
    "Add a field for the list, and fill both until the last reader has moved.",
    frozenset({"wire", "consumer"}),
)


def check(pair: Fields) -> Sequence[Problem]:
    reader, writer = pair.reader, pair.writer
    if reader.repeated == writer.repeated or reader.entry is not None or writer.entry is not None:
        return ()
    read, written = ("a list", "a single value") if reader.repeated else ("a single value", "a list")
    return (Problem(f"{pair.place} is written as {written}, and read as {read}"),)
