"""One connection to the file ``prism.db``: transactions, snapshots, and what an error of SQLite means.

Every transaction is short: whoever has a batch open holds it in memory, and takes the write lock only to write it. The
write-ahead log lets readers go on meanwhile. ``synchronous=FULL`` syncs it with every commit: what was committed survives
``kill -9``, and a power failure as far as the disk keeps its word.

SQLite's own checkpoints are off. Until 3.51.3 two of them and a commit at the same moment could damage the file (sqlite.org,
"The WAL-Reset Bug"), and most installed versions are older. A checkpoint made here takes the write lock too.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from prism_embedded.schema import APPLICATION_ID, MIGRATIONS, PAGE_SIZE, STATEMENTS, VERSION
from prismlib.errors import ConfigError, FatalError, RetryableError, StageContractError, UnreachableError

log = logging.getLogger(__name__)

FILE_NAME: Final = "prism.db"
OLDEST_SQLITE: Final = (3, 35)  # RETURNING
BUSY_SECONDS: Final = 5.0
CHECKPOINT_BYTES: Final = 16 << 20  # of write-ahead log
CHECKPOINT_SECONDS: Final = 0.1  # to wait for readers, who would otherwise hold up every writer
WHAT_IT_IS: Final = "for trying Prism out; it is not Kafka and not Elasticsearch"
SETUP: Final = "`prism setup PIPELINE.toml --yes`"

_NOT_NOW: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_NO_ROOM: Final = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
_READ_ONLY: Final = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}
_DAMAGED: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def file_in(storage: Path) -> Path:
    """The file in a storage folder, ``[storage] path`` of ``prism.toml``; a path that ends with ``.db`` is a file."""
    return (storage if storage.suffix == ".db" else storage / FILE_NAME).absolute()


@functools.cache
def announce(path: Path) -> None:
    """Say in the log what this is, once a process and file."""
    log.warning("embedded storage, %s", WHAT_IT_IS, extra={"file": str(path)})


class Database:
    """A connection that several threads may share: one transaction at a time."""

    def __init__(self, path: Path, *, busy_seconds: float = BUSY_SECONDS) -> None:
        """Nothing is opened yet.

        Args:
            path: of the file, absolute.
            busy_seconds: how long to wait for the write lock of another process.
        """
        self.path = path
        self._busy_seconds = busy_seconds
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._checkpoint_at = CHECKPOINT_BYTES

    # --- opening -------------------------------------------------------------------------------------------------------

    def open(self, *, create: bool = False) -> None:
        """Connect, and make sure that the file is one of ours; an older one gets what is new. Opening again does nothing.

        Args:
            create: make folder and file where they are missing.

        Raises:
            ConfigError: the file is missing, foreign, damaged, read-only, or of a newer version.
            UnreachableError: it is locked, or its disk is full.
        """
        if self._connection is not None:
            return
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            raise ConfigError(
                f"embedded storage needs SQLite {'.'.join(map(str, OLDEST_SQLITE))} or later, and this Python brings"
                f" {sqlite3.sqlite_version}; use a newer Python"
            )
        try:
            self._make_file(create=create)
            with self._translated():
                self._connection = self._connect(create=create)
        except RetryableError as error:
            raise UnreachableError(str(error)) from error.__cause__
        except FatalError as error:
            raise ConfigError(str(error)) from error.__cause__
        status = self.path.stat()
        self._identity = (status.st_dev, status.st_ino)

    def _make_file(self, *, create: bool) -> None:
        """Create it with its rights before SQLite opens it: the files that SQLite puts beside it get the same."""
        path = self.path
        try:
            if path.parent.exists() and not path.parent.is_dir():
                raise ConfigError(f"{path.parent} is no folder; name one in [storage] path of prism.toml")
            if create and not path.exists():
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with contextlib.suppress(FileExistsError):  # another process was faster
                    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            if not path.exists():
                raise ConfigError(f"there is no embedded storage {path}; create it with {SETUP}")
            if not path.is_file():
                raise ConfigError(f"{path} is no file; name another folder in [storage] path of prism.toml")
        except OSError as error:
            raise ConfigError(
                f"embedded storage {path} cannot be used: {error.strerror}; name a folder that you may write to in"
                " [storage] path of prism.toml"
            ) from error
        if not os.access(path, os.R_OK | os.W_OK) or not os.access(path.parent, os.W_OK):
            raise ConfigError(self._read_only())

    def _connect(self, *, create: bool) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{quote(str(self.path))}?mode=rw",
            uri=True,
            timeout=self._busy_seconds,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            version = _version(connection, self.path)
            if not version and not create:
                raise ConfigError(f"the embedded storage {self.path} is empty; create it with {SETUP}")
            if version < VERSION:
                _bring_up_to_date(connection, self.path)
            self._write_ahead(connection)
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA wal_autocheckpoint = 0")
            connection.execute("PRAGMA secure_delete = OFF")
        except BaseException:
            connection.close()
            raise
        return connection

    def _write_ahead(self, connection: sqlite3.Connection) -> None:
        """Switch it on; while two processes open a new file, SQLite may call it busy without waiting."""
        deadline = time.monotonic() + self._busy_seconds
        while True:
            try:
                (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
                break
            except sqlite3.OperationalError as error:
                if _code(error) not in _NOT_NOW or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        if mode != "wal":
            raise ConfigError(
                f"{self.path} is on a file system that processes cannot share memory on, such as a network share; name a"
                " local folder in [storage] path of prism.toml"
            )

    def close(self) -> None:
        """Let go; may be called twice."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    # --- using ---------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write: everything done inside is durable when it ends, or nothing is, when it raises.

        Raises:
            RetryableError: another process holds the write lock, or the disk is full.
            FatalError: the file is damaged, read-only or gone.
        """
        with self._lock, self._translated():
            connection = self._opened()
            self._require_file()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            self._checkpoint(connection)

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Read: everything inside sees one moment. Keep it short: it holds up checkpoints. Raises like ``transaction``."""
        with self._lock, self._translated():
            connection = self._opened()
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """The rows of one statement. Raises like ``transaction``."""
        with self._lock, self._translated():
            return self._opened().execute(sql, parameters).fetchall()

    def changes(self) -> int:
        """A number that changes whenever another connection has committed something. Raises like ``transaction``."""
        version: int = self.query("PRAGMA data_version")[0][0]
        return version

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StageContractError(
                f"the embedded storage {self.path} was used before it was opened, or after its end"
            )
        return self._connection

    def _require_file(self) -> None:
        """SQLite would write on into a file that was deleted, and nobody would ever read it."""
        try:
            status = self.path.stat()
            same = (status.st_dev, status.st_ino) == self._identity
        except OSError:
            same = False
        if not same:
            raise FatalError(
                f"{self.path} was deleted or replaced while it was in use; nothing more is written. Stop all workers,"
                f" then create it anew with {SETUP}"
            )

    def _checkpoint(self, connection: sqlite3.Connection) -> None:
        """Bring the write-ahead log into the file once it is long. What was committed is durable whether this works or not."""
        try:
            size = os.stat(f"{self.path}-wal").st_size  # noqa: PTH116  # once a commit: no path object needed
        except FileNotFoundError:
            return
        if size < self._checkpoint_at:
            return
        done = False
        try:
            connection.execute(f"PRAGMA busy_timeout = {round(CHECKPOINT_SECONDS * 1000)}")
            try:
                done = not connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            finally:
                connection.execute(f"PRAGMA busy_timeout = {round(self._busy_seconds * 1000)}")
        except sqlite3.OperationalError as error:
            log.warning("write-ahead log not brought in yet", extra={"file": str(self.path), "reason": str(error)})
        self._checkpoint_at = CHECKPOINT_BYTES if done else size + CHECKPOINT_BYTES

    # --- errors --------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._meaning(error) from error

    def _meaning(self, error: sqlite3.Error) -> RetryableError | FatalError:
        code = _code(error)
        if code in _NOT_NOW:
            return RetryableError(
                f"{self.path} is locked: another process has held its write lock for more than {self._busy_seconds:g} s;"
                " let it finish, or end it, if it is a shell or a backup inside a transaction"
            )
        if code in _NO_ROOM:
            return RetryableError(
                f"{self.path} cannot be written ({error}): its disk is full, or a limit on file sizes is reached; make"
                " room there"
            )
        if code in _READ_ONLY:
            return FatalError(self._read_only())
        if code in _DAMAGED:
            return FatalError(
                f"{self.path} is damaged, or no file of Prism ({error}); move it away and create it anew with {SETUP};"
                " `sqlite3 FILE .recover` saves what can still be read"
            )
        return FatalError(f"{self.path} cannot be used: {type(error).__name__}: {error}")

    def _read_only(self) -> str:
        return (
            f"embedded storage {self.path} cannot be written: the file or its folder is read-only; make both writable, or"
            " name another folder in [storage] path of prism.toml"
        )


def _code(error: sqlite3.Error) -> int | None:
    """The primary code; extended ones have it in their lowest byte."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _version(connection: sqlite3.Connection, path: Path) -> int:
    """Of its tables; 0 for an empty file. Raises ConfigError for somebody else's, or a newer one."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not application and not version and not tables:
        return 0
    if application != APPLICATION_ID:
        raise ConfigError(
            f"{path} is a database of another program, which Prism leaves alone; name another folder in [storage] path of"
            " prism.toml"
        )
    if version > VERSION:
        raise ConfigError(
            f"{path} was written by a newer version of Prism (schema {version}, this one knows {VERSION}); update Prism, or"
            " name another folder in [storage] path of prism.toml"
        )
    return version


def _bring_up_to_date(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _version(connection, path)  # asked again: another process may have been faster
        steps = [MIGRATIONS[older] for older in range(version, VERSION)] if version else [STATEMENTS]
        for statement in itertools.chain.from_iterable(steps):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
