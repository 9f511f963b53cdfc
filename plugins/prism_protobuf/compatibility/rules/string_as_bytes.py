"""Text is read as bytes, or bytes as text.

Why: A record with bytes that are no UTF-8 cannot be read as `string`: the whole record fails. The other way round all
records decode, and code that expects text gets bytes.

Example: `bytes raw = 6;` is read as `string raw = 6;`.

Instead: Add a field of the other type.

Confluent: Calls it compatible, and the policy `confluent` follows, although bytes may not decode: only who writes
them knows whether they are text.
"""

from __future__ import annotations

from collections.abc import Sequence

from prism_protobuf.compatibility import model
from prism_protobuf.compatibility.pairs import Problem, Types
from prismlib.contracts.rules import Rule

RULE = Rule(
    "PRO013",
    "string-as-bytes",
    "Add a field of the other type.",
    frozenset({"wire", "consumer"}),
)


def check(pair: Types) -> Sequence[Problem]:
    if {pair.reader.type, pair.writer.type} != {model.STRING, model.BYTES}:
        return ()
    return (Problem(f"{pair.subject} is written as {pair.writer.type_name}, and read as {pair.reader.type_name}"),)
