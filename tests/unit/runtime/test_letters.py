"""Dead letters as they are read back: headers of any kind, marks, histories, and the index of all of them."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from prismlib.errors import ConfigError, DecodeError
from prismlib.records import Partition, RecordBatch
from prismlib.runtime.dead_letters import MAX_HISTORY, Letter, LetterBox, Mark
from prismlib.runtime.letter_index import MAX_REASONS, OTHER
from prismlib.runtime.letters import LetterId, Selection, StoredLetter, StoredMark, read_record
from prismlib.testing.memory import MemoryReader
from tests.unit.runtime.letters_world import DEAD, LettersWorld

BOX = LetterBox(DEAD, "p", "1", lambda _, value: len(value), lambda _: 3)


def batch(headers: Any, value: bytes | None = b"v", offset: int = 9) -> RecordBatch:
    return RecordBatch(Partition(DEAD, 1), [offset], [77], [b"k"], [value], [headers])


def retried(letter: StoredLetter, reason: str = "again", at: int = 0) -> StoredLetter:
    """The letter that one becomes when it fails again."""
    origin = RecordBatch(letter.origin, [letter.offset], [1], [b"k"], [b"v"], [letter.headers])
    error = DecodeError(reason, code=f"c{at}", field="ä" * 1000)
    documents = BOX.documents([Letter(origin, 0, "decode", error, str(letter.id))])
    found = read_record(batch(documents.headers[0]), 0)
    assert isinstance(found, StoredLetter)
    return found


def first(**about: Any) -> StoredLetter:
    origin = RecordBatch(Partition("in", 2), [5], [1_000], [b"k"], [b"v"], [[("h", b"1"), ("prism.x", b"2")]])
    error = DecodeError(about.get("reason", "it is bad"), code="bad", field="a")
    found = read_record(batch(BOX.documents([Letter(origin, 0, "decode", error)]).headers[0]), 0)
    assert isinstance(found, StoredLetter)
    return found


def test_a_letter_is_read_as_it_was_written() -> None:
    found = first()
    assert found.id == LetterId(1, 9)
    assert (found.origin, found.offset, found.timestamp_ms, found.epoch) == (Partition("in", 2), 5, 1_000, 3)
    assert (found.pipeline, found.worker, found.schema_id, found.previous) == ("p", "1", 1, None)
    assert (found.last.attempt, found.last.stage, found.last.code, found.last.reason, found.last.field) == (
        1, "decode", "bad", "it is bad", "a",
    )  # fmt: skip
    assert abs(found.last.at_ms - time.time() * 1000) < 60_000
    assert found.record_headers == [("h", b"1")]
    assert found.attempts == [found.last]


def test_a_mark_is_read_as_it_was_written() -> None:
    documents = BOX.marks([Mark("0-7", "failed", b"k", Partition("in", 0), 3)])
    assert (list(documents.keys), list(documents.bodies), documents.stream) == ([b"k"], [None], DEAD)
    found = read_record(batch(documents.headers[0], None), 0)
    assert isinstance(found, StoredMark)
    assert (found.letter, found.fate) == (LetterId(0, 7), "failed")


def test_the_history_keeps_every_attempt_and_names_its_predecessor() -> None:
    letter = first()
    for at in range(3):
        letter = retried(letter, f"reason {at}", at)
    assert letter.previous == LetterId(1, 9)
    assert [one.attempt for one in letter.attempts] == [1, 2, 3, 4]
    assert [one.reason for one in letter.attempts] == ["it is bad", "reason 0", "reason 1", "reason 2"]
    assert [one.code for one in letter.attempts] == ["bad", "c0", "c1", "c2"]
    assert letter.record_headers == [("h", b"1")]


def test_the_history_is_bounded_and_keeps_the_newest() -> None:
    letter = first(reason="\U0001f4a9" * 5000)
    for at in range(40):
        letter = retried(letter, "\U0001f4a9" * 5000, at)
    headers = dict(letter.headers)
    assert len(headers["prism.history"] or b"") <= MAX_HISTORY
    assert sum(len(name) + len(value or b"") for name, value in letter.headers) < 64 << 10
    attempts = letter.attempts
    assert attempts[-1].attempt == 41
    assert [one.attempt for one in attempts] == list(range(42 - len(attempts), 42))
    assert len(attempts) > 3


def test_no_header_makes_reading_fail() -> None:
    dice = random.Random(3)
    names = [f"prism.{name}" for name in (
        "topic", "partition", "offset", "timestamp", "epoch", "stage", "code", "reason", "field", "attempt", "at",
        "schema-id", "history", "previous", "mark", "letter", "pipeline",
    )]  # fmt: skip
    values: list[bytes | None] = [
        None, b"", b"-1", b"5", b"9" * 40, b"\xff", b"decode", b"in", b"[]", b"{}", b'[1,{"attempt":[]}]', b"[" * 3000,
        b"0-0", b"99999999999-1", b"delivered",
    ]  # fmt: skip
    sound = dict(first().headers)
    read = 0
    for _ in range(3000):
        odd = {name: dice.choice(values) for name in dice.sample(names, dice.randrange(6))}
        headers = list({**sound, **odd}.items())
        found = read_record(batch(headers), 0)
        if isinstance(found, StoredLetter):
            read += 1
            assert found.attempts
            assert found.size > 0
    assert read > 1000


@pytest.mark.parametrize("text", ["", "5", "0-", "-1-2", "0-0-0", "a-b", "0-9999999999999999999"])
def test_what_names_no_letter_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="names no dead letter"):
        LetterId.parse(text)


def test_marks_settle_letters_of_any_partition_in_any_order() -> None:
    world = LettersWorld(transactional=True, partitions=3)
    places = [world.letter((0, n), partition=n % 3) for n in range(6)]
    marks = [Mark(f"{p.index}-{at}", fate, b"k", Partition("in", 0), 0)
             for (p, at), fate in zip(places, ["delivered", "dropped", "failed"], strict=False)]  # fmt: skip
    documents = BOX.marks(marks)
    for headers in documents.headers:
        world.broker.append(DEAD, b"k", None, headers, partition=0)  # partition 0 is read first: these come early
    index = world.index()
    assert [index.id(row).partition for row in index.rows()] == [0, 1, 2]
    assert len(index.rows(settled=True)) == 5


def test_of_several_open_letters_of_a_record_the_newest_counts() -> None:
    world = LettersWorld(transactional=False)
    for _ in range(3):
        world.letter((0, 7), partition=0)
    world.letter((0, 7), epoch=1, partition=0)
    world.letter((1, 7), partition=0)
    index = world.index()
    assert [str(index.id(row)) for row in index.rows()] == ["0-2", "0-3", "0-4"]
    assert [str(index.id(older)) for older in index.older(2)] == ["0-0", "0-1"]


def test_the_order_is_that_of_the_records_within_each_source() -> None:
    dice = random.Random(1)
    world = LettersWorld(transactional=True, partitions=1)
    origins = [(p, n) for n in range(50) for p in range(2)]
    dice.shuffle(origins)
    for origin in origins:
        world.letter(origin, epoch=origin[1] % 2)
    index = world.index()
    loaded = index.load(MemoryReader(world.broker), index.in_order())
    found = [loaded[row] for row in index.in_order()]
    assert len(found) == 100
    for source in {(one.origin, one.epoch) for one in found}:
        of_source = [one.offset for one in found if (one.origin, one.epoch) == source]
        assert of_source == sorted(of_source)


def test_letters_in_order_already_keep_the_order_of_reading() -> None:
    world = LettersWorld(transactional=True, partitions=1)
    for n in range(30):
        world.letter((n % 2, n))
    assert list(world.index().in_order()) == list(range(30))


def test_reasons_without_number_are_told_together() -> None:
    world = LettersWorld(transactional=True, partitions=1)
    for n in range(MAX_REASONS + 5):
        world.letter((0, n), f"code{n}")
    groups = world.index().groups()
    assert (groups[0].reason, groups[0].counts["open"]) == (OTHER, 5)
    assert len(groups) == MAX_REASONS + 1


def test_a_selection_hides_letters_and_a_newer_reason_counts_all_the_same() -> None:
    world = LettersWorld(transactional=False)
    world.letter((0, 1), "old", partition=0)
    world.letter((0, 1), "new", partition=0)
    assert len(world.index(Selection(reason="old")).rows()) == 0
    assert len(world.index(Selection(reason="new")).rows()) == 1


MEASURED = """
import tracemalloc
from tests.unit.runtime.letters_world import LettersWorld

world = LettersWorld(transactional=True, partitions=1)
for n in range(20_000):
    world.letter((n % 2, n))
tracemalloc.start()
index = world.index()
size, peak = tracemalloc.get_traced_memory()
print(len(index), len(index.groups()), size, peak)
"""


def test_the_index_takes_some_fifty_bytes_a_letter() -> None:
    """In a process of its own, since threads of other tests would be measured too."""
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", MEASURED], cwd=root, capture_output=True, text=True, check=True)
    letters, groups, size, peak = map(int, done.stdout.split())
    assert (letters, groups) == (20_000, 1)
    assert size < 60 * 20_000
    assert peak < 250 * 20_000
