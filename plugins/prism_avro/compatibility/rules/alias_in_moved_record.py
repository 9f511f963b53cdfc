"""A field is read by an alias, in a record whose namespace differs.

What:
    The writer's field has the name of an alias of the reader's field, and the record around it has another full name than the
    reader's, which is not among the aliases of the reader's record.

Why:
    Records match by their short names, but Avro Java looks aliases of fields up by the full name of the record, and finds none:
    decoding fails, or gives the default in silence.

Example:
    Written ``record ops.Flight`` with ``tail``, read ``record flights.Flight`` with ``{"name": "tailnum", "aliases": ["tail"], ...}``.

Instead:
    Give the reader's record the old full name as an alias, too: ``"aliases": ["ops.Flight"]``.

Confluent:
    Calls it compatible, although Avro Java then cannot decode a record; here it fails.
"""

from __future__ import annotations

from prism_avro.compatibility.pairs import Fields
from prism_avro.compatibility.wording import subject
from prismlib.contracts.rules import Rule

RULE = Rule(
    "AVR020",
    "alias-in-moved-record",
    "Give the reader's record the old full name as an alias, too.",
)


def check(pair: Fields) -> str | None:
    """An alias that Java does not find."""
    reader, writer = pair.records
    if not pair.writers or pair.writers[0].name == pair.reader.name:
        return None
    if reader.name == writer.name or writer.name in reader.aliases:
        return None
    return (
        f"{subject(pair.place)} is written as {pair.writers[0].name!r}, which is an alias, in record {writer.name}, "
        f"which is none of record {reader.name}"
    )
