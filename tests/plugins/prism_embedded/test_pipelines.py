"""Pipeline files of type ``embedded``: what they may say, what setup and check make of them, and what run says."""

from __future__ import annotations

import shlex
import sqlite3
from pathlib import Path

import pytest

from prism_embedded import EmbeddedDocuments, EmbeddedLog
from prism_embedded.database import FILE_NAME
from prism_embedded.group import Member
from prism_embedded.topic_sink import EmbeddedTopicSink
from prismlib.errors import FatalError, StageContractError
from prismlib.records import Partition
from tests.plugins.prism_embedded.site import Site


@pytest.mark.parametrize(
    ("sink", "said"),
    [
        ("", "give either topic, for a log, or alias, for a document store"),
        ('topic = "a"\nalias = "b"', "give either topic, for a log, or alias, for a document store"),
        ('alias = "b"\npartitions = 3', "partitions belongs to topic"),
        ('alias = "B"', "must be lower-case letters"),
        ('topic = "a b"', "is no topic name"),
        ('topic = "a"\npartitions = 0', "must be greater than or equal to 1"),
        ('topics = "a"', "unknown key 'topics'; did you mean 'topic'?"),
    ],
)
def test_a_sink_that_makes_no_sense_is_one_sentence(site: Site, sink: str, said: str) -> None:
    code, _, err = site.prism("check", site.pipeline("p", "in", sink), "--json")
    assert code == 2
    _, out, _ = site.prism("check", site.pipeline("p", "in", sink), "--json")
    assert said in out
    assert "[sink]" in out
    assert not err


def test_a_session_has_a_shortest_time_out(site: Site) -> None:
    path = site.pipeline("p", "in", 'alias = "things"')
    path.write_text(path.read_text().replace("[source]\n", '[source]\nsession_timeout = "500ms"\n'))
    code, _, err = site.prism("run", path)
    assert code == 2
    assert "'session_timeout': must be at least 1s" in err


def test_setup_shows_what_it_would_do_and_does_it(site: Site, to_topic: Path, to_alias: Path) -> None:
    file = str(site.storage / FILE_NAME)
    assert site.rows("setup", to_topic) == [
        {"what": what, "state": "to_create", "problem": ""}
        for what in (
            f"embedded storage {file}",
            "topic in (3 partitions)",
            "dead letter topic one.dead-letters (1 partition)",
            "topic out (3 partitions)",
        )
    ]
    assert not site.storage.exists(), "a dry run changes nothing"
    assert {row["state"] for row in site.rows("setup", to_topic, "--yes")} == {"created"}
    assert {row["state"] for row in site.rows("setup", to_topic, "--yes")} == {"exists"}
    states = {row["what"]: row["state"] for row in site.rows("setup", to_alias, "--yes")}
    assert states == {
        f"embedded storage {file}": "exists",
        "topic out (3 partitions)": "exists",
        "dead letter topic two.dead-letters (1 partition)": "created",
        "index things-000001 behind the alias things": "created",
    }
    assert {row["state"] for row in site.rows("setup", to_alias)} == {"exists"}
    with EmbeddedLog(site.storage) as log:
        assert log.topics() == ["in", "one.dead-letters", "out", "two.dead-letters"]


def test_an_output_has_as_many_partitions_as_its_largest_source_or_as_the_file_says(site: Site) -> None:
    with EmbeddedLog(site.storage) as log:
        log.create_topic("in", 5)
        json_sink = 'encode = { type = "json", wire = "bare" }\n'
        site.prism("setup", site.pipeline("a", "in", f'topic = "a"\n{json_sink}'), "--yes")
        site.prism("setup", site.pipeline("b", "in", f'topic = "b"\npartitions = 2\n{json_sink}'), "--yes")
        assert (len(log.ends("a")), len(log.ends("b"))) == (5, 2)
        path = site.pipeline("b", "in", f'topic = "b"\npartitions = 4\n{json_sink}')
        code, out, _ = site.prism("setup", path, "--yes", "--json")
        assert code == 2
        assert "b has 2 partitions, and the pipeline file says 4" in out
        assert any("b has 2 partitions" in row["detail"] for row in site.rows("check", path))


def test_check_says_plainly_what_it_is(site: Site, to_topic: Path, to_alias: Path) -> None:
    code, out, _ = site.prism("check", to_alias, "--json")
    assert code == 2
    assert "there is no embedded storage" in out
    for path in (to_topic, to_alias):
        site.prism("setup", path, "--yes")
    found = site.rows("check", to_alias)
    file = site.storage / FILE_NAME
    said = f"embedded storage in {file}: for trying Prism out; it is not Kafka and not Elasticsearch"
    assert {"what": "embedded storage", "state": "warning", "detail": said} in found
    states = {row["what"]: (row["state"], row["detail"]) for row in found}
    assert states["topic out"] == ("ok", "3 partitions")
    assert states["alias things"] == ("ok", "writes to things-000001")
    assert states["consumer group two"] == ("ok", "offsets of 0 of 3 partitions are committed")
    assert site.prism("check", to_alias)[0] == 0


def test_two_pipelines_topic_to_topic_to_alias(site: Site, to_topic: Path, to_alias: Path) -> None:
    for path in (to_topic, to_alias):
        site.prism("setup", path, "--yes")
    with EmbeddedLog(site.storage) as log:
        log.append("in", [(b"k%d" % n, b'{"n":%d}' % n) for n in range(500)])
        log.append("in", [(b"bad", b"{no json"), (b"gone", None)])
    code, _, err = site.prism("run", to_topic, "--until-idle", "0.3")
    assert code == 0
    assert err.count("embedded storage, for trying Prism out; it is not Kafka and not Elasticsearch") <= 1
    assert site.prism("run", to_alias, "--until-idle", "0.3")[0] == 0
    with EmbeddedLog(site.storage) as log, EmbeddedDocuments(site.storage) as documents:
        (letters,) = log.read("two.dead-letters")
        assert list(letters.values) == [b"{no json"]
        headers = dict(letters.headers[0] or ())
        assert (headers["prism.stage"], headers["prism.topic"]) == (b"write", b"out")
        assert sorted(document["n"] for _, document in documents.all("things")) == list(range(500))
        assert sum(log.committed("one").values()) == 502
        assert site.prism("run", to_topic, "--until-idle", "0.3")[0] == 0
        assert log.count("out") == sum(log.committed("two").values()), "nothing was written again"


def test_records_below_the_log_start_are_refused_with_what_is_lost(site: Site, to_topic: Path) -> None:
    site.prism("setup", to_topic, "--yes")
    with EmbeddedLog(site.storage) as log:
        log.append("in", [(b"k", b'{"n":%d}' % n) for n in range(10)], partition=1)
        assert site.prism("run", to_topic, "--until-idle", "0.3")[0] == 0
        log.append("in", [(b"k", b'{"n":%d}' % n) for n in range(10)], partition=1)
        log.trim("in", 1, 15)
        code, _, err = site.prism("run", to_topic, "--until-idle", "0.3")
    assert code == 3
    assert (
        "in[1]: data is lost: the next record to read has offset 10, the log now starts at 15; at most 5 records" in err
    )
    assert err.splitlines()[-1] == f"error:   prism run {to_topic} --accept-loss 'in[1]:10-15'"


@pytest.mark.parametrize("workers", [(), ("--workers", "2")], ids=["one worker", "two workers"])
def test_the_command_of_the_refusal_goes_on_without_what_is_lost(
    site: Site, to_topic: Path, to_alias: Path, workers: tuple[str, ...]
) -> None:
    for path in (to_topic, to_alias):
        site.prism("setup", path, "--yes")
    with EmbeddedLog(site.storage) as log, EmbeddedDocuments(site.storage) as documents:
        for index in range(2):
            log.append("out", [(b"k", b'{"n":%d}' % n) for n in range(10)], partition=index)
        assert site.prism("run", to_alias, "--until-idle", "0.3")[0] == 0
        for index in range(2):
            log.append("out", [(b"k", b'{"n":%d}' % n) for n in range(10, 20)], partition=index)
            log.trim("out", index, 12 + index)
        _, _, err = site.prism("run", to_alias, "--until-idle", "0.3")
        command = shlex.split(err.splitlines()[-1].removeprefix("error: "))
        assert command == [
            "prism",
            "run",
            str(to_alias),
            "--accept-loss",
            "out[0]:10-12",
            "--accept-loss",
            "out[1]:10-13",
        ]
        assert site.prism(*command[1:], "--until-idle", "1", *workers)[0] == 0
        assert site.prism("run", to_alias, "--until-idle", "0.3")[0] == 0
        assert len(list(documents.all("things"))) == 20 + 8 + 7


def test_a_topic_that_was_created_again_is_refused_until_it_is_accepted(site: Site, to_topic: Path) -> None:
    site.prism("setup", to_topic, "--yes")
    with EmbeddedLog(site.storage) as log:
        log.append("in", [(b"k%d" % n, b'{"n":%d}' % n) for n in range(30)])
        assert site.prism("run", to_topic, "--until-idle", "0.3")[0] == 0
        log.delete_topic("in")
        log.create_topic("in", 3)
        log.append("in", [(b"k%d" % n, b'{"n":%d}' % n) for n in range(20)])
        code, _, err = site.prism("run", to_topic, "--until-idle", "0.3")
        assert code == 3
        assert "the topic was deleted and created again since the last run" in err
        assert site.prism("run", to_topic, "--until-idle", "0.3", "--accept-recreated", "in")[0] == 0
        assert log.count("out") == 50


def test_offsets_that_were_forgotten_come_back_from_the_ledger(site: Site, to_topic: Path) -> None:
    site.prism("setup", to_topic, "--yes")
    with EmbeddedLog(site.storage) as log:
        log.append("in", [(b"k%d" % n, b'{"n":%d}' % n) for n in range(30)])
        site.prism("run", to_topic, "--until-idle", "0.3")
        with log._database.transaction() as connection:
            connection.execute("DELETE FROM offsets")
        code, _, err = site.prism("run", to_topic, "--until-idle", "0.3")
        assert code == 0
        assert "restored from the ledger" in err
        assert log.count("out") == 30


@pytest.mark.parametrize("command", ["run", "check", "setup"])
@pytest.mark.parametrize("file", ["garbage", "foreign", "folder", "missing"])
def test_whatever_is_in_the_files_place_every_command_says_one_sentence(
    site: Site, to_alias: Path, command: str, file: str
) -> None:
    path = site.storage / FILE_NAME
    site.storage.mkdir()
    if file == "garbage":
        path.write_bytes(b"garbage " * 4096)
    elif file == "foreign":
        other = sqlite3.connect(path)
        other.execute("CREATE TABLE theirs (a)")
        other.close()
    elif file == "folder":
        path.mkdir()
    code, out, err = site.prism(command, to_alias)
    if (command, file) == ("setup", "missing"):
        assert code == 0
        return
    assert code == 2
    said = " ".join((out + err).split())
    assert "prism.db" in said
    if command != "check":
        assert [line.startswith("error: ") for line in err.splitlines()].count(True) == 1
        assert err.splitlines()[-1].startswith("error: ")


def test_a_source_of_another_kind_cannot_take_part_in_its_transactions(site: Site) -> None:
    """Told with the first commit, because only then the two meet."""
    site.prism("setup", site.pipeline("one", "in", 'topic = "out"\nencode = { type = "json", wire = "bare" }'), "--yes")
    sink = EmbeddedTopicSink(
        site.storage / FILE_NAME, topic="out", pipeline="one", worker="1", dead_letter_topic="one.dead-letters"
    )
    sink.open()
    sink.begin()
    with pytest.raises(StageContractError, match="of an embedded source only, not of dict"):
        sink.commit({Partition("in", 0): 1}, {}, [])
    with pytest.raises(FatalError, match="source and sink are two files"):
        sink.commit({Partition("in", 0): 1}, Member(Path("/elsewhere"), "one", 1, {}), [])
    sink.close()
