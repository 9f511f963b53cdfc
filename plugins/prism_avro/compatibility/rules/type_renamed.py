"""A record, enum or fixed has another name in the reader.

What:
    The names without namespace differ, and none of the reader's aliases is the writer's full name.

Why:
    Avro matches named types by name. The bytes would still decode, and some libraries let them; others refuse, and in a union the
    name is what tells the branches apart.

Example:
    Written ``record shop.Order``, read ``record shop.Purchase``.

Instead:
    Keep the name. If it has to change, the reader gets ``"aliases": ["shop.Order"]``; readers of before the change still need the
    old name, so deploy the consumers first.

Confluent:
    Agrees (NAME_MISMATCH): another namespace is fine, another name is not, and only the reader's aliases count.
"""

from __future__ import annotations

from prism_avro.compatibility.pairs import Met
from prism_avro.compatibility.walker import same_name
from prism_avro.compatibility.wording import subject
from prism_avro.schema import Enum, Fixed, Record, describe
from prismlib.contracts.rules import Rule

RULE = Rule(
    "AVR002",
    "type-renamed",
    "Keep the name, or give the reader's type the old full name as an alias.",
)


def check(pair: Met) -> str | None:
    """Named types whose names do not match."""
    match pair.reader, pair.writer:
        case (Record() | Enum() | Fixed()) as reader, (Record() | Enum() | Fixed()) as writer:
            if not same_name(reader, writer):
                return f"{subject(pair.place)} is written as {describe(writer)} and read as {describe(reader)}"
    return None
