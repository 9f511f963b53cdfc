"""The document store for people and programs: count, get, iterate, and sums per day.

from prism_embedded import EmbeddedDocuments

with EmbeddedDocuments(".prism") as documents:
    documents.count("air-traffic")
    documents.per_day("air-traffic", time="time", time_zone="America/New_York", where={"kind": "departure"},
                      means=["measures.departure_delay_minutes"], counts={"attributes.cancelled": True})
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self, TypeAlias
from zoneinfo import ZoneInfo

import orjson

from prism_embedded import indices
from prism_embedded.database import Database, file_in
from prismlib.errors import ConfigError

Value: TypeAlias = str | int | float | bool

_PAGE: Final = 1_000
_NUMBER: Final = "CASE WHEN json_type(body, ?) IN ('integer', 'real') THEN json_extract(body, ?) END"


@dataclass(frozen=True, slots=True)
class Day:
    """The documents of one local day.

    Attributes:
        day: the day.
        documents: how many there are.
        means: the mean of each field that was asked for, None where no document of the day has it.
        counts: how many documents have the value that was asked for, by field.
    """

    day: dt.date
    documents: int
    means: Mapping[str, float | None]
    counts: Mapping[str, int]


class EmbeddedDocuments:
    """Reads documents through their alias. Methods raise as those of EmbeddedLog; ConfigError for an unknown alias."""

    def __init__(self, path: str | Path) -> None:
        """Open the file, which must exist.

        Args:
            path: the folder of ``[storage] path``, or the file itself, which ends with ``.db``.

        Raises:
            ConfigError: it is missing, or cannot be used; says why.
            UnreachableError: it is locked.
        """
        self.path = file_in(Path(path))
        self._database = Database(self.path)
        self._database.open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._database.close()

    def count(self, alias: str) -> int:
        """How many documents there are; deleted ones do not count."""
        number: int = self._database.query(
            "SELECT count(*) FROM documents WHERE generation = ? AND body IS NOT NULL", (self._generation(alias),)
        )[0][0]
        return number

    def get(self, alias: str, id_: str) -> dict[str, Any] | None:
        """One document with its ``_origin``, or None."""
        rows = self._database.query(
            "SELECT body FROM documents WHERE generation = ? AND id = ?", (self._generation(alias), id_)
        )
        return orjson.loads(rows[0][0]) if rows and rows[0][0] is not None else None

    def all(self, alias: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Id and document of every one, by id. What is written meanwhile may be among them or not."""
        generation = self._generation(alias)
        after = ""
        while rows := self._database.query(
            "SELECT id, body FROM documents WHERE generation = ? AND id > ? AND body IS NOT NULL ORDER BY id LIMIT ?",
            (generation, after, _PAGE),
        ):
            for id_, body in rows:
                yield id_, orjson.loads(body)
            after = rows[-1][0]

    def per_day(
        self,
        alias: str,
        *,
        time: str,
        time_zone: str = "UTC",
        where: Mapping[str, Value] | None = None,
        means: Sequence[str] = (),
        counts: Mapping[str, Value] | None = None,
    ) -> list[Day]:
        """Documents by local day, in order of the days; days without any are left out.

        Fields are dotted paths. A document whose time is missing or is none has no day, and is left out, as in a date
        histogram of Elasticsearch.

        Args:
            alias: of the documents.
            time: the field of their time, ISO 8601.
            time_zone: whose days, such as ``"America/New_York"``.
            where: fields that must have these values.
            means: fields to take the mean of, over the documents that have a number there.
            counts: fields and the value that a document must have there to be counted.

        Raises:
            ValueError: a field's name holds a quotation mark, or there is no such time zone.
        """
        zone = _zone(time_zone)
        conditions, counted = dict(where or {}), dict(counts or {})
        # Sums a minute, and days of them: no minute lies in two days. The statement is put together of constants alone.
        sql = " ".join(
            (
                "SELECT strftime('%Y-%m-%dT%H:%M', json_extract(body, ?)) AS minute, count(*)",
                *(f", sum({_NUMBER}), count({_NUMBER})" for _ in means),
                *(", count(CASE WHEN json_extract(body, ?) = ? THEN 1 END)" for _ in counted),
                "FROM documents WHERE generation = ? AND body IS NOT NULL",
                *("AND json_extract(body, ?) = ?" for _ in conditions),
                "GROUP BY minute HAVING minute IS NOT NULL",
            )
        )
        parameters: list[Any] = [_path(time)]
        parameters += [_path(field) for field in means for _ in range(4)]
        parameters += [each for field, value in counted.items() for each in (_path(field), value)]
        parameters.append(self._generation(alias))
        parameters += [each for field, value in conditions.items() for each in (_path(field), value)]
        days: dict[dt.date, list[float]] = defaultdict(lambda: [0] * (1 + 2 * len(means) + len(counted)))
        for minute, *numbers in self._database.query(sql, parameters):
            day = dt.datetime.fromisoformat(minute).replace(tzinfo=dt.UTC).astimezone(zone).date()
            days[day] = [a + (b or 0) for a, b in zip(days[day], numbers, strict=True)]
        return [_day(day, days[day], means, tuple(counted)) for day in sorted(days)]

    def _generation(self, alias: str) -> int:
        with self._database.snapshot() as connection:
            index = indices.behind(connection, alias)
        if index is None:
            raise ConfigError(f"no alias {alias!r} in {self.path}; create it with `prism setup PIPELINE.toml --yes`")
        return index.number


def _day(day: dt.date, numbers: Sequence[float], means: Sequence[str], counted: Sequence[str]) -> Day:
    documents, *rest = numbers
    sums, sizes, found = rest[0 : 2 * len(means) : 2], rest[1 : 2 * len(means) : 2], rest[2 * len(means) :]
    return Day(
        day,
        int(documents),
        {field: total / size if size else None for field, total, size in zip(means, sums, sizes, strict=True)},
        {field: int(number) for field, number in zip(counted, found, strict=True)},
    )


def _path(field: str) -> str:
    """A dotted path as SQLite writes it, each part quoted."""
    if '"' in field or not all(field.split(".")):
        raise ValueError(f"{field!r} is no path of a field, such as measures.delay")
    return "$" + "".join(f'."{part}"' for part in field.split("."))


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is no time zone; write one such as 'Europe/Berlin' or 'UTC'") from error
