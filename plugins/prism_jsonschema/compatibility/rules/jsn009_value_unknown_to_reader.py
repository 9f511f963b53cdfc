"""A value can be written that is not among those that the reader lists.

Why: `enum` and `const` of the reader refuse the record; code that switches over the values meets one that it does not
know.

Example: written `{"enum": ["on", "off", "standby"]}`, read `{"enum": ["on", "off"]}`; or read with an `enum` where the
writer has none.

Instead: Let the readers know the new value before the first writer sends it.

Confluent: agrees (ENUM_ARRAY_NARROWED, ENUM_ARRAY_CHANGED).
"""

from __future__ import annotations

from prism_jsonschema.compatibility.nodes import written
from prism_jsonschema.compatibility.pairs import Values
from prism_jsonschema.compatibility.wording import listed
from prismlib.contracts.rules import Rule

RULE = Rule("JSN009", "value-unknown-to-reader", "add the value to the readers before the first writer sends it")


def check(pair: Values) -> str | None:
    """``enum`` and ``const``."""
    known = pair.reader.values
    if known is None:
        return None
    if pair.writer.values is None:
        return f"{pair.place.subject} can be written with any value, and the reader knows {listed(map(written, known))}"
    lost = pair.writer.values - known
    if not lost:
        return None
    return f"{pair.place.subject} can be written as {listed(map(written, lost))}, which the reader does not know"
