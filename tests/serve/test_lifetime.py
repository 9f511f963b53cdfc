"""Starting, stopping, being killed, and the file that stays."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import urllib3

from prismlib.errors import ConfigError
from prismlib.serve.registry.store import Store
from tests.serving import Served, record


def test_a_request_to_stop_is_no_failure(tmp_path: Path) -> None:
    with Served(tmp_path) as server:
        number = server.register("s", record("a"))
        assert server.stop(signal.SIGTERM) == 0
        assert "Traceback" not in "".join(server.lines)
        server.start()
        assert server.register("s", record("a")) == number
        assert server.stop(signal.SIGINT) == 130
        assert "Traceback" not in "".join(server.lines)


def test_a_port_that_is_taken_is_one_sentence(tmp_path: Path) -> None:
    with Served(tmp_path) as server:
        port = server.url.rpartition(":")[2]
        command = [sys.executable, "-m", "prismlib.cli.main", "serve", "--port", port]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_access_log_has_no_secrets(tmp_path: Path) -> None:
    with Served(tmp_path, "--log-format", "json") as server:
        server.ask("GET", "/subjects?token=hush", authorization="Bearer hush")
        server.stop()
        (line,) = [json.loads(line) for line in server.lines if line.startswith("{") and "request" in line]
    assert (line["method"], line["path"], line["status"]) == ("GET", "/subjects", 200)
    assert "hush" not in "".join(server.lines)


def test_what_was_answered_survives_kill_nine(tmp_path: Path) -> None:
    """Killed at any moment while several clients register; what they were told is there, and nothing is there half."""
    told: dict[tuple[int, int], int] = {}
    turns = random.Random(4)

    with Served(tmp_path) as server:
        for kill in range(4):

            def register(worker: int, kill: int = kill, url: str = server.url) -> None:
                pool = urllib3.PoolManager(retries=False)
                for turn in range(10_000):
                    schema = json.dumps(record(f"k{kill}w{worker}t{turn}?"))
                    try:
                        answer = pool.request("POST", f"{url}/subjects/s{worker}/versions", json={"schema": schema})
                    except urllib3.exceptions.HTTPError:
                        return
                    if answer.status == 200:
                        found = answer.json()
                        told[worker, found["version"]] = found["id"]

            threads = [threading.Thread(target=register, args=(worker,)) for worker in range(3)]
            for thread in threads:
                thread.start()
            before = len(told)
            for _ in range(6000):
                if len(told) >= before + 5:
                    break
                time.sleep(0.01)
            assert len(told) >= before + 5
            time.sleep(turns.uniform(0.0, 0.3))
            server.stop(signal.SIGKILL)
            for thread in threads:
                thread.join()
            server.start()
            for worker in range(3):
                status, versions = server.ask("GET", f"/subjects/s{worker}/versions")
                if status == 404:  # so busy a machine that this client has not had a turn yet
                    assert not [version for told_to, version in told if told_to == worker]
                    continue
                assert versions == list(range(1, len(versions) + 1))
        assert len(told) > 20
        for (worker, version), number in told.items():
            assert server.ask("GET", f"/subjects/s{worker}/versions/{version}")[1]["id"] == number
        server.stop()
    with sqlite3.connect(tmp_path / ".prism" / "registry.db") as file:
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert file.execute("SELECT count(*) FROM schemas WHERE id NOT IN (SELECT id FROM versions)").fetchone() == (0,)
    file.close()


def test_two_servers_on_one_file_give_no_id_and_no_version_twice(tmp_path: Path) -> None:
    with Served(tmp_path) as one, Served(tmp_path) as other:

        def register(server: Served, found: list[int], letter: str) -> None:
            found += [server.register("s", record("a", f"{letter}{turn}?")) for turn in range(10)]

        first: list[int] = []
        second: list[int] = []
        threads = [
            threading.Thread(target=register, args=(one, first, "x")),
            threading.Thread(target=register, args=(other, second, "y")),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({*first, *second}) == 20
        assert one.ask("GET", "/subjects/s/versions") == (200, list(range(1, 21)))


def test_another_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    path.write_text("no database at all, but long enough to look at" * 100)
    with pytest.raises(ConfigError, match=r"registry\.db: cannot be opened"):
        Store(path)
    path.unlink()
    with sqlite3.connect(path) as file:
        file.execute("CREATE TABLE mine (a)")
    file.close()
    with pytest.raises(ConfigError, match="another program's file"):
        Store(path)


def test_a_file_of_a_later_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    Store(path).close()
    with sqlite3.connect(path) as file:
        file.execute("PRAGMA user_version = 99")
    file.close()
    with pytest.raises(ConfigError, match="its tables are number 99, these are 1"):
        Store(path)


def test_a_failure_of_our_own_is_json_without_a_traceback(tmp_path: Path) -> None:
    with Served(tmp_path) as server:
        server.ask("GET", "/subjects")
        with sqlite3.connect(tmp_path / ".prism" / "registry.db") as file:
            file.execute("DROP TABLE levels")
        file.close()
        status, found = server.ask("GET", "/config")
        assert (status, found["error_code"]) == (500, 500)
        assert "no such table" not in found["message"]
        assert server.ask("GET", "/subjects") == (200, [])
        server.stop()
        assert "no such table: levels" in "".join(server.lines)
