"""Times of any notation to the one of standard events: RFC 3339 in UTC, such as ``2013-01-01T10:00:00Z``.

A fraction is written only when there is one, with three digits or six. Event times repeat: within an hour, a minute, or
a batch, so what was parsed last is remembered, up to a bound.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

EPOCHS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
"""Microseconds of one unit, by name of the notation."""

REMEMBERED = 4096
"""Values one field remembers; all are forgotten when there are more, so that it stays small whatever comes."""

_DAY = re.compile(r"%[YyGcx]")
_ZONE = re.compile(r"%:?z")
_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001  # always UTC here; the Z is appended as text


class NoOffsetError(ValueError):
    """The time says neither its offset from UTC, nor does the mapping name a time zone."""


def check_notation(notation: str, time_zone: str | None) -> None:
    """Refuse a ``parse`` or ``time_zone`` that cannot work.

    Raises:
        ValueError: one sentence for the person who wrote it.
    """
    if time_zone is not None:
        try:
            ZoneInfo(time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"time_zone {time_zone!r} is no time zone; write one such as 'America/New_York'") from None
    if notation in EPOCHS:
        if time_zone is not None:
            raise ValueError(f"time_zone does not go with {notation!r}, which counts from 1970 in UTC")
        return
    if notation == "iso8601":
        return
    if "%" not in notation:
        raise ValueError(
            f"{notation!r} is no notation of a time; known are iso8601, {', '.join(EPOCHS)}, and formats such as '%d/%m/%Y %H:%M'"
        )
    if not _DAY.search(notation):
        raise ValueError(f"the format {notation!r} has no year; a time of an unknown day cannot be placed")
    sample = dt.datetime(2001, 2, 3, 4, 5, 6, tzinfo=dt.UTC)
    try:
        dt.datetime.strptime(sample.strftime(notation), notation)  # noqa: DTZ007  # only whether the format can be read
    except ValueError as error:
        raise ValueError(f"the format {notation!r} cannot be read back: {error}") from None
    if time_zone is None and not _ZONE.search(notation):
        raise ValueError(f'the format {notation!r} has no offset (%z); add time_zone = "..."')


def time_parser(notation: str, time_zone: str | None) -> tuple[Callable[[Any], str], dict[str, str] | None]:
    """A function that turns one value into text, and what it remembers, for a caller that looks there first.

    The function raises ValueError, TypeError or OverflowError for what is no such time. Local times that occur twice,
    when clocks go back, are taken as the first of the two.
    """
    if notation in EPOCHS:
        return _epoch_parser(EPOCHS[notation]), None
    zone = ZoneInfo(time_zone) if time_zone else None
    memory: dict[str, str] = {}
    fromisoformat, strptime, iso = dt.datetime.fromisoformat, dt.datetime.strptime, notation == "iso8601"

    def parse(value: Any) -> str:
        if value.__class__ is not str:
            if not isinstance(value, dt.datetime):
                raise TypeError("neither text nor a datetime")
            return in_utc(value, zone)
        moment = fromisoformat(value) if iso else strptime(value, notation)
        text = in_utc(moment, zone)
        if len(memory) >= REMEMBERED:
            memory.clear()
        memory[value] = text
        return text

    return parse, memory


def in_utc(moment: dt.datetime, zone: dt.tzinfo | None = None) -> str:
    """RFC 3339 in UTC; ``zone`` is for a moment that has none itself.

    Raises:
        NoOffsetError: neither has one.
        OverflowError: it is outside the years 1 to 9999 in UTC.
    """
    if moment.tzinfo is None:
        if zone is None:
            raise NoOffsetError
        moment = moment.replace(tzinfo=zone)
    moment = moment.astimezone(dt.UTC)
    timespec = "seconds" if not moment.microsecond else "microseconds" if moment.microsecond % 1000 else "milliseconds"
    return moment.replace(tzinfo=None).isoformat(timespec=timespec) + "Z"


def _epoch_parser(unit: int) -> Callable[[Any], str]:
    per_minute = 60_000_000 // unit
    per_second = 1_000_000 // unit
    digits = len(str(per_second)) - 1
    memory: dict[int, str] = {}

    def parse(value: Any) -> str:
        if value.__class__ is not int:
            value = _count(value, unit)
        minute, rest = divmod(value, per_minute)
        prefix = memory.get(minute)
        if prefix is None:
            if len(memory) >= REMEMBERED:
                memory.clear()
            prefix = memory[minute] = (_EPOCH + dt.timedelta(minutes=minute)).isoformat(timespec="minutes")
        second, fraction = divmod(rest, per_second)
        if not fraction:
            return f"{prefix}:{second:02d}Z"
        if digits > 3 and not fraction % 1000:
            return f"{prefix}:{second:02d}.{fraction // 1000:03d}Z"
        return f"{prefix}:{second:02d}.{fraction:0{digits}d}Z"

    return parse


def _count(value: Any, unit: int) -> Any:
    if isinstance(value, dt.datetime):
        if value.tzinfo is None:
            raise NoOffsetError
        return (value - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=unit)
    if value.__class__ is str:
        return int(value)
    if value.__class__ is float and value.is_integer():
        return int(value)
    raise TypeError("neither a whole number nor a datetime")
