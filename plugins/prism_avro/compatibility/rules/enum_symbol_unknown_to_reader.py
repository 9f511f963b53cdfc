"""An enum is written with symbols that the reader does not know, and the reader's enum has no default.

What:
    The writer's symbols are not all among the reader's. A default of the *field* does not help: it stands for a field that is not
    written.

Why:
    Decoding fails for each record that holds such a symbol.

Example:
    Written ``["ON_TIME", "LATE", "DIVERTED"]``, read ``["ON_TIME", "LATE"]``.

Instead:
    Consumers add the symbol first, or their enum gets a default, such as ``"default": "UNKNOWN"``.

Confluent:
    Agrees (MISSING_ENUM_SYMBOLS).
"""

from __future__ import annotations

from prism_avro.compatibility.pairs import Met
from prism_avro.compatibility.wording import listed, subject, unknown_symbols
from prism_avro.schema import Enum
from prismlib.contracts.rules import Rule

RULE = Rule(
    "AVR006",
    "enum-symbol-unknown-to-reader",
    "Add the symbol to every reader first, or give the reader's enum a default.",
)


def check(pair: Met) -> str | None:
    """Symbols without a place."""
    match pair.reader, pair.writer:
        case Enum(default=None) as reader, Enum() as writer:
            unknown = unknown_symbols(reader, writer)
            if unknown:
                return (
                    f"{subject(pair.place)} may be written as {listed(unknown)}, and the reader's enum {reader.name} "
                    "has neither that nor a default"
                )
    return None
