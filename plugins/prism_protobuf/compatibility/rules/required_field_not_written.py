"""A field is required by the reader, and not written.

Why: Decoding fails for every record.

Example: The reader has `required string station = 4;`, and the writer has no field 4.

Instead: Make a new field optional. A required field stays for ever.

Confluent: Agrees (REQUIRED_FIELD_ADDED), and goes further: Confluent knows the word `required` alone, and not the
feature `LEGACY_REQUIRED` of editions.
"""

from __future__ import annotations

from collections.abc import Sequence

from prism_protobuf.compatibility.pairs import Problem, UnwrittenField
from prismlib.contracts.rules import Rule

RULE = Rule(
    "PRO016",
    "required-field-not-written",
    "Make a new field optional. A required field stays for ever.",
)


def check(pair: UnwrittenField) -> Sequence[Problem]:
    if not pair.reader.required:
        return ()
    return (Problem(f"{pair.place} is required where it is read, and the writer has no field {pair.reader.number}"),)
