"""Record timestamps as people read them."""

from __future__ import annotations

from datetime import UTC, datetime


def utc(timestamp_ms: int) -> str:
    """A time for people, of milliseconds since the epoch; producers may write any number."""
    if timestamp_ms < 0:
        return "an unknown time"
    try:
        return datetime.fromtimestamp(timestamp_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{timestamp_ms} ms"
