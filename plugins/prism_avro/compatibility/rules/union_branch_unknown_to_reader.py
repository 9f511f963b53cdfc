"""A union is written with a branch that the reader has no place for.

What:
    One branch of the writer's union matches no branch of the reader's, or not the reader's only type.

Why:
    Decoding fails for each record that holds a value of that branch.

Example:
    Written ``["null", "Departure", "Diversion"]``, read ``["null", "Departure"]``.

Instead:
    Consumers add the branch first, then the producer writes it. The order of branches does not matter.

Confluent:
    Agrees (MISSING_UNION_BRANCH), save in one corner: where a branch of the reader has the very name of what is written, that branch
    decides, as it does for Avro Java's decoder; Confluent is content if another branch of that short name could read it.
"""

from __future__ import annotations

from prism_avro.compatibility.pairs import Mismatched
from prism_avro.compatibility.wording import subject
from prism_avro.schema import describe, kind_of
from prismlib.contracts.rules import Rule

RULE = Rule(
    "AVR005",
    "union-branch-unknown-to-reader",
    "Add the branch to every reader first, or write the value to a field of its own.",
)


def check(pair: Mismatched) -> str | None:
    """A branch, save null, among what is written."""
    if not pair.branch or kind_of(pair.writer) == "null":
        return None
    written, read = describe(pair.writer), describe(pair.reader)
    return f"{subject(pair.place)} may be written as {written}, and is read as {read}"
