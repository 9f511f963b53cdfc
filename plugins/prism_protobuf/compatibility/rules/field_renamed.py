"""The field has another name.

Why: The bytes are the same. But the name is how rows, JSON and code know the field, and a new name is how people say
that it means something else.

Example: `int32 dep_delay = 6;` is written as `int32 departure_delay = 6;`.

Instead: Keep the name, or agree with the consumers first.

Confluent: Compatible (FIELD_NAME_CHANGED).
"""

from __future__ import annotations

from collections.abc import Sequence

from prism_protobuf.compatibility.pairs import Fields, Problem
from prismlib.contracts.rules import Rule

RULE = Rule(
    "PRO021",
    "field-renamed",
    "Keep the name, or agree with the consumers first.",
    frozenset({"consumer"}),
)


def check(pair: Fields) -> Sequence[Problem]:
    name = pair.writer.name
    if pair.reader.name == name or pair.messages.writer.field_named(pair.reader.name) is not None:
        return ()
    return (Problem(f"{pair.place} is written under the name {name!r}"),)
