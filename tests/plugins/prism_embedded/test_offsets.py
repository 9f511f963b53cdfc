"""``prism offsets`` on embedded storage: what it shows, that a worker starts where it was told, and who keeps it from that."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from prism_embedded import EmbeddedLog
from prism_embedded.database import FILE_NAME
from prism_embedded.group_offsets import EmbeddedGroupOffsets
from prism_embedded.ledger_store import EmbeddedLedgerStore
from prism_embedded.source import EmbeddedSource
from prism_embedded.topic_sink import EmbeddedTopicSink
from prismlib.errors import ConfigError, FatalError, FencedError, RetryableError
from prismlib.records import LedgerNote, LedgerRow, Partition
from prismlib.testing.sink_conformance import LedgerConformance
from tests.plugins.prism_embedded.site import Site

P = Partition("in", 1)
T = 1_700_000_000_000
"""When the record at offset 0 was written; one a minute follows."""
MINUTE = 60_000


class Ready(Site):
    """A pipeline that has read 30 records of one partition.

    Attributes:
        path: its file.
        log: where it reads.
    """

    path: Path
    log: EmbeddedLog

    def offsets(self, command: str, *arguments: object) -> tuple[int, dict[str, Any], str]:
        code, out, err = self.prism("offsets", command, self.path, "--json", *map(str, arguments))
        return code, json.loads(out) if out else {}, err

    def ends(self) -> tuple[int | None, int | None, int]:
        """Next offset in the ledger and with the group, and the ledger's epoch."""
        _, found, _ = self.offsets("show")
        one = found["partitions"][1]
        ledger, broker = one["ledger"] or {}, one["broker"] or {}
        return ledger.get("next_offset"), broker.get("next_offset"), ledger.get("ledger_epoch", -1)

    def move(self, *, group: int | None = None, ledger: int | None = None, epoch: int = 0) -> None:
        """What happened without ``prism offsets``: a crash, somebody's tool."""
        with self.log._database.transaction() as connection:
            if group is not None:
                connection.execute("UPDATE offsets SET next_offset = ? WHERE next_offset > 0", (group,))
            if ledger is not None:
                connection.execute(
                    "UPDATE ledger SET next_offset = ?, ledger_epoch = ? WHERE partition = 1", (ledger, epoch)
                )

    def run(self) -> tuple[list[int], str]:
        """Run a worker to the end; returns the numbers of the records that it read, and its log."""
        with self.log._database.transaction() as connection:
            connection.execute("DELETE FROM documents")
        before = self.log.ends("out") if "out" in self.log.topics() else {}
        code, _, err = self.prism("run", self.path, "--until-idle", "0.3")
        assert code == 0, err
        if before:
            values = [json.loads(v or b"") for batch in self.log.read("out", before) for v in batch.values]
        else:
            rows = self.log._database.query("SELECT body FROM documents WHERE body IS NOT NULL")
            values = [json.loads(body) for (body,) in rows]
        return sorted(value["n"] for value in values), err


@pytest.fixture(params=["topic", "alias"])
def ready(request: pytest.FixtureRequest, site: Site, capsys: pytest.CaptureFixture[str]) -> Iterator[Ready]:
    made = Ready(site.folder, capsys)
    sink = (
        'topic = "out"\nencode = { type = "json", wire = "bare" }' if request.param == "topic" else 'alias = "things"'
    )
    made.path = made.pipeline("p", "in", sink)
    made.path.write_text(made.path.read_text().replace("[[route]]", 'session_timeout = "1s"\n[[route]]'))
    assert made.prism("setup", made.path, "--yes")[0] == 0
    with EmbeddedLog(made.storage) as made.log:
        made.log.append("in", [(b"k", b'{"n":%d}' % n, None, T + n * MINUTE) for n in range(30)], partition=1)
        assert made.run()[0] == list(range(30))
        yield made


def test_show_puts_ledger_and_broker_side_by_side(ready: Ready) -> None:
    ready.log.append("in", [(b"k", b'{"n":30}', None, T + 30 * MINUTE)], partition=1)
    code, found, _ = ready.offsets("show")
    assert code == 0
    assert found["members"] == []
    states = ["equal"] * 3  # although nothing was ever read of two of them
    assert [one["state"] for one in found["partitions"]] == states
    one = found["partitions"][1]
    assert (one["topic"], one["partition"], one["lag"], one["problem"]) == ("in", 1, 1, "")
    assert (one["log"]["start"], one["log"]["end"]) == (0, 31)
    assert one["ledger"]["next_offset"] == one["broker"]["next_offset"] == 30
    assert one["ledger"]["record_ms"] == one["broker"]["record_ms"] == T + 30 * MINUTE
    assert one["ledger"]["last_settled_ms"] == T + 29 * MINUTE
    ready.move(group=7)
    code, out, _ = ready.prism("offsets", "show", ready.path, "--partition", "1")
    assert code == 0
    columns = out.splitlines()[1].split("  ")
    assert [cell.strip() for cell in columns if cell] == [
        "in[1]",
        "0 to 31",
        "30",
        "2023-11-14T22:43:20Z",
        "2023-11-14T22:42:20Z",
        "7",
        "2023-11-14T22:20:20Z",
        "1",
        "ledger ahead",
    ]
    assert "Live members: none" in out
    assert "Notes: none" in out


def test_show_says_what_a_worker_would_refuse(ready: Ready) -> None:
    ready.log.append("in", [(b"k", b'{"n":%d}' % n) for n in range(30, 40)], partition=1)
    ready.log.trim("in", 1, 35)
    one = ready.offsets("show")[1]["partitions"][1]
    assert (one["state"], one["problem"]) == ("equal", "data is lost: offsets 30 to 34 are gone")
    assert "offsets 30 to 34 are gone" in ready.prism("offsets", "show", ready.path)[1]
    code, found, _ = ready.offsets("reset", "--to", "earliest", "--yes")
    assert (code, found["moves"][1]["effect"]) == (0, "skips 5")
    assert ready.run()[0] == list(range(35, 40))


@pytest.mark.parametrize(
    ("target", "to", "effect"),
    [
        (["--to", "earliest"], 0, "reads 30 again"),
        (["--to-offset", 12, "--partition", 1], 12, "reads 18 again"),
        (["--to-time", "2023-11-14T22:20:20Z"], 7, "reads 23 again"),
        (["--to-time", "2023-11-14T22:20:20.001Z", "--topic", "in"], 8, "reads 22 again"),
        (["--to-time", "1s"], 40, "skips 10"),
        (["--to", "latest"], 40, "skips 10"),
        (["--to-offset", 33, "--partition", 1], 33, "skips 3"),
    ],
)
def test_a_worker_starts_where_it_was_told(ready: Ready, target: list[object], to: int, effect: str) -> None:
    ready.log.append("in", [(b"k", b'{"n":%d}' % n, None, T + n * MINUTE) for n in range(30, 40)], partition=1)
    code, plan, err = ready.offsets("reset", *target)
    assert (code, plan["done"]) == (0, False)
    assert "dry run; nothing was changed" in err
    assert ready.ends() == (30, 30, 1)
    code, done, err = ready.offsets("reset", *target, "--yes")
    assert (code, done["done"]) == (0, True)
    assert {**done, "done": False} == plan
    move = next(move for move in done["moves"] if move["partition"] == 1)
    assert (move["to"], move["effect"]) == (to, effect)
    assert ready.ends() == (to, to, 2)
    notes = [note for note in ready.offsets("show")[1]["notes"] if note["partition"] == 1]
    assert [(note["kind"], note["topic"]) for note in notes] == [("reset", "in")]
    assert (notes[0]["first"], notes[0]["end"]) == (min(30, to), max(30, to))
    assert f"next offset set to {to} by `prism offsets reset" in notes[0]["what"]
    assert "before, the ledger had 30, the broker 30" in notes[0]["what"]
    assert "@" in notes[0]["who"]
    read, log = ready.run()
    assert read == list(range(to, 40))
    assert "because=moved" not in log
    assert ready.ends() == (40, 40, 2)


def test_what_is_there_already_is_not_done_again(ready: Ready) -> None:
    for _ in range(2):
        code, done, err = ready.offsets("reset", "--to", "latest", "--yes", "--partition", 1)
        assert (code, done["done"]) == (0, False)
        assert "ledger and broker are there already" in err
    assert ready.ends() == (30, 30, 1)
    assert ready.offsets("show")[1]["notes"] == []


@pytest.mark.parametrize("to", [12, 36])
def test_after_a_crash_between_broker_and_ledger_nothing_is_skipped_and_doing_it_again_ends_it(
    ready: Ready, to: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready.log.append("in", [(b"k", b'{"n":%d}' % n) for n in range(30, 40)], partition=1)
    target = ("--to-offset", to, "--partition", 1, "--yes")

    def away(*_: object) -> None:
        raise RetryableError("the ledger is away")

    with monkeypatch.context() as patch:
        patch.setattr(EmbeddedLedgerStore, "save_ledger", away)
        code, _, err = ready.offsets("reset", *target)
    assert code == 3
    assert "the broker's offsets are moved already, and the ledger's are not: run `prism offsets reset" in err
    assert ready.ends() == (30, to, 1)
    code, done, _ = ready.offsets("reset", *target)
    assert (code, done["done"], done["moves"][0]["needed"]) == (0, True, True)
    assert ready.ends() == (to, to, 2)
    assert ready.run()[0] == list(range(to, 40))


@pytest.mark.parametrize("to", [12, 36])
def test_a_worker_that_starts_between_the_two_reads_too_much_rather_than_too_little(ready: Ready, to: int) -> None:
    ready.log.append("in", [(b"k", b'{"n":%d}' % n) for n in range(30, 40)], partition=1)
    ready.move(group=to)
    read, _ = ready.run()
    atomic = "out" in ready.log.topics()
    assert read == list(range(to if atomic or to < 30 else 30, 40))


def test_a_reset_to_where_the_ledger_is_mends_the_broker(ready: Ready) -> None:
    ready.move(group=7)
    code, done, _ = ready.offsets("reset", "--to", "latest", "--yes")
    assert (code, done["moves"][1]["effect"]) == (0, "ledger and broker agree again")
    assert ready.ends() == (30, 30, 2)
    assert ready.run()[0] == []


def test_restore_gives_the_broker_what_the_ledger_knows(ready: Ready) -> None:
    with ready.log._database.transaction() as connection:
        connection.execute("DELETE FROM offsets")
    assert [one["state"] for one in ready.offsets("show")[1]["partitions"]] == ["no_broker_offset"] * 3
    assert "prism offsets restore" in ready.prism("offsets", "show", ready.path)[2]
    code, plan, _ = ready.offsets("restore")
    assert (code, [move["effect"] for move in plan["moves"]]) == (0, ["starts at 0", "starts at 30", "starts at 0"])
    assert ready.ends() == (30, None, 1)
    assert ready.offsets("restore", "--yes")[0] == 0
    assert ready.ends() == (30, 30, 1)
    ready.move(group=7)
    code, done, _ = ready.offsets("restore", "--yes", "--partition", 1)
    assert (code, done["moves"][0]["effect"]) == (0, "from 7 back to the ledger's")
    assert ready.ends() == (30, 30, 1)
    notes = ready.offsets("show")[1]["notes"]
    assert [note["kind"] for note in notes] == ["restored"] * 4
    assert sorted(note["partition"] for note in notes[:3]) == [0, 1, 2]
    lines = ready.prism("offsets", "show", ready.path)[1].splitlines()
    assert sum("  restored  in[" in line for line in lines) == 2
    assert any("(and 2 more of this topic)" in line for line in lines)
    assert ready.run()[0] == []


def test_a_pipeline_that_never_ran_starts_where_it_is_told(site: Site) -> None:
    path = site.pipeline("fresh", "in", 'alias = "things"')
    site.prism("setup", path, "--yes")
    with EmbeddedLog(site.storage) as log:
        log.append("in", [(b"k", b'{"n":%d}' % n) for n in range(10)], partition=1)
        code, out, _ = site.prism("offsets", "show", path, "--json")
        assert {one["state"] for one in json.loads(out)["partitions"]} == {"not_started"}
        assert "no partition" not in out
        code, out, _ = site.prism("offsets", "restore", path, "--yes", "--json")
        assert (code, json.loads(out)["moves"]) == (0, [])
        code, out, _ = site.prism("offsets", "reset", path, "--to-offset", "4", "--partition", "1", "--yes", "--json")
        assert (code, json.loads(out)["moves"][0]["effect"]) == (0, "starts at 4")
        assert site.prism("run", path, "--until-idle", "0.3")[0] == 0
        rows = log._database.query("SELECT id FROM documents ORDER BY id")
    assert [id_ for (id_,) in rows] == [f"in~0-1-{n}" for n in range(4, 10)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Give one of --to, --to-time and --to-offset."),
        (["--to", "latest", "--to-offset", "3"], "Give one of --to, --to-time and --to-offset."),
        (["--to", "middle"], "'middle' is not one of 'earliest', 'latest'"),
        (["--to-time", "yesterday"], "'yesterday' is no time"),
        (["--to-offset", "-1"], "-1 is not in the range"),
        (["--to-offset", "31", "--partition", "1"], "--to-offset 31 lies outside the log of in[1] (0 to 30)"),
        (["--to-offset", "1"], "--to-offset 1 lies outside the log of in[0] (0 to 0), in[2] (0 to 0)"),
        (["--to", "latest", "--topic", "inn"], "inn"),
        (["--to", "latest", "--partition", "3"], "topic in has the partitions 0 to 2 only"),
    ],
)
def test_wrong_usage_is_one_sentence_and_changes_nothing(ready: Ready, arguments: list[str], said: str) -> None:
    code, out, err = ready.prism("offsets", "reset", ready.path, "--yes", *arguments)
    assert code == 2
    assert said in " ".join(err.split())
    assert not out
    assert ready.ends() == (30, 30, 1)


def test_a_topic_that_was_created_again_is_left_to_run(ready: Ready) -> None:
    ready.log.delete_topic("in")
    assert "no topic in where the source reads" in ready.prism("offsets", "show", ready.path)[2]
    ready.log.create_topic("in", 3)
    assert {one["problem"] for one in ready.offsets("show")[1]["partitions"]} == {
        "the topic was deleted and created again"
    }
    for command in (["reset", "--to", "earliest"], ["restore"]):
        code, _, err = ready.prism("offsets", command[0], ready.path, "--yes", *command[1:])
        assert code == 3
        assert "--accept-recreated in" in err


# --- members -----------------------------------------------------------------------------------------------------------


class Listener:
    def on_assigned(self, partitions: Any) -> Any:
        return dict.fromkeys(partitions, 0)

    def on_revoked(self, partitions: Any) -> None:
        pass

    on_lost = on_revoked


@pytest.fixture
def member(ready: Ready) -> Iterator[Callable[[str], EmbeddedSource]]:
    made: list[EmbeddedSource] = []

    def start(worker: str) -> EmbeddedSource:
        source = EmbeddedSource(ready.storage / FILE_NAME, group="p", worker=worker, topics=["in"], session_timeout=1.0)
        made.append(source)
        source.open(Listener())
        source.poll(1, 0)
        return source

    yield start
    for source in made:
        source.close()


def test_live_members_are_named_and_nothing_is_changed(ready: Ready, member: Callable[[str], EmbeddedSource]) -> None:
    sources = [member("a"), member("b")]
    for extra in ([], ["--yes"]):
        code, found, err = ready.offsets("reset", "--to", "earliest", *extra)
        assert code == 3
        assert (found["done"], found["members"]) == (False, ["worker a", "worker b"])
        assert "the group has live members, and nothing was changed: worker a; worker b; stop them" in err
    assert "Live members: worker a; worker b" in ready.prism("offsets", "show", ready.path)[1]
    code, _, err = ready.offsets("restore", "--yes")
    assert code == 3
    assert ready.ends() == (30, 30, 1)
    for source in sources:
        source.close()
    assert ready.offsets("reset", "--to", "earliest", "--yes")[0] == 0


def test_one_that_joins_between_look_and_move_is_found_out(
    ready: Ready, member: Callable[[str], EmbeddedSource]
) -> None:
    group = EmbeddedGroupOffsets(ready.storage / FILE_NAME, group="p", session_timeout=1.0)
    group.open()
    assert group.members() == []
    member("late")
    with pytest.raises(FatalError, match="while it has a member, worker late"):
        group.alter({P: 3})
    group.close()
    assert ready.ends() == (30, 30, 1)


def test_one_that_was_killed_holds_nothing_up_for_longer_than_its_session_and_is_fenced(
    ready: Ready, member: Callable[[str], EmbeddedSource]
) -> None:
    dead = member("dead")
    dead._heartbeat._stop.set()  # as far as others can see, it was killed
    began = time.monotonic()
    code, found, _ = ready.offsets("reset", "--to-offset", 12, "--partition", 1, "--yes")
    assert (code, found["members"]) == (0, [])
    assert time.monotonic() - began >= 1.0
    with pytest.raises(FencedError):
        dead.commit({P: 25})
    assert ready.ends() == (12, 12, 2)


# --- the store alone ---------------------------------------------------------------------------------------------------


class StoreHarness:
    """The command's ledger store in the place of a sink: the same clauses hold for it."""

    patience = 1.0

    def __init__(self, path: Path, alias: str | None) -> None:
        self.make_sink: Callable[[str], Any] = lambda _: EmbeddedLedgerStore(path, pipeline="p", alias=alias)


class TestEmbeddedLedgerStore(LedgerConformance):
    @pytest.fixture(params=[None, "things"])
    def harness(self, request: pytest.FixtureRequest, site: Site) -> StoreHarness:
        site.prism("setup", site.pipeline("p", "in", 'alias = "things"'), "--yes")
        return StoreHarness(site.storage / FILE_NAME, request.param)


def test_sink_and_store_share_one_ledger(site: Site) -> None:
    site.prism("setup", site.pipeline("p", "in", 'topic = "out"\nencode = { type = "json", wire = "bare" }'), "--yes")
    path = site.storage / FILE_NAME
    sink = EmbeddedTopicSink(path, topic="out", pipeline="p", worker="1", dead_letter_topic="")
    store = EmbeddedLedgerStore(path, pipeline="p", alias=None)
    sink.open()
    store.open()
    row, note = LedgerRow(P, 5, ledger_epoch=1), LedgerNote("reset", T, "ada@host", "to 5")
    store.save_ledger([row], [note])
    assert (sink.load_ledger([P]), sink.load_notes()) == ({P: row}, [note])
    sink.save_ledger([LedgerRow(P, 9)])
    assert store.load_ledger([P]) == {P: row}, "a worker of the time before the reset writes nothing over it"
    sink.close()
    store.close()
    with pytest.raises(ConfigError, match="no alias 'nowhere'"):
        EmbeddedLedgerStore(path, pipeline="p", alias="nowhere").open()
