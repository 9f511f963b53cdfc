"""Symbols that the reader does not know become its enum's default in silence.

What:
    The writer's symbols are not all among the reader's, and the reader's enum has a default.

Why:
    Everything decodes, and what was written is lost: a cancelled flight is counted as unknown.

Example:
    Written ``["ON_TIME", "CANCELLED"]``, read ``{"symbols": ["ON_TIME", "UNKNOWN"], "default": "UNKNOWN"}``.

Instead:
    Consumers add the symbol before the producer writes it. If taking it for the default is what the consumer wants, waive the finding.

Confluent:
    Calls it compatible, and so does the profile ``confluent``.
"""

from __future__ import annotations

from prism_avro.compatibility.pairs import Met
from prism_avro.compatibility.wording import listed, subject, unknown_symbols
from prism_avro.schema import Enum
from prismlib.contracts.rules import Rule

RULE = Rule(
    "AVR014",
    "enum-symbol-read-as-default",
    "Add the symbol to every reader first.",
    frozenset({"wire", "consumer"}),
)


def check(pair: Met) -> str | None:
    """Symbols that the default swallows."""
    match pair.reader, pair.writer:
        case Enum(default=str() as default) as reader, Enum() as writer:
            unknown = unknown_symbols(reader, writer)
            if unknown:
                return f"{subject(pair.place)} may be written as {listed(unknown)}, and is read as {default!r} then"
    return None
