"""``prism status`` on embedded storage: real pipelines, workers, dead letters and notes; only their age is arranged."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from prism_embedded import EmbeddedLog
from prism_embedded.ledger_store import EmbeddedLedgerStore
from prismlib.records import LedgerNote, Partition
from tests.plugins.prism_embedded.site import Site

MINUTE = 60_000


class Ready(Site):
    """A pipeline whose topic has ten records and one that is broken, all of partition 1, and all read.

    Attributes:
        path: its file.
        log: where it reads.
    """

    path: Path
    log: EmbeddedLog

    def status(self, *arguments: object, code: int = 0) -> dict[str, Any]:
        found, out, err = self.prism("status", self.path, "--json", *map(str, arguments))
        assert found == code, out + err
        return json.loads(out)

    def one(self, *arguments: object, code: int = 0) -> dict[str, Any]:
        (found,) = self.status(*arguments, code=code)["pipelines"]
        return found


@pytest.fixture
def ready(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Ready]:
    made = Ready(tmp_path, capsys)
    made.path = made.pipeline("shop", "in", 'alias = "things"')
    text = made.path.read_text()
    made.path.write_text(text.replace('[[route]]\ntopic = "in"\n', '[[route]]\ntopic = "in"\nnormalize = "m.toml"\n'))
    (tmp_path / "m.toml").write_text(
        '[event]\nid = "n"\nkind = { const = "thing" }\ntime = { from = "t", parse = "epoch_ms" }\n'
    )
    assert made.prism("setup", made.path, "--yes")[0] == 0
    with EmbeddedLog(made.storage) as made.log:
        write(made, 10)
        made.log.append("in", [(b"k", b"broken")], partition=1)
        code, _, err = made.prism("run", made.path, "--until-idle", "0.3")
        assert code == 0, err
        yield made


def write(ready: Ready, count: int, ago: int = 0) -> None:
    at = time.time_ns() // 1_000_000 - ago
    ready.log.append("in", [(b"k", b'{"n":"%d","t":1}' % n, None, at + n) for n in range(count)], partition=1)


def test_when_all_is_read_nothing_is_found(ready: Ready) -> None:
    found = ready.one()
    assert (found["pipeline"], found["error"], found["members"], found["findings"]) == ("shop", None, [], [])
    (topic,) = found["topics"]
    assert (topic["topic"], topic["state"], topic["lag"], topic["lag_seconds"]) == ("in", "ok", 0, 0)
    assert topic["data_loss"]["state"] == "nothing_unread"
    assert [one["partition"] for one in topic["partitions"]] == [0, 1, 2]
    assert found["offset_expiry"] == {"state": "never", "at_ms": None}
    assert found["dead_letters"] == {"topic": "shop.dead-letters", "open": 1, "at_most": 1}
    assert 0 <= found["at_ms"] - found["last_progress_ms"] < 60_000


def test_records_wait_while_nobody_runs(ready: Ready) -> None:
    write(ready, 3, ago=90 * MINUTE)
    found = ready.one(code=1)
    (topic,) = found["topics"]
    assert (topic["state"], topic["lag"], topic["data_loss"]["state"]) == ("nobody_reads", 3, "never")
    assert 0 <= topic["lag_seconds"] - 5400 < 60
    assert [one["state"] for one in topic["partitions"]] == ["ok", "nobody_reads", "ok"]
    (finding,) = found["findings"]
    assert (finding["kind"], finding["command"]) == ("nobody_runs", f"prism run {ready.path}")
    assert finding["what"] == "no worker runs, while up to 3 records of topic in wait, the oldest for 1 h 30 min"
    code, out, err = ready.prism("status", ready.path, "--partitions")
    assert (code, err) == (1, "")
    rows = [line.split("  ") for line in out.splitlines()]
    assert [cell.strip() for cell in rows[3] if cell] == ["in[1]", "nobody reads", "3", "1 h 30 min", "never"]
    said = [line for line in out.splitlines() if line[:15].strip()]
    assert "running        nobody" in said
    assert f"dead letters   1 open: prism dead-letters list {ready.path}" in said
    assert said[-1].startswith("alerts         nobody will be told: no prism.toml names an address")


def test_a_worker_that_runs_is_named(ready: Ready) -> None:
    command = [sys.executable, "-m", "prismlib.cli.main", "run", str(ready.path), "--worker", "blue"]
    worker = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while not (found := ready.one())["members"]:
            assert time.monotonic() < deadline
        assert found["members"] == ["worker blue"]
    finally:
        worker.terminate()
        worker.wait(30)
    assert ready.one()["members"] == []


def test_a_paused_route_is_told_until_the_ledger_has_passed_its_record(ready: Ready) -> None:
    write(ready, 1)
    ledger = EmbeddedLedgerStore(ready.log.path, pipeline="shop", alias="things")
    ledger.open()
    paused = LedgerNote("paused", 1_700_000_000_000, "worker 1", "the registry is away", Partition("in", 1), first=11)
    ledger.save_ledger((), [paused])
    ledger.close()
    found = ready.one(code=1)
    assert found["paused"] == [{"topic": "in", "since_ms": 1_700_000_000_000, "why": "the registry is away"}]
    assert [one["state"] for one in found["topics"][0]["partitions"]] == ["ok", "paused", "ok"]
    assert [one["kind"] for one in found["findings"]] == ["paused", "nobody_runs"]
    assert ready.prism("run", ready.path, "--until-idle", "0.3")[0] == 0
    assert ready.one()["paused"] == []


def test_lost_data_is_a_refusal_ahead(ready: Ready) -> None:
    write(ready, 9)
    ready.log.trim("in", 1, 15)
    found = ready.one(code=1)
    (topic,) = found["topics"]
    assert (topic["state"], topic["lag"], topic["data_loss"]["state"]) == ("refuses", 9, "lost")
    assert topic["problem"] == "in[1]: data is lost: offsets 11 to 14 are gone"
    assert found["findings"][0]["command"] == f"prism offsets show {ready.path} --topic in"


def test_all_pipelines_of_the_project_are_looked_at_and_one_that_is_wrong_hides_no_other(
    ready: Ready, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ready.folder)
    code, _, err = ready.prism("status")
    assert code == 2
    assert "prism.toml names no pipeline; name files on the command line, or add [[pipeline]]" in err
    (ready.folder / "prism.toml").write_text('[[pipeline]]\nfile = "shop.toml"\n[[pipeline]]\nfile = "gone.toml"\n')
    code, out, err = ready.prism("status")
    assert code == 2
    assert out.startswith("shop  shop.toml  20")
    assert err.startswith("error: gone.toml")
    code, out, _ = ready.prism("status", "--json")
    first, second = json.loads(out)["pipelines"]
    assert (code, first["file"], first["error"], second["file"]) == (2, "shop.toml", None, "gone.toml")
    assert second["error"]


def test_a_project_that_is_wrong_is_told_once(ready: Ready) -> None:
    (ready.folder / "prism.toml").write_text("[alerts]\nto = 3\n")
    code, out, err = ready.prism("status", ready.path, "--json")
    found = json.loads(out)
    assert (code, found["alerts"], err.count("\n")) == (2, [], 1)
    assert "alerts.to" in found["pipelines"][0]["error"]
    assert "alerts.to" in err


def test_in_production_somebody_must_be_told(ready: Ready) -> None:
    (alerts,) = ready.status("--production", code=2)["alerts"]
    assert alerts == {"told": [], "wrong": [], "nobody": "no prism.toml names an address in [alerts] to"}


def test_a_dead_letter_that_was_retried_is_not_open(ready: Ready) -> None:
    assert ready.prism("dead-letters", "retry", ready.path, "--yes")[0] == 1
    found = ready.one()["dead_letters"]
    assert (found["open"], found["at_most"]) == (1, 3)


def test_of_many_dead_letters_the_size_is_told(ready: Ready, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prismlib.watch.survey.MOST_LETTERS", 0)
    assert ready.one()["dead_letters"] == {"topic": "shop.dead-letters", "open": None, "at_most": 1}
    assert (
        "dead letters   up to 1; to count the open ones: prism dead-letters list"
        in ready.prism("status", ready.path)[1]
    )
    monkeypatch.undo()
    monkeypatch.setattr("prismlib.watch.survey.LETTER_SECONDS", -1.0)
    assert ready.one()["dead_letters"]["open"] is None
