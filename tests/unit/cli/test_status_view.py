"""How a status looks; what it says is tested with what decides it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from prismlib.cli.status_view import deadline_words, document, print_status
from prismlib.records import LedgerNote, Partition
from prismlib.watch.status import Deadline, Expiry, Letters, Status, assess
from tests.unit.watch.facts import DAY, HOUR, NOW, P, facts, standing

FILE = Path("my pipelines/shop.toml")


def bad() -> Status:
    why = "version 4 of orders-value has no field amount any more, which event.measures.amount reads;\x1b[2J deploy a mapping"
    return assess(
        facts(
            standing(end=20_040),
            standing(4, 4, at=NOW - 6 * DAY, partition=Partition("other", 0)),
            members=(),
            notes=[LedgerNote("paused", NOW - 2 * HOUR, "worker 1", why, P, first=40)],
            letters=Letters("dead", 1204, 1300),
            unknown=["when the moon rises is not known: it does not say"],
        ),
        NOW,
    )


BAD = """\
shop  my pipelines/shop.toml  2023-11-14T22:13:20Z
topic  state    lag     behind  data loss
in     paused   20,000  1 h     in 6 d 23 h
other  refuses  86      6 d     has happened

running        nobody
last progress  2023-11-13T22:13:20Z, 1 d ago
offset expiry  in about 6 d at the earliest; the ledger restores them then
dead letters   1,204 open: prism dead-letters list 'my pipelines/shop.toml'
not known      when the moon rises is not known: it does not say

refusal        a worker that starts refuses topic other, so that nothing is
               skipped: other[0]: data is lost: offsets 4 to 9 are gone
               prism offsets show 'my pipelines/shop.toml' --topic other
paused         topic in is paused since 2023-11-14T20:13:20Z (2 h): version 4 of
               orders-value has no field amount any more, which
               event.measures.amount reads;\\x1b[2J deploy a mapping
               prism check 'my pipelines/shop.toml'
nobody runs    no worker runs, while up to 20,086 records of topics in, other
               wait, the oldest for 6 d
               prism run 'my pipelines/shop.toml'

"""

GOOD = """\
shop  shop.toml  2023-11-14T22:13:20Z
partition  state  lag  behind  data loss
in[0]      ok     50   1 h     in 6 d 23 h

running        worker 1
last progress  2023-11-13T22:13:20Z, 1 d ago
offset expiry  while a worker runs: never
dead letters   0 open
to do          nothing

"""


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines()]


def test_on_a_terminal_sentences_are_folded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    print_status(bad(), FILE, partitions=False)
    assert lines(capsys.readouterr().out) == lines(BAD)


def test_in_a_pipe_each_sentence_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_status(bad(), FILE, partitions=False)
    out = capsys.readouterr().out
    assert sum(line.startswith("paused ") for line in out.splitlines()) == 1
    assert "which event.measures.amount reads;\\x1b[2J deploy a mapping\n" in out
    print_status(assess(facts(standing()), NOW), Path("shop.toml"), partitions=True)
    assert lines(capsys.readouterr().out) == lines(GOOD)


@pytest.mark.parametrize(
    ("deadline", "words"),
    [
        (Deadline("nothing unread"), "-"),
        (Deadline("never"), "never"),
        (Deadline("by size", by_size=True), "size-based, cannot be predicted"),
        (Deadline("at", NOW + 90 * 60_000, by_size=True), "in 1 h 30 min, or sooner by size"),
        (Deadline("at", NOW + 400), "in 0 s"),
        (Deadline("due", NOW - HOUR), "at any moment"),
        (Deadline("lost", NOW + HOUR), "has happened"),
        (Deadline("unknown"), "unknown"),
    ],
)
def test_when_data_is_lost_in_words(deadline: Deadline, words: str) -> None:
    assert deadline_words(deadline, NOW) == words


@pytest.mark.parametrize(
    ("expiry", "words"),
    [
        (Expiry("nothing committed"), "nothing is committed"),
        (Expiry("never"), "never"),
        (Expiry("unknown"), "unknown"),
        (Expiry("due", NOW - 1), "at any moment; the ledger restores them"),
        (Expiry("forgotten"), "has happened; a worker that starts restores them from the ledger"),
    ],
)
def test_when_offsets_are_forgotten_in_words(expiry: Expiry, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_status(replace(bad(), expiry=expiry), FILE, partitions=False)
    assert f"offset expiry  {words}\n" in capsys.readouterr().out


def test_dead_letters_that_were_not_counted(capsys: pytest.CaptureFixture[str]) -> None:
    for letters, words in ((Letters("d", None, 7), "up to 7; to count"), (Letters("d", None, -1), "unknown\n")):
        print_status(assess(facts(standing(), letters=letters), NOW), FILE, partitions=False)
        assert f"dead letters   {words}" in capsys.readouterr().out


def test_the_document_has_numbers_or_null() -> None:
    found = document(bad(), FILE)
    first, second = found["topics"]
    assert first["partitions"] == [
        {"partition": 0, **{k: v for k, v in first.items() if k not in {"topic", "partitions"}}}
    ]
    assert (first["state"], first["lag"], first["lag_seconds"]) == ("paused", 20_000, 3600.0)
    at = NOW - HOUR + 7 * DAY
    assert first["data_loss"] == {
        "state": "at",
        "at_ms": at,
        "seconds": (at - NOW) / 1000,
        "or_sooner_by_size": False,
    }
    assert second["data_loss"]["state"] == "lost"
    assert found["paused"][0]["since_ms"] == NOW - 2 * HOUR
    assert found["offset_expiry"] == {"state": "at", "at_ms": NOW + 6 * DAY}
    assert [one["kind"] for one in found["findings"]] == ["refusal", "paused", "nobody_runs"]
    assert found["findings"][2]["command"] == "prism run 'my pipelines/shop.toml'"
    never = document(assess(facts(standing(None, None)), NOW), FILE)
    assert never["last_progress_ms"] is None
    assert never["topics"][0]["lag"] is never["topics"][0]["lag_seconds"] is None
    assert never["topics"][0]["data_loss"]["at_ms"] is never["topics"][0]["data_loss"]["seconds"] is None
