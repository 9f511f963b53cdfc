"""A value may be written as null, and the reader takes no null.

What:
    The writer has a union with null, and the reader's type is without.

Why:
    Decoding fails for each record that holds a null: often months after the change, with the first such record.

Example:
    Written ``{"name": "tailnum", "type": ["null", "string"]}``, read ``{"name": "tailnum", "type": "string"}``.

Instead:
    Go on writing a value; or let all consumers read ``["null", "string"]`` before the producer writes the first null.

Confluent:
    Agrees (MISSING_UNION_BRANCH or TYPE_MISMATCH).
"""

from __future__ import annotations

from prism_avro.compatibility.pairs import Mismatched
from prism_avro.compatibility.wording import subject
from prism_avro.schema import describe, kind_of
from prismlib.contracts.rules import Rule

RULE = Rule(
    "AVR004",
    "null-unknown-to-reader",
    "Keep the field required, or make it nullable in every reader first.",
)


def check(pair: Mismatched) -> str | None:
    """A null among what is written."""
    if not pair.branch or kind_of(pair.writer) != "null":
        return None
    return f"{subject(pair.place)} may be written as null, and is read as {describe(pair.reader)}"
