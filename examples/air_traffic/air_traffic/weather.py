"""Weather records to standard events: the normalizer that ``pipelines/air-traffic.toml`` names."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")


def normalize(row: dict[str, Any]) -> dict[str, Any]:
    """One hour at one airport. A value that was not measured is not set in the record, and null in the event."""
    time, local_hour = observation(row["time_hour"])
    return {
        "id": f"weather-{row['origin']}-{local_hour}",
        "kind": "weather",
        "time": time,
        "airport": row["origin"],
        "measures": {
            "temperature_fahrenheit": row.get("temp"),
            "wind_speed_mph": row.get("wind_speed"),
        },
        "attributes": {},
    }


@lru_cache(maxsize=4096)
def observation(time_hour: str) -> tuple[str, str]:
    """The hour in UTC, such as ``2013-01-01T06:00:00Z``, and New York's date and hour, such as ``2013-01-01-01``.

    When clocks go back, one local hour comes twice; the second has ``b`` behind it, or it would replace the first.

    Raises:
        ValueError: the text is no time with an offset.
    """
    moment = datetime.fromisoformat(time_hour)
    if moment.tzinfo is None:
        raise ValueError("time_hour has no offset from UTC")
    local = moment.astimezone(NEW_YORK)
    utc = moment.astimezone(ZoneInfo("UTC"))
    return utc.strftime("%Y-%m-%dT%H:%M:%SZ"), local.strftime("%Y-%m-%d-%H") + ("b" if local.fold else "")
