"""A field that a consumer reads is no longer written, and the default stands in for it in silence.

What:
    The writer has no field of that name, nor of an alias that the reader's field has, and the reader's field has a default.

Why:
    Everything decodes, and each record says the same: that is data loss, not compatibility. Between versions of one schema it is how
    Avro evolves, so the profiles for producers only note it.

Example:
    Written ``[{"name": "flight", "type": "int"}]``, read with ``{"name": "tailnum", "type": ["null", "string"], "default": null}``.

Instead:
    Deprecate the field, let the consumers stop reading it, derive their contracts again, then remove it.

Confluent:
    Calls it compatible; so do the profiles ``confluent`` and ``wire``. It fails for consumer contracts.
"""

from __future__ import annotations

from prism_avro.compatibility.pairs import Fields
from prism_avro.compatibility.wording import json_text, subject
from prismlib.contracts.rules import Rule

RULE = Rule(
    "AVR015",
    "unwritten-field-read-as-default",
    "Go on writing the field until the consumer has stopped reading it.",
    frozenset({"consumer"}),
)


def check(pair: Fields) -> str | None:
    """A field that its default fills."""
    field = pair.reader
    if pair.writers or not field.has_default or not pair.defaults.usable(field):
        return None
    hint = f"; it is now {pair.renamed!r}" if pair.renamed else ""
    return f"{subject(pair.place)} is read and not written, so it is always {json_text(field.default)}{hint}"
