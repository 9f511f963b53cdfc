"""``prism dead-letters`` on the in-memory broker, as a user sees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from prismlib.errors import DecodeError, InvalidValueError
from prismlib.records import Partition, RecordBatch
from prismlib.runtime.dead_letters import Letter, LetterBox
from tests.unit.cli.conftest import Site

DEAD = "p.dead-letters"
HOUR = 3_600_000


@pytest.fixture
def letters(site: Site, memory: ModuleType) -> Site:
    """A pipeline that writes words in capitals to a topic, with what it needs."""
    site.edit("[sink]", 'normalize = { type = "upper" }\n[sink]')
    site.edit('type = "shelf"', 'type = "tape"\ntopic = "loud"\nencode = { type = "compact" }')
    for topic in ("words", "loud", DEAD):
        memory.BROKER.create_topic(topic)
    return site


@pytest.fixture
def bad(memory: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Writes one dead letter; returns its id."""

    def write(offset: int, value: bytes | None, *, code: str = "no-json", ago: int = 0, **about: Any) -> str:
        topic, pipeline = about.pop("topic", "words"), about.pop("pipeline", "p")
        stage = about.pop("stage", "decode")
        kind = DecodeError if stage == "decode" else InvalidValueError
        error = kind(about.pop("reason", "it is no JSON"), code=code, field=about.pop("field", None))
        batch = RecordBatch(
            Partition(topic, 0), [offset], [1_740_808_800_000], [b"k"], [value], [about.pop("headers", None)]
        )
        now = time.time()
        with monkeypatch.context() as patch:
            patch.setattr("prismlib.runtime.dead_letters.time.time", lambda: now - ago / 1000)
            documents = LetterBox(DEAD, pipeline, "1", lambda *_: 7, lambda _: 0).documents(
                [Letter(batch, 0, stage, error)]
            )
        place, at = memory.BROKER.append(DEAD, b"k", value, documents.headers[0])
        return f"{place.index}-{at}"

    return write


def loud(memory: ModuleType) -> list[Any]:
    return [json.loads(record.value) for record in memory.BROKER.records("loud")]


# --- list ----------------------------------------------------------------------------------------------------------------


def test_list_groups_by_topic_and_reason_and_names_an_example(letters: Site, bad: Any) -> None:
    bad(0, b"x")
    newest = bad(1, b"y")
    bad(2, b'{"word": 5}', code="invalid-value", stage="normalize", field="lines[3].word", reason="a word must be text")
    bad(3, b'{"word": 6}', code="invalid-value", stage="normalize", field="lines[4].word", reason="a word must be text")
    bad(4, b"z")
    found = letters.prism("dead-letters", "list", letters.path)
    assert found.code == 0
    blocks = [line for line in found.out.splitlines() if not line.startswith(" ")]
    assert blocks == ["3 open  words  decode  no-json", "2 open  words  normalize  invalid-value  field lines[].word"]
    assert "it is no JSON" in found.out
    assert "for example 0-4" in found.out
    assert f"prism dead-letters show {letters.path} 0-4" in found.err
    assert newest == "0-1"


def test_list_as_json_has_the_same_numbers(letters: Site, bad: Any) -> None:
    bad(0, b"x", ago=2 * HOUR)
    bad(1, b"y")
    (group,) = json.loads(letters.prism("dead-letters", "list", letters.path, "--json").out)["groups"]
    assert group["last_ms"] - group["first_ms"] == pytest.approx(2 * HOUR, abs=60_000)
    assert (group["open"], group["stage"], group["code"], group["field"]) == (2, "decode", "no-json", None)


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        ([], ["0-0", "0-1", "0-2"]),
        (["--reason", "no-json"], ["0-0"]),
        (["--reason", "MUST be"], ["0-1"]),
        (["--stage", "normalize"], ["0-1"]),
        (["--topic", "numbers"], ["0-2"]),
        (["--since", "90m"], ["0-1", "0-2"]),
        (["--until", "90m"], ["0-0"]),
        (["--since", "2020-01-01T00:00:00Z", "--until", "2020-01-02T00:00:00+02:00"], []),
    ],
)
def test_filters_choose_letters(letters: Site, bad: Any, options: list[str], ids: list[str]) -> None:
    bad(0, b"x", ago=2 * HOUR)
    bad(1, b'{"word": 5}', code="invalid-value", stage="normalize", reason="a word must be text")
    bad(2, b"1", topic="numbers", code="other")
    found = letters.prism("dead-letters", "list", letters.path, "--ids", *options)
    assert found.out.split() == ids


def test_a_time_without_an_offset_is_refused_with_an_example(letters: Site) -> None:
    found = letters.prism("dead-letters", "list", letters.path, "--since", "2025-03-01T06:00:00")
    assert found.code == 2
    assert "2025-03-01T06:00:00Z" in found.err


def test_an_empty_topic_is_said_and_a_missing_one_names_the_command(letters: Site, memory: ModuleType) -> None:
    found = letters.prism("dead-letters", "list", letters.path)
    assert (found.code, found.out) == (0, "")
    assert f"No such dead letters in {DEAD}." in found.err
    memory.BROKER.delete_topic(DEAD)
    found = letters.prism("dead-letters", "list", letters.path)
    assert found.code == 2
    assert "prism setup" in found.err


def test_what_is_not_ours_is_passed_over_and_said(letters: Site, bad: Any, memory: ModuleType) -> None:
    bad(0, b"x", pipeline="another")
    memory.BROKER.append(DEAD, b"k", b"stray", [("prism.topic", b"words"), ("prism.offset", b"-5")])
    memory.BROKER.append(DEAD, None, None, [("prism.mark", b"eaten"), ("prism.letter", b"0-0")])
    found = letters.prism("dead-letters", "list", letters.path)
    assert found.out == ""
    assert "1 of another pipeline, another" in found.err
    assert "2 records that are no dead letters" in found.err
    assert letters.prism("dead-letters", "retry", letters.path, "--yes").code == 0
    assert loud(memory) == []


def test_control_characters_of_a_record_do_not_reach_the_terminal(letters: Site, bad: Any) -> None:
    evil = "\x1b]0;owned\x07\r\u202e"
    one = bad(
        0,
        f"{evil}x".encode(),
        code=f"c{evil}",
        reason=f"r{evil}",
        field=f"f{evil}",
        headers=[(f"h{evil}", evil.encode())],
    )
    for command in (["list", letters.path], ["show", letters.path, one], ["retry", letters.path]):
        found = letters.prism("dead-letters", *command)
        shown = (found.out + found.err).replace("\n", "")
        assert shown.isprintable(), ascii(shown)


# --- show ----------------------------------------------------------------------------------------------------------------


def test_show_tells_origin_reason_and_what_could_be_decoded(letters: Site, bad: Any) -> None:
    one = bad(41, b'{"word": 5, "more": [true, {"a": null}]}', code="invalid-value", stage="normalize", field="word",
              reason="a word must be text", headers=[("trace", b"t-1")])  # fmt: skip
    found = letters.prism("dead-letters", "show", letters.path, one)
    assert found.code == 0
    for line in (
        "dead letter 0-0 of p: open",
        "  origin   words[0] offset 41, written at 2025-03-01T06:00:00Z",
        '  key      "k"',
        '  header   trace = "t-1"',
        "  schema   id 7; no registry is configured",
        "  a word must be text (field word)",
        "> word       5",
        "  more[0]    true",
        "  more[1].a  null",
    ):
        assert line in found.out.splitlines(), line
    assert f"prism dead-letters retry {letters.path} --reason invalid-value" in found.err


def test_show_dumps_what_cannot_be_decoded(letters: Site, bad: Any) -> None:
    one = bad(0, b"\x00\xffnot JSON" + b"." * 200)
    lines = letters.prism("dead-letters", "show", letters.path, one).out.splitlines()
    assert "> here it ends: it is no JSON" in lines
    assert "  210 bytes, of which 0 to 79:" in lines
    assert "  00000000  00 ff 6e 6f 74 20 4a 53 4f 4e 2e 2e 2e 2e 2e 2e  |..not JSON......|" in lines


def test_show_as_json_has_the_record_and_its_contents(letters: Site, bad: Any) -> None:
    one = bad(0, b'{"word": 5}', code="invalid-value", stage="normalize", field="word")
    found = json.loads(letters.prism("dead-letters", "show", letters.path, one, "--json").out)
    assert found["record"] == {"fields": [["word", 5]], "error": None, "at": None}
    assert found["value"]["json"] == {"word": 5}
    assert found["state"] == "open"


def test_show_says_why_a_record_cannot_be_decoded_without_its_route(letters: Site, bad: Any) -> None:
    one = bad(0, b"abc", topic="gone")
    found = letters.prism("dead-letters", "show", letters.path, one)
    assert found.code == 0
    assert "no route for the topic gone any more" in found.out
    assert "|abc|" in found.out


@pytest.mark.parametrize(
    ("name", "says"), [("0-99", "there is no dead letter 0-99"), ("9-0", "there is no"), ("x", "names no")]
)
def test_a_letter_that_is_not_there_is_refused_with_the_next_step(
    letters: Site, bad: Any, name: str, says: str
) -> None:
    bad(0, b"x")
    found = letters.prism("dead-letters", "show", letters.path, name)
    assert found.code == 2
    assert says in found.err
    assert "prism dead-letters list" in found.err


def test_a_tombstone_is_called_one(letters: Site, bad: Any) -> None:
    assert "it is a tombstone" in letters.prism("dead-letters", "show", letters.path, bad(0, None)).out


# --- retry ---------------------------------------------------------------------------------------------------------------


def test_a_dry_run_says_what_would_become_of_each_and_writes_nothing(
    letters: Site, bad: Any, memory: ModuleType
) -> None:
    bad(0, b'{"word": "a"}')
    bad(1, b"still no JSON")
    bad(2, b'{"word": 5}', stage="write", code="unwritable")
    bad(3, b'{"word": "b"}', stage="write", code="unwritable")
    bad(4, b"{}", topic="gone")
    before = len(memory.BROKER.records(DEAD))
    found = letters.prism("dead-letters", "retry", letters.path)
    assert found.code == 1
    lines = found.out.splitlines()
    assert "2 would be delivered  words" in lines
    assert "1 would fail again  words  decode  no-json" in lines
    assert "1 would fail again  words  normalize  invalid-value  field word" in lines
    assert "1 would be left as they are  gone  no-route" in lines
    assert "1 of those that would be delivered were refused by the sink before" in found.err
    assert "This was a dry run" in found.err
    assert loud(memory) == []
    assert len(memory.BROKER.records(DEAD)) == before


def test_a_retry_delivers_marks_and_makes_new_letters(letters: Site, bad: Any, memory: ModuleType) -> None:
    good = bad(0, b'{"word": "a"}')
    worse = bad(1, b'{"word": 5}')
    found = letters.prism("dead-letters", "retry", letters.path, "--yes", "--json")
    assert found.code == 1
    told = json.loads(found.out)
    assert (told["written"], told["delivered"], told["failed"], told["dropped"], told["left"]) == (True, 1, 1, 0, 0)
    assert loud(memory) == [{"word": "A"}]
    listed = letters.prism("dead-letters", "list", letters.path, "--ids").out.split()
    assert len(listed) == 1
    shown = letters.prism("dead-letters", "show", letters.path, listed[0]).out
    assert f"  before   it was {worse}, which was retried and failed again" in shown
    assert (
        shown.index("attempt 1")
        < shown.index("decode  no-json")
        < shown.index("attempt 2")
        < shown.index("normalize  inv")
    )
    old = letters.prism("dead-letters", "show", letters.path, worse)
    assert "retried and failed again at" in old.out
    assert old.out.splitlines()[0].endswith(f"now {listed[0]}")
    assert "delivered at" in letters.prism("dead-letters", "show", letters.path, good).out
    settled = json.loads(letters.prism("dead-letters", "list", letters.path, "--all", "--json").out)["groups"]
    assert {(one["code"], one["open"], one["delivered"]) for one in settled} == {
        ("no-json", 0, 1),
        ("invalid-value", 1, 0),
    }
    assert letters.prism("dead-letters", "retry", letters.path, "--yes", "--reason", "no-json").code == 0
    assert loud(memory) == [{"word": "A"}]


def test_limit_takes_the_first_of_each_source(letters: Site, bad: Any, memory: ModuleType) -> None:
    for offset in (5, 3, 4):
        bad(offset, b'{"word": "w%d"}' % offset)
    assert letters.prism("dead-letters", "retry", letters.path, "--yes", "--limit", "2").code == 0
    assert loud(memory) == [{"word": "W3"}, {"word": "W4"}]
    assert letters.prism("dead-letters", "retry", letters.path, "--yes").code == 0
    assert loud(memory) == [{"word": "W3"}, {"word": "W4"}, {"word": "W5"}]


def test_a_retry_touches_no_group_and_names_its_worker(letters: Site, bad: Any, memory: ModuleType) -> None:
    bad(0, b"no")
    memory.BROKER.set_committed("p", {Partition("words", 0): 3})
    letters.prism("dead-letters", "retry", letters.path, "--yes")
    assert memory.BROKER.committed("p") == {Partition("words", 0): 3}
    assert memory.BROKER.members("p") == {}
    (index,) = letters.prism("dead-letters", "list", letters.path, "--ids").out.split()
    assert "  worker   _retry" in letters.prism("dead-letters", "show", letters.path, index).out


def test_a_sink_that_is_away_is_exit_code_3(letters: Site, memory: ModuleType) -> None:
    memory.BROKER.reachable = False
    for command in ("list", "retry", "export"):
        assert letters.prism("dead-letters", command, letters.path).code == 3


def test_a_source_without_a_reader_is_one_sentence(site: Site) -> None:
    site.edit('type = "tape"\nservers = "memory"', 'type = "loner"')
    found = site.prism("dead-letters", "list", site.path)
    assert found.code == 2
    assert "cannot read dead letters" in found.err


def test_beside_a_sink_of_versioned_documents(letters: Site, bad: Any, memory: ModuleType) -> None:
    letters.edit('type = "tape"\ntopic = "loud"\n', 'type = "shelf"\n')
    bad(7, b'{"word": "a"}')
    bad(8, b"no")
    assert letters.prism("dead-letters", "retry", letters.path, "--yes").code == 1
    assert memory.STORE.documents == {"words~0-0-7": (8, b'{"word": "A"}')}
    assert len(letters.prism("dead-letters", "list", letters.path, "--ids").out.split()) == 1


INTERRUPTED = """
import os, signal, sys, threading
import site_memory
from prismlib.cli.main import execute
from prismlib.errors import DecodeError
from prismlib.records import Partition, RecordBatch
from prismlib.runtime import retry
from prismlib.runtime.dead_letters import Letter, LetterBox
for topic in ("words", "loud", "p.dead-letters"):
    site_memory.BROKER.create_topic(topic)
batch = RecordBatch(Partition("words", 0), range(9), [0] * 9, [None] * 9, [b'{"word": "w"}'] * 9, [None] * 9)
box = LetterBox("p.dead-letters", "p", "1", lambda *_: None, lambda _: 0)
for headers in box.documents([Letter(batch, row, "decode", DecodeError("bad")) for row in range(9)]).headers:
    site_memory.BROKER.append("p.dead-letters", None, b'{"word": "w"}', headers)
retry.WINDOW_LETTERS = 2
send = site_memory.MemoryTransactionalSink.commit
def commit(self, *args):
    send(self, *args)
    os.kill(os.getpid(), signal.SIGINT)
site_memory.MemoryTransactionalSink.commit = commit
code = execute(["dead-letters", "retry", sys.argv[1], "--yes"])
delivered = len(site_memory.BROKER.records("loud"))
site_memory.MemoryTransactionalSink.commit = send
again = execute(["dead-letters", "retry", sys.argv[1], "--yes"])
print(code, delivered, again, len(site_memory.BROKER.records("loud")))
"""


def test_ctrl_c_finishes_what_is_under_way(letters: Site) -> None:
    path = os.pathsep.join([str(letters.folder), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, str(letters.path)],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "130 2 0 9", done.stdout + done.stderr
    assert "Stopped after 2 of 9 letters; the others are open." in done.stderr


# --- export --------------------------------------------------------------------------------------------------------------


def test_export_writes_one_json_object_a_line(letters: Site, bad: Any) -> None:
    bad(0, b"\xff\x00")
    bad(1, b'{"word": 5}', code="invalid-value", stage="normalize", field="word", headers=[("h", None)])
    found = letters.prism("dead-letters", "export", letters.path)
    assert found.code == 0
    first, second = map(json.loads, found.out.splitlines())
    assert first["value"] == {"base64": "/wA="}
    assert (first["decoded"], first["decode_error"]) == (None, "it is no JSON")
    assert second["origin"] == {
        "topic": "words",
        "partition": 0,
        "offset": 1,
        "epoch": 0,
        "timestamp_ms": 1_740_808_800_000,
    }
    assert second["value"] == {"base64": "eyJ3b3JkIjogNX0=", "text": '{"word": 5}', "json": {"word": 5}}
    assert (second["decoded"], second["headers"]) == ({"word": 5}, [["h", None]])
    assert [one["attempt"] for one in second["attempts"]] == [1]
    found = letters.prism("dead-letters", "export", letters.path, "--reason", "no-json")
    assert len(found.out.splitlines()) == 1


def test_export_replaces_no_file_unasked_and_leaves_no_half_one(letters: Site, bad: Any, tmp_path: Path) -> None:
    bad(0, b"x")
    target = tmp_path / "bad.jsonl"
    assert letters.prism("dead-letters", "export", letters.path, "--output", target).code == 0
    assert len(target.read_text().splitlines()) == 1
    bad(1, b"y")
    refused = letters.prism("dead-letters", "export", letters.path, "--output", target)
    assert refused.code == 2
    assert "--force" in refused.err
    assert len(target.read_text().splitlines()) == 1
    assert letters.prism("dead-letters", "export", letters.path, "--output", target, "--force").code == 0
    assert len(target.read_text().splitlines()) == 2
    missing = letters.prism("dead-letters", "export", letters.path, "--output", tmp_path / "no" / "bad.jsonl")
    assert missing.code == 2
    assert sorted(path.name for path in tmp_path.iterdir() if "bad" in path.name) == ["bad.jsonl"]


def test_a_record_nested_too_deeply_is_exported_as_it_is(letters: Site, bad: Any) -> None:
    bad(0, b'{"a":' * 900 + b"1" + b"}" * 900)
    found = letters.prism("dead-letters", "export", letters.path)
    assert found.code == 0
    assert json.loads(found.out)["value"]["base64"]
