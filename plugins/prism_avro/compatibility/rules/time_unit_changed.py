"""A time is written in one unit and read in another.

What:
    The logical types are of one family and differ in their unit: ``timestamp-``, ``local-timestamp-`` or ``time-``, and ``millis``,
    ``micros`` or ``nanos``.

Why:
    Everything decodes, and every time is off by a factor of 1,000 or a million: 2026 becomes January 1970, or the year 58,000.

Example:
    Written ``timestamp-millis``, read ``timestamp-micros``.

Instead:
    Add a field with the unit in its name.

Confluent:
    Ignores logical types, and so does the profile ``confluent``.
"""

from __future__ import annotations

from prism_avro.compatibility.pairs import Met
from prism_avro.compatibility.wording import logical, subject, time_unit
from prismlib.contracts.rules import Rule

RULE = Rule(
    "AVR011",
    "time-unit-changed",
    "Keep the unit, and add a field for the new one.",
    frozenset({"wire", "consumer"}),
    misreads=True,
)


def check(pair: Met) -> str | None:
    """One family, two units."""
    read, written = time_unit(pair.reader), time_unit(pair.writer)
    if not read or not written or read[0] != written[0] or read[1] == written[1]:
        return None
    return f"{subject(pair.place)} is written as {logical(pair.writer)} and read as {logical(pair.reader)}"
