"""The package is another one.

Why: The full name of every message has changed. The bytes are the same, but code is generated under other names, a
decoder that was told the full name of its message finds none, and `Any` names messages by it.

Example: `package airtraffic;` becomes `package airtraffic.v2;`.

Instead: Keep the package. A new package is a new subject.

Confluent: Agrees (PACKAGE_CHANGED).
"""

from __future__ import annotations

from collections.abc import Sequence

from prism_protobuf.compatibility.pairs import Files, Problem
from prismlib.contracts.rules import Rule

RULE = Rule(
    "PRO001",
    "package-changed",
    "Keep the package. A new package is a new subject.",
    frozenset({"confluent", "consumer"}),
)


def check(pair: Files) -> Sequence[Problem]:
    reader, writer = pair.reader.package, pair.writer.package
    if reader == writer:
        return ()
    return (
        Problem(f"the package is {writer or 'none'!r} where it is written, and {reader or 'none'!r} where it is read"),
    )
