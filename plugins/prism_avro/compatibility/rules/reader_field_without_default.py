"""A field is read that is not written, and has no default to stand in for it.

What:
    The writer has no field of that name, nor of an alias that the reader's field has; and the reader's field has no default, or one
    that is no value of its type, such as a symbol that its enum has not got.

Why:
    Decoding fails for every record.

Example:
    Written ``[{"name": "flight", "type": "int"}]``, read with the additional field ``{"name": "tailnum", "type": "string"}``.

Instead:
    A new field gets a default. A field that somebody reads stays, until nobody does. A renamed field keeps the old name as an alias in
    the reader.

Confluent:
    Agrees (READER_FIELD_MISSING_DEFAULT_VALUE), and goes further: Confluent takes any default, although decoding fails when it is no
    value of its type.
"""

from __future__ import annotations

from prism_avro.compatibility.pairs import Fields
from prism_avro.compatibility.wording import subject
from prism_avro.schema import describe
from prismlib.contracts.rules import Rule

RULE = Rule(
    "AVR003",
    "reader-field-without-default",
    "Give the field a default in the reader, or go on writing it.",
)


def check(pair: Fields) -> str | None:
    """A field that nothing fills."""
    field = pair.reader
    if pair.writers:
        return None
    if not field.has_default:
        hint = f"; it is now {pair.renamed!r}, and aliases count in the reader only" if pair.renamed else ""
        return f"{subject(pair.place)} is read, has no default and is not written{hint}"
    if not pair.defaults.usable(field):
        return (
            f"{subject(pair.place)} is read and not written, and its default is not a value of {describe(field.type)}"
        )
    return None
