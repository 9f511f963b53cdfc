"""Members of several oneofs are members of one for the reader.

Why: Of a record that has one of each, a reader keeps the last and drops the others.

Example: `oneof a { string gate = 1; } oneof b { string stand = 2; }` are read as one oneof.

Instead: Keep the oneofs apart.

Confluent: Compatible, and the policy `confluent` follows: it looks at fields outside of oneofs alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from prism_protobuf.compatibility.kinds import listed, oneofs
from prism_protobuf.compatibility.pairs import Messages, Problem
from prismlib.contracts.rules import Rule

RULE = Rule(
    "PRO030",
    "oneofs-merged",
    "Keep the oneofs apart.",
    frozenset({"wire", "consumer"}),
)


def check(pair: Messages) -> Sequence[Problem]:
    found = []
    for oneof, _, existing in oneofs(pair):
        written = {
            pair.writer.fields[one.number].oneof
            for one in pair.reader.fields.values()
            if one.oneof == oneof and one.number in pair.writer.fields
        }
        several = sorted(written - {""})
        if len(several) > 1:
            found.append(
                Problem(
                    f"{listed(existing)} are written in oneofs {listed(several)}, and members of oneof {oneof!r} alone where they are read",
                    oneof,
                )
            )
    return found
