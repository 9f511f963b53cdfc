"""Functions that ``mappings/flights.toml`` names."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache

NOT_AVAILABLE = "NA"


@lru_cache(maxsize=4096)
def scheduled_departure(time_hour: str, minute: int) -> str:
    """The scheduled departure in UTC, such as ``2013-01-01T10:15:00Z``.

    Args:
        time_hour: its hour in UTC, such as ``2013-01-01T10:00:00Z``.
        minute: minutes after that, 0 to 59.

    Raises:
        ValueError: ``time_hour`` is no UTC time.
    """
    hour = datetime.fromisoformat(time_hour)
    if hour.utcoffset() != timedelta(0):
        raise ValueError("time_hour must be in UTC")
    return (hour + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M:%SZ")


def cancelled(dep_time: str) -> bool:
    """Whether the flight never departed."""
    return dep_time == NOT_AVAILABLE


@lru_cache(maxsize=4096)
def clock(hhmm: str) -> str | None:
    """A local time of day: ``"515"`` as ``"05:15"``, None for ``"NA"``. Midnight at a day's end stays ``"24:00"``.

    Raises:
        ValueError: it is no time of day.
    """
    if hhmm == NOT_AVAILABLE:
        return None
    hours, minutes = divmod(int(hhmm), 100)
    if not (0 <= hours <= 24 and 0 <= minutes < 60) or hours * 60 + minutes > 24 * 60:
        raise ValueError("not a time of day")
    return f"{hours:02}:{minutes:02}"
