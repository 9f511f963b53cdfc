"""``prism dev`` as a user runs it: one supervisor that outlives the command and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from prism_devservers.control import Control
from prismlib.cli.main import execute
from tests.plugins.prism_devservers.clients import consume, make_topic, produce

pytestmark = pytest.mark.real

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "dev"
    Control(tmp_path / "dev").down()
    assert processes_of(tmp_path) == []


@pytest.fixture
def prism(folder: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str) -> tuple[int, str, str]:
        code = execute(["dev", *arguments, "--folder", str(folder)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def processes_of(folder: Path) -> list[str]:
    """Command lines of what runs in or for this folder, given five seconds to end."""
    end = time.monotonic() + 5
    while True:
        found = []
        for process in psutil.process_iter(["cmdline", "status"]):
            command = " ".join(process.info["cmdline"] or [])
            if str(folder) in command and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(command)
        if not found or time.monotonic() > end:
            return found
        time.sleep(0.05)


def servers(output: str) -> dict[str, dict[str, Any]]:
    return {server["name"]: server for server in json.loads(output)["servers"]}


def test_servers_come_up_are_killed_and_restarted_and_keep_ports_and_data_until_they_are_deleted(
    prism: Run, folder: Path
) -> None:
    code, out, _ = prism("up", "--only", "kafka,object-store", "--json")
    assert code == 0
    assert json.loads(out)["already_up"] is False
    up = servers(out)
    assert [(name, server["state"]) for name, server in up.items()] == [("kafka", "up"), ("object-store", "up")]
    assert up["object-store"]["credentials"] == {"access_key": "prism", "secret_key": "prism-secret"}
    bootstrap = up["kafka"]["address"]
    make_topic(bootstrap, "t")
    produce(bootstrap, "t", 10)

    code, out, err = prism("up", "--only", "kafka,object-store")
    assert code == 0
    assert bootstrap in out
    assert "They were already up." in err

    code, out, _ = prism("kill", "kafka", "--json")
    assert code == 0
    assert servers(out)["kafka"]["state"] == "ended"
    code, out, _ = prism("status", "--json")
    assert code == 1
    assert [server["state"] for server in servers(out).values()] == ["ended", "up"]
    code, out, _ = prism("restart", "kafka", "--json")
    assert code == 0
    assert servers(out)["kafka"]["pid"] not in {None, up["kafka"]["pid"]}
    assert prism("status")[0] == 0
    assert len(consume(bootstrap, "t", 10)) == 10

    assert prism("restart", "zookeeper")[0] == 2
    assert prism("up", "--kafka", "3")[0] == 2

    assert prism("down")[:2] == (0, "The servers are down.\n")
    assert processes_of(folder) == []
    assert prism("status")[0] == 1
    code, out, _ = prism("up", "--only", "kafka", "--json")
    assert servers(out)["kafka"]["address"] == bootstrap
    assert len(consume(bootstrap, "t", 10)) == 10

    (folder / "notes.txt").write_text("mine")
    assert prism("down", "--delete-data")[0] == 0
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == []
    assert (folder / "notes.txt").is_file()


def test_kill_9_of_the_supervisor_ends_all_servers_and_up_starts_them_again(prism: Run, folder: Path) -> None:
    _, out, _ = prism("up", "--only", "object-store", "--json")
    address = servers(out)["object-store"]["address"]
    state = Control(folder).state_file
    supervisor = json.loads(state.read_text())["pid"]
    os.kill(supervisor, signal.SIGKILL)
    assert processes_of(folder) == []

    assert state.is_file()
    code, out, err = prism("status")
    assert (code, err) == (1, "")
    assert "Nothing is up" in out
    assert prism("kill", "object-store")[0] == 3
    code, out, _ = prism("up", "--only", "object-store", "--json")
    assert code == 0
    assert servers(out)["object-store"]["address"] == address
    assert oct(state.stat().st_mode & 0o777) == "0o600"


def test_sigterm_shuts_everything_down(prism: Run, folder: Path) -> None:
    prism("up", "--only", "object-store")
    control = Control(folder)
    os.kill(json.loads(control.state_file.read_text())["pid"], signal.SIGTERM)
    assert processes_of(folder) == []
    assert not control.state_file.exists()
    assert not control.is_running()


def test_a_left_over_state_file_never_leads_to_somebody_elses_process(prism: Run, folder: Path) -> None:
    with subprocess.Popen(["sleep", "300"]) as stranger:
        folder.mkdir()
        control = Control(folder)
        control.lock_file.touch()
        control.state_file.write_text(json.dumps({"pid": stranger.pid, "socket": str(folder / "gone")}))
        assert prism("status")[0] == 1
        assert prism("down")[:2] == (0, f"Nothing was up in {folder}.\n")
        assert stranger.poll() is None
        stranger.kill()


def test_a_server_that_does_not_start_is_named_with_the_end_of_its_log(
    prism: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = folder / "object-store" / "data"
    data.parent.mkdir(parents=True)
    data.parent.joinpath("s3proxy.conf").mkdir()  # where the server's settings should be written
    code, out, err = prism("up", "--only", "object-store")
    assert code == 3
    assert "failed" in out
    assert "s3proxy.conf" in err


def test_unknown_servers_are_refused_as_wrong_usage(prism: Run) -> None:
    code, _, err = prism("up", "--only", "kafka,zookeeper")
    assert code == 2
    assert "'zookeeper' is none of kafka, elasticsearch, registry, object-store" in err
