"""Aliases, the indices behind them, and their documents.

An index is one generation of an alias's documents: ``air-traffic-000001`` behind ``air-traffic``. Of two versions of a document
the higher one stays, the same one is written again, and a tombstone keeps its version: ``external_gte`` of Elasticsearch.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_WRITE: Final = """
    INSERT INTO documents (generation, id, version, body) VALUES (?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET version = excluded.version, body = excluded.body
    WHERE excluded.version >= documents.version
"""


@dataclass(frozen=True, slots=True)
class Index:
    """What an alias points to.

    Attributes:
        number: of the generation; never given twice.
        name: such as ``"air-traffic-000001"``.
    """

    number: int
    name: str


def first_generation(alias: str) -> str:
    """The name of the index that setup creates."""
    return f"{alias}-000001"


def behind(connection: sqlite3.Connection, alias: str) -> Index | None:
    """The index behind an alias."""
    row = connection.execute(
        "SELECT i.number, i.name FROM aliases a JOIN indices i ON i.number = a.generation WHERE a.name = ?", (alias,)
    ).fetchone()
    return None if row is None else Index(*row)


def create(connection: sqlite3.Connection, alias: str) -> None:
    """The first generation behind an alias, unless there is one."""
    if behind(connection, alias) is None:
        number = connection.execute("INSERT INTO indices (name) VALUES (?)", (first_generation(alias),)).lastrowid
        connection.execute("INSERT INTO aliases (name, generation) VALUES (?, ?)", (alias, number))


def write(connection: sqlite3.Connection, index: Index, documents: Iterable[tuple[str, int, str | None]]) -> None:
    """Write (id, version, body), in this order; a body of None deletes. What is older than what is there is passed over."""
    number = index.number
    connection.executemany(_WRITE, [(number, id_, version, body) for id_, version, body in documents])
