"""The same bytes mean something else: the logical type differs.

What:
    One side has a logical type that the other has not, or another one. Other units of time, and other decimals, have rules of their
    own. A logical type that does not fit its type, such as ``date`` on a long, counts for none, as for every Avro library.

Why:
    Everything decodes, and a number of days is taken for a number, or code that expects a date gets an integer.

Example:
    Written ``{"type": "int", "logicalType": "date"}``, read ``"int"``.

Instead:
    Add a field of the new logical type. If the values are the same and only the schema says more now, waive the finding.

Confluent:
    Ignores logical types, and so does the profile ``confluent``, although a library that converts may fail: text that is no uuid, a
    date beyond its calendar.
"""

from __future__ import annotations

from prism_avro.compatibility.pairs import Met
from prism_avro.compatibility.wording import is_decimal, logical, subject, time_unit
from prism_avro.schema import Union, kind_of
from prismlib.contracts.rules import Rule

RULE = Rule(
    "AVR010",
    "logical-type-changed",
    "Keep the logical type, and add a field for values of the new kind.",
    frozenset({"wire", "consumer"}),
)


def check(pair: Met) -> str | None:
    """Logical types that differ in kind."""
    reader, writer = pair.reader, pair.writer
    if isinstance(reader, Union) or isinstance(writer, Union) or (is_decimal(reader) and is_decimal(writer)):
        return None
    read, written = logical(reader), logical(writer)
    if read == written:
        return None
    units = time_unit(reader), time_unit(writer)
    if units[0] and units[1] and units[0][0] == units[1][0]:
        return None
    was, now = written or f"plain {kind_of(writer)}", read or f"plain {kind_of(reader)}"
    return f"{subject(pair.place)} is written as {was} and read as {now}"
