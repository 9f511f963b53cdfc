"""An enum or fixed has another namespace in the reader, inside a union that changed as well.

What:
    The reader has a union with an enum or fixed of the writer's short name and another namespace, without an alias for the writer's
    full name; and the writer has no union there, or one with other branches, another order or other insides.

Why:
    Where two unions are the same but for namespaces, libraries go by the position of the branch. Otherwise Avro Java looks for the full
    name, and decoding fails for each record that holds such a value. Records are safe: they are found by their fields.

Example:
    Written ``["null", "ops.Status"]``, read ``["null", "flights.Status", "string"]``.

Instead:
    Keep the namespace, or give the reader's type the old full name as an alias.

Confluent:
    Calls it compatible, as it does every change of a namespace, although Avro Java then cannot decode a record; here it fails.
"""

from __future__ import annotations

from prism_avro.compatibility.pairs import Met
from prism_avro.compatibility.wording import subject
from prism_avro.schema import Enum, Fixed, Union, describe, short_name
from prismlib.contracts.rules import Rule

RULE = Rule(
    "AVR019",
    "namespace-changed-in-union",
    "Keep the namespace, or give the reader's type the old full name as an alias.",
)


def check(pair: Met) -> str | None:
    """Found by the short name, in unions that differ."""
    match pair.reader, pair.writer:
        case (Enum() | Fixed()) as reader, (Enum() | Fixed()) as writer if isinstance(pair.around.reader, Union):
            if reader.name == writer.name or writer.name in reader.aliases:
                return None
            if short_name(reader.name) != short_name(writer.name) or pair.around.equivalent():
                return None
            return (
                f"{subject(pair.place)} is written as {describe(writer)} and read as {describe(reader)}, "
                "in unions that differ"
            )
    return None
