"""A required field holds a closed enum that lacks a number which the writer can write.

Why: A number that a closed enum lacks is put among the unknown fields, and the required field counts as missing: decoding
fails for the whole record.

Example: In proto2 `required Status status = 3;` is written with `DIVERTED = 3;`, and the reader's enum has no 3.

Instead: Make the field optional in all readers first, or add the value to readers first.

Confluent: Compatible (ENUM_CONST_REMOVED). The policy `confluent` deviates: records do not decode, which is plainly unsafe.
"""

from __future__ import annotations

from collections.abc import Sequence

from prism_protobuf.compatibility import model
from prism_protobuf.compatibility.kinds import encoding, listed
from prism_protobuf.compatibility.pairs import Fields, Problem
from prismlib.contracts.rules import Rule

RULE = Rule(
    "PRO039",
    "required-enum-value-unknown-to-reader",
    "Make the field optional in all readers first, or add the value to readers first.",
)


def check(pair: Fields) -> Sequence[Problem]:
    reader, writer = pair.reader.enum, pair.writer.enum
    if not pair.reader.required or reader is None or not reader.closed:
        return ()
    if writer is None:
        if encoding(pair.writer) != encoding(pair.reader) or (
            pair.writer.type == model.BOOL and {0, 1} <= set(reader.values)
        ):
            return ()
        return (
            Problem(f"{pair.place} is required where it is read, and cannot hold every {pair.writer.type_name} there"),
        )
    unknown = [names[0] for number, names in writer.values.items() if number not in reader.values]
    if not unknown:
        return ()
    return (Problem(f"{pair.place} is required where it is read, and cannot hold {listed(unknown)} there"),)
