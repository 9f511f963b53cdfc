"""What protoc made of schemas, kept by content in one file of the user's cache folder.

One SQLite file, because a folder of ten thousand small files is slow to read and to remove. It is a cache: whatever is
wrong with it, protoc makes the descriptors again, and a file that is damaged is replaced.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

MOST_BYTES: Final = 256 << 20
"""Size of the file beyond which the older half of what it keeps is forgotten."""

_AT_ONCE: Final = 500
_WAIT_SECONDS: Final = 5.0
_log = logging.getLogger(__name__)


def cache_file() -> Path:
    """Where it is: in ``$PRISM_CACHE``, or in the user's cache folder."""
    if named := os.environ.get("PRISM_CACHE"):
        folder = Path(named)
    else:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "prism"
    return folder / "protobuf.sqlite"


def load(keys: Sequence[bytes]) -> dict[bytes, bytes]:
    """What is kept under these keys, as far as it is whole."""
    path = cache_file()
    if not path.is_file():
        return {}
    found: dict[bytes, bytes] = {}
    try:
        with closing(_open(path)) as store:
            for start in range(0, len(keys), _AT_ONCE):
                some = keys[start : start + _AT_ONCE]
                marks = ",".join("?" * len(some))
                for key, data in store.execute(f"SELECT key, data FROM compiled WHERE key IN ({marks})", some):  # noqa: S608
                    if hashlib.sha256(data[32:]).digest() == data[:32]:
                        found[key] = data[32:]
                    else:
                        _log.warning("cached descriptors are damaged and made again", extra={"file": str(path)})
    except (sqlite3.Error, OSError) as error:
        _forget(path, error)
    return found


def store(compiled: Mapping[bytes, bytes]) -> None:
    """Keep more."""
    path = cache_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(_open(path)) as kept:
            with kept:
                kept.execute("CREATE TABLE IF NOT EXISTS compiled (key BLOB PRIMARY KEY, data BLOB NOT NULL)")
                kept.executemany("INSERT OR REPLACE INTO compiled VALUES (?, ?)", _rows(compiled))
            _bound(kept)
    except (sqlite3.Error, OSError) as error:
        _forget(path, error)


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=_WAIT_SECONDS)


def _rows(compiled: Mapping[bytes, bytes]) -> Iterable[tuple[bytes, bytes]]:
    return ((key, hashlib.sha256(data).digest() + data) for key, data in compiled.items())


def _bound(kept: sqlite3.Connection) -> None:
    pages, size = (kept.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "page_size"))
    if pages * size <= MOST_BYTES:
        return
    with kept:
        kept.execute("DELETE FROM compiled WHERE rowid <= (SELECT (min(rowid) + max(rowid)) / 2 FROM compiled)")
    kept.execute("VACUUM")


def _forget(path: Path, error: Exception) -> None:
    """Go on without; a file that is no database any more is removed, so that the next run has one again."""
    _log.info("descriptors cannot be cached", extra={"file": str(path), "reason": str(error)})
    damaged = isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)
    if damaged:
        path.unlink(missing_ok=True)
