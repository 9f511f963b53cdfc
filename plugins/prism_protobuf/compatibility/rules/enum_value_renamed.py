"""A number of an enum has another name.

Why: The bytes are the same. But rows, JSON and code know the value by its name, and a new name is how people say that
it means something else.

Example: `CANCELLED = 2;` is written as `DIVERTED = 2;`.

Instead: Keep the name, or give the number both with `option allow_alias = true;`.

Confluent: Compatible (ENUM_CONST_CHANGED).
"""

from __future__ import annotations

from collections.abc import Sequence

from prism_protobuf.compatibility.pairs import Enums, Problem
from prismlib.contracts.rules import Rule

RULE = Rule(
    "PRO034",
    "enum-value-renamed",
    "Keep the name, or give the number both with `option allow_alias = true;`.",
    frozenset({"consumer"}),
)


def check(pair: Enums) -> Sequence[Problem]:
    found = []
    for number, names in pair.reader.values.items():
        written = pair.writer.values.get(number)
        if written is not None and not set(names) & set(written):
            found.append(
                Problem(
                    f"{number} of enum {pair.reader.full_name}, {names[0]} where it is read, is written as {written[0]}",
                    names[0],
                )
            )
    return found
