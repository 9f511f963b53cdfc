"""The rows of the input files as the records that the three producers write."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FLIGHT_NUMBERS = ("year", "month", "day", "flight", "distance", "hour", "minute")
PLANE_NUMBERS = ("year", "engines", "seats", "speed")
WEATHER_NUMBERS = ("year", "month", "day", "hour")
WEATHER_MEASURES = (
    "temp",
    "dewp",
    "humid",
    "wind_dir",
    "wind_speed",
    "wind_gust",
    "precip",
    "pressure",
    "visib",
)


def flights(folder: Path) -> Iterator[dict[str, Any]]:
    """One dict per flight; the ``NA`` of the source stays, as its producer writes it."""
    for row in _rows(folder / "flights-2013-01.csv.gz"):
        yield {**row, **{name: int(row[name]) for name in FLIGHT_NUMBERS}}


def weather(folder: Path) -> Iterator[dict[str, Any]]:
    """One dict per airport and hour; what is ``NA`` in the source is not set."""
    for row in _rows(folder / "weather-2013-01.csv.gz"):
        record: dict[str, Any] = {"origin": row["origin"], "time_hour": row["time_hour"]}
        record.update((name, int(row[name])) for name in WEATHER_NUMBERS)
        record.update((name, float(row[name])) for name in WEATHER_MEASURES if row[name] != "NA")
        yield record


def planes(folder: Path) -> Iterator[dict[str, Any]]:
    """One dict per aircraft; what is ``NA`` in the source is None."""
    for row in _rows(folder / "planes.csv.gz"):
        yield {**row, **{name: None if row[name] == "NA" else int(row[name]) for name in PLANE_NUMBERS}}


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)
