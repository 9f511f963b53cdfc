"""What consumers say that they really read, beside what their contracts say that they would."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_UNITS: Final = ((86_400_000, "day"), (3_600_000, "hour"), (60_000, "minute"))


@dataclass(frozen=True, slots=True)
class Usage:
    """What one consumer last read of one version.

    Attributes:
        consumer: its name.
        subject: what it reads.
        version: with which the records were written.
        fields: dotted paths.
        at_ms: when, in ms since the epoch.
    """

    consumer: str
    subject: str
    version: int
    fields: tuple[str, ...]
    at_ms: int


def last_read(at_ms: int | None, now_ms: int) -> str:
    """Such as ``"last read 2 hours ago"``; "" where nobody knows."""
    if at_ms is None:
        return ""
    for length, unit in _UNITS:
        count = (now_ms - at_ms) // length
        if count >= 1:
            return f"last read {count} {unit}{'s' if count > 1 else ''} ago"
    return "last read less than a minute ago"
