"""A value is taken by another branch of the reader than the one that describes it.

Why: What is written is no longer what its branch of the contract says, and passes only because another branch asks for
less. The properties that are read there may be gone or of another type.

Example: written `{"oneOf": [{"title": "Paid", "properties": {"at": {"type": "string"}}}, ...]}`, read `{"anyOf":
[{"title": "Paid", "properties": {"at": {"type": "integer"}}}, {}]}`.

Instead: See what changed in that branch, and take it back.

Confluent: looks for any branch that takes the value. Only a consumer's contract asks for the one that is meant.
"""

from __future__ import annotations

from prism_jsonschema.compatibility.pairs import OtherBranch
from prismlib.contracts.rules import Rule

RULE = Rule("JSN030", "taken-by-another-branch", "take back what changed in that branch", frozenset({"consumer"}))


def check(pair: OtherBranch) -> str | None:
    """Every pair of that kind is one."""
    return (
        f"{pair.place.subject}: what branch {pair.meant} of the reader describes is written so that only branch "
        f"{pair.taken} takes it"
    )
