"""The file: who may use it, what happens when it cannot be used, and that a commit is a commit."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from prism_embedded import database as module
from prism_embedded import ledger
from prism_embedded.database import Database, file_in
from prism_embedded.schema import VERSION
from prismlib.errors import ConfigError, FatalError, PrismError, RetryableError, UnreachableError
from prismlib.records import LedgerRow, Partition

ROOT = Path(__file__).parents[3]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return file_in(tmp_path / "store")


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    made = Database(path, busy_seconds=0.05)
    made.open(create=True)
    yield made
    made.close()


def put(database: Database, name: str) -> None:
    with database.transaction() as connection:
        connection.execute("INSERT INTO indices (name) VALUES (?)", (name,))


def names(path: Path) -> list[str]:
    """Read by a connection of its own, as another process would."""
    connection = sqlite3.connect(path)
    try:
        return [name for (name,) in connection.execute("SELECT name FROM indices ORDER BY number")]
    finally:
        connection.close()


def refused(path: Path, error: type[PrismError] = ConfigError, *, create: bool = False) -> str:
    with pytest.raises(error) as caught:
        Database(path, busy_seconds=0.05).open(create=create)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_file_and_folder_are_for_the_user_alone(database: Database, path: Path) -> None:
    put(database, "one")
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    assert modes == {"prism.db": 0o600, "prism.db-wal": 0o600, "prism.db-shm": 0o600}


def test_a_path_that_ends_with_db_is_the_file_itself(tmp_path: Path) -> None:
    assert file_in(tmp_path / "x.db") == tmp_path / "x.db"
    assert file_in(tmp_path / ".prism") == tmp_path / ".prism" / "prism.db"


def test_a_file_that_is_missing_is_created_only_when_that_is_asked_for(path: Path) -> None:
    assert "create it with `prism setup" in refused(path)
    assert not path.parent.exists()


def test_an_empty_file_is_filled_only_when_that_is_asked_for(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    assert "is empty" in refused(path)
    database = Database(path)
    database.open(create=True)
    database.close()


def test_many_processes_may_create_it_at_once(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from prism_embedded.database import Database\n"
        "database = Database(Path(sys.argv[1])); database.open(create=True)\n"
        "with database.transaction() as c: c.execute('INSERT INTO indices (name) VALUES (?)', (sys.argv[2],))\n"
        "database.close()\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(path), str(n)], stderr=subprocess.PIPE) for n in range(6)
    ]
    assert [process.communicate(timeout=60)[1] for process in processes] == [b""] * 6
    assert sorted(names(path)) == [str(n) for n in range(6)]


@pytest.mark.parametrize("content", [b"not a database at all, but long enough to be one\n" * 200, os.urandom(8192)])
def test_a_file_that_is_no_database_is_left_alone(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    assert "damaged, or no file of Prism" in refused(path, create=True)
    assert path.read_bytes() == content


def test_a_database_of_another_program_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (a)")
    other.close()
    before = path.read_bytes()
    assert "another program" in refused(path, create=True)
    assert path.read_bytes() == before


def test_a_newer_file_is_left_alone(database: Database, path: Path) -> None:
    with database.transaction() as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    assert f"newer version of Prism (schema {VERSION + 1}, this one knows {VERSION})" in refused(path)


def shape(connection: sqlite3.Connection) -> dict[str, list[Any]]:
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {name: connection.execute(f"PRAGMA table_info({name})").fetchall() for name in tables}


def test_a_file_of_the_first_version_gets_what_is_new_and_keeps_what_it_holds(database: Database, path: Path) -> None:
    with database.transaction() as connection:
        expected = shape(connection)
        connection.execute("DROP TABLE notes")
        connection.execute("ALTER TABLE ledger DROP COLUMN schema_id")
        connection.execute("ALTER TABLE ledger DROP COLUMN mapping")
        connection.execute("INSERT INTO ledger VALUES ('p', 0, 'in', 3, 41, 2, 'id', 7, 1, 9)")
        connection.execute("PRAGMA user_version = 1")
    put(database, "one")
    for _ in range(2):
        newer = Database(path)
        newer.open()
        with newer.snapshot() as connection:
            assert shape(connection) == expected
            row = ledger.load(connection, "p", 0, [Partition("in", 3)])
            assert row == {Partition("in", 3): LedgerRow(Partition("in", 3), 41, 2, "id", 7, 1, 9)}
            assert ledger.load_notes(connection, "p") == []
            assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)
        newer.close()
    assert names(path) == ["one"]


def test_two_processes_may_bring_an_older_file_up_to_date_at_once(database: Database, path: Path) -> None:
    with database.transaction() as connection:
        connection.execute("DROP TABLE notes")
        connection.execute("ALTER TABLE ledger DROP COLUMN schema_id")
        connection.execute("ALTER TABLE ledger DROP COLUMN mapping")
        connection.execute("PRAGMA user_version = 1")
    several = [Database(path) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(Database.open, several))
    for one in several:
        one.close()


def test_a_damaged_file_is_one_sentence_at_the_start_and_later(database: Database, path: Path) -> None:
    for n in range(2_000):
        put(database, f"{n:0200d}")
    database.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(2 * 8192)
        file.write(os.urandom(size - 2 * 8192))
    database.open()
    with pytest.raises(FatalError, match="is damaged") as caught:
        database.query("SELECT sum(length(name)) FROM indices")
    assert ".recover" in str(caught.value)
    with path.open("r+b") as file:
        file.write(b"\0" * 4096)
    assert "damaged" in refused(path)


def test_a_folder_in_its_place_is_one_sentence(path: Path) -> None:
    path.mkdir(parents=True)
    assert "is no file" in refused(path, create=True)


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "file is no folder" in refused(tmp_path / "file" / "prism.db", create=True)
    assert "Not a directory" in refused(tmp_path / "file" / "deeper" / "prism.db", create=True)


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """One that other users can look into, as those of pytest cannot."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize("what", ["folder", "file"])
def test_what_may_only_be_read_is_one_sentence(public_folder: Path, what: str) -> None:
    path = file_in(public_folder / "store")
    database = Database(path)
    database.open(create=True)
    database.close()
    path.parent.chmod(0o555 if what == "folder" else 0o777)
    path.chmod(0o666 if what == "folder" else 0o444)
    # Root may write everywhere, so the question is asked as nobody.
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom prism_embedded.database import Database\n"
        "from prismlib.errors import ConfigError\n"
        "if os.getuid() == 0: os.setgid(65534); os.setuid(65534)\n"
        "try: Database(Path(sys.argv[1])).open(create=True)\nexcept ConfigError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True, timeout=60
    )
    assert "read-only; make both writable" in done.stdout


def test_an_old_sqlite_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.sqlite3, "sqlite_version_info", (3, 34, 1))
    assert "needs SQLite 3.35 or later" in refused(path, create=True)


def test_a_locked_file_is_retryable_names_it_and_nothing_is_half_written(database: Database, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(RetryableError, match="is locked: another process") as caught:
        put(database, "one")
    assert str(path) in str(caught.value)
    assert database.query("SELECT 1") == [(1,)], "readers are not held up"
    other.close()
    put(database, "one")
    assert names(path) == ["one"]


def test_a_file_that_is_locked_at_the_start_is_unreachable(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert "is locked" in refused(path, UnreachableError, create=True)
    other.close()


def test_a_full_disk_is_retryable_and_what_was_committed_stays(database: Database, path: Path) -> None:
    put(database, "before")
    pages = database.query("PRAGMA page_count")[0][0]
    database.query(f"PRAGMA max_page_count = {pages + 1}")
    with pytest.raises(RetryableError, match="its disk is full") as caught, database.transaction() as connection:
        for n in range(1_000):
            connection.execute("INSERT INTO indices (name) VALUES (?)", (f"{n:0200d}",))
    assert str(path) in str(caught.value)
    assert names(path) == ["before"]
    database.query("PRAGMA max_page_count = 1000000")
    put(database, "after")
    assert names(path) == ["before", "after"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting is not permitted here")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_disk_that_is_really_full_loses_nothing_and_goes_on_when_there_is_room(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 600_000)
    database = Database(file_in(small_disk))
    database.open(create=True)
    done = []
    with pytest.raises(RetryableError, match="its disk is full"):
        for n in range(100_000):
            put(database, f"{n:0200d}")
            done.append(f"{n:0200d}")
    assert len(done) > 3
    assert [name for (name,) in database.query("SELECT name FROM indices ORDER BY number")] == done
    ballast.unlink()
    put(database, "after")
    assert names(database.path) == [*done, "after"]
    database.close()
    assert names(database.path) == [*done, "after"]


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_is_deleted_under_it_ends_the_worker_instead_of_swallowing_records(
    database: Database, path: Path, *, replaced: bool
) -> None:
    put(database, "one")
    path.unlink()
    if replaced:
        path.touch()
    with pytest.raises(FatalError, match="was deleted or replaced while it was in use"):
        put(database, "two")


def test_an_error_inside_a_transaction_leaves_nothing_of_it(database: Database, path: Path) -> None:
    with pytest.raises(ZeroDivisionError), database.transaction() as connection:
        connection.execute("INSERT INTO indices (name) VALUES ('half')")
        raise ZeroDivisionError
    put(database, "one")
    assert names(path) == ["one"]


def test_a_snapshot_sees_one_moment(database: Database, path: Path) -> None:
    other = Database(path)
    other.open()
    with database.snapshot() as connection:
        count = "SELECT count(*) FROM indices"
        assert connection.execute(count).fetchone() == (0,)
        put(other, "one")
        assert connection.execute(count).fetchone() == (0,)
    assert database.query(count) == [(1,)]
    other.close()


def test_changes_tells_when_another_connection_has_committed(database: Database, path: Path) -> None:
    other = Database(path)
    other.open()
    before = database.changes()
    assert database.changes() == before
    put(other, "one")
    assert database.changes() != before
    other.close()


def test_the_write_ahead_log_is_brought_in_and_begins_anew(database: Database, path: Path, monkeypatch) -> None:
    monkeypatch.setattr(module, "CHECKPOINT_BYTES", 200_000)
    database._checkpoint_at = 200_000
    longest = 0
    for n in range(400):
        put(database, f"{n:02000d}")
        longest = max(longest, Path(f"{path}-wal").stat().st_size)
    assert longest < 400_000
    assert path.stat().st_size > 400_000
    assert len(names(path)) == 400


def test_a_reader_that_takes_its_time_does_not_keep_others_from_committing(
    database: Database, path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(module, "CHECKPOINT_BYTES", 50_000)
    monkeypatch.setattr(module, "CHECKPOINT_SECONDS", 0.01)
    database._checkpoint_at = 50_000
    put(database, "first")
    reader = Database(path)
    reader.open()
    with reader.snapshot() as connection:
        assert connection.execute("SELECT count(*) FROM indices").fetchone() == (1,)
        for n in range(40):
            put(database, f"{n:02000d}")
        assert connection.execute("SELECT count(*) FROM indices").fetchone() == (1,)
    size = Path(f"{path}-wal").stat().st_size
    for n in range(40, 80):
        put(database, f"{n:02000d}")
    assert Path(f"{path}-wal").stat().st_size < size, "brought in once the reader had gone"
    assert len(names(path)) == 81
    reader.close()


def test_threads_may_share_a_connection(database: Database, path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: put(database, str(n)), range(100)))
    assert len(names(path)) == 100


def test_what_was_committed_survives_kill_nine(path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from prism_embedded.database import Database\n"
        "database = Database(Path(sys.argv[1])); database.open(create=True)\n"
        "for n in range(50):\n"
        "    with database.transaction() as c: c.execute('INSERT INTO indices (name) VALUES (?)', (str(n),))\n"
        "with database.transaction() as c:\n"
        "    c.execute(\"INSERT INTO indices (name) VALUES ('half')\"); os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False, timeout=60)
    assert done.returncode == -9
    assert names(path) == [str(n) for n in range(50)]


def test_every_commit_is_synced(database: Database) -> None:
    assert database.query("PRAGMA journal_mode") == [("wal",)]
    assert database.query("PRAGMA synchronous") == [(2,)]
