"""A map is read as a list of messages, or the other way round.

Why: The bytes are the same if the message has the map's key and value as fields 1 and 2. But code gets a list where
it had a map, and a list can have one key twice.

Example: `map<string, int32> counts = 4;` is read as `repeated Count counts = 4;`.

Instead: Keep one of the two.

Confluent: Agrees (FIELD_KIND_CHANGED). The policy `wire` looks at the two fields instead.
"""

from __future__ import annotations

from collections.abc import Sequence

from prism_protobuf.compatibility.pairs import Problem, Types
from prism_protobuf.compatibility.walker import is_map_beside_messages
from prismlib.contracts.rules import Rule

RULE = Rule(
    "PRO007",
    "map-as-messages",
    "Keep one of the two.",
    frozenset({"confluent", "consumer"}),
)


def check(pair: Types) -> Sequence[Problem]:
    if not is_map_beside_messages(pair.reader, pair.writer):
        return ()
    return (Problem(f"{pair.subject} is written as {pair.writer.type_name}, and read as {pair.reader.type_name}"),)
