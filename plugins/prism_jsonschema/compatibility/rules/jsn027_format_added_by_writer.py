"""The writer declares a format where the reader knows of none.

Why: The text means something that it did not mean when the contract was made, such as an instant in place of free text.

Example: written `{"type": "string", "format": "date-time"}`, read `{"type": "string"}`.

Instead: Add a property in the new format; or agree with the consumer that the text was of that format all along.

Confluent: ignores formats. Only a consumer's contract asks for it.
"""

from __future__ import annotations

from prism_jsonschema.compatibility.pairs import Meaning
from prism_jsonschema.compatibility.wording import TEXTS, formats
from prismlib.contracts.rules import Rule

RULE = Rule(
    "JSN027",
    "format-added-by-writer",
    "add a property in the new format, or derive the contract again with the consumer's consent",
    frozenset({"consumer"}),
)


def check(pair: Meaning) -> str | None:
    """A format of the writer's alone."""
    written = formats(pair.writer.parts)
    if pair.whole or not pair.writer.types & TEXTS or not written or formats(pair.reader.parts):
        return None
    if any(part.any_of or part.one_of for part in pair.reader.parts):  # the branch that takes it says more
        return None
    return f"{pair.place.subject} is written {written} and read without a format"
