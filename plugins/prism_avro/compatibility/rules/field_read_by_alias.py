"""A field is written under another name, and read by an alias.

What:
    The writer's field has the name of one of the aliases of the reader's.

Why:
    It decodes, and it is a note in every profile: this reader is fine only because of its alias, which other readers may not have.

Example:
    Written ``{"name": "tail_number", "type": "string"}``, read ``{"name": "tailnum", "aliases": ["tail_number"], "type": "string"}``.

Instead:
    Nothing. Take the alias away once nothing that is kept was written under the old name.

Confluent:
    Agrees: aliases work on the reader's side, so that a rename passes BACKWARD and fails FORWARD and FULL.
"""

from __future__ import annotations

from prism_avro.compatibility.pairs import Fields
from prism_avro.compatibility.wording import subject
from prismlib.contracts.rules import Rule

RULE = Rule(
    "AVR018",
    "field-read-by-alias",
    "Nothing, while the alias stays in the reader; readers without it break.",
    frozenset(),
)


def check(pair: Fields) -> str | None:
    """A match by an alias."""
    if not pair.writers or pair.writers[0].name == pair.reader.name:
        return None
    return f"{subject(pair.place)} is written as {pair.writers[0].name!r}, and read by its alias"
