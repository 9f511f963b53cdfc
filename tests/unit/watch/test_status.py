"""What is made of the facts about a pipeline; asking for them is tested with the stores."""

from __future__ import annotations

from typing import Any

import pytest

from prismlib.plugin.hookspecs import Retention
from prismlib.records import LedgerNote, LedgerRow, NoteKind, Partition
from prismlib.runtime.offsets import Standing
from prismlib.watch.findings import findings
from prismlib.watch.status import Deadline, Expiry, Facts, assess, deadline, expiry, pauses, unread
from tests.unit.watch.facts import DAY, HOUR, NOW, WEEK, P, Q, facts, standing

OTHER_ROW = LedgerRow(Q, 5, topic_id="id")


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (standing(), (50, NOW - HOUR)),
        (standing(90, 90, at=-1), (0, -1)),
        (standing(88, 88, at=-1), (2, -1)),  # the marks of transactions
        (standing(90, 90, at=NOW), (0, -1)),  # written between two questions
        (standing(None, None), None),
        (standing(None, 60), (30, NOW - HOUR)),
        (standing(None, None, topic_row=OTHER_ROW), (80, NOW - 2 * HOUR)),  # a new partition
        (standing(None, None, start=7, end=7, topic_row=OTHER_ROW), (0, -1)),
        (standing(40, 40, topic_id="other"), (80, NOW - 2 * HOUR)),  # created again
        (standing(4, 4, at=NOW - HOUR), (86, NOW - HOUR)),
    ],
)
def test_what_waits_and_since_when(one: Standing, expected: tuple[int, int] | None) -> None:
    assert unread(one) == expected


@pytest.mark.parametrize(
    ("one", "retention", "expected"),
    [
        (standing(), WEEK, Deadline("at", NOW - HOUR + 7 * DAY)),
        (standing(), Retention(7 * DAY, by_size=True), Deadline("at", NOW - HOUR + 7 * DAY, by_size=True)),
        (standing(), Retention(HOUR + 1), Deadline("at", NOW + 1)),
        (standing(), Retention(HOUR), Deadline("due", NOW)),
        (standing(at=NOW + DAY), Retention(HOUR), Deadline("at", NOW + DAY + HOUR)),  # from the future
        (standing(), Retention(), Deadline("never")),
        (standing(), Retention(by_size=True), Deadline("by size", by_size=True)),
        (standing(), None, Deadline("unknown")),
        (standing(90, 90, at=-1), WEEK, Deadline("nothing unread")),
        (standing(None, None), WEEK, Deadline("nothing unread")),
        (standing(4, 4), WEEK, Deadline("lost", NOW - HOUR + 7 * DAY)),
        (standing(4, 4), None, Deadline("lost")),
        (standing(4, 4), Retention(), Deadline("lost")),
        (standing(4, 4, start=10, end=10, at=-1), WEEK, Deadline("lost")),  # all of it
        (standing(None, 4), WEEK, Deadline("lost", NOW - HOUR + 7 * DAY)),
        (standing(40, 40, topic_id="other"), WEEK, Deadline("at", NOW - 2 * HOUR + 7 * DAY)),
        (standing(99, 99, at=-1), WEEK, Deadline("nothing unread")),
    ],
)
def test_when_data_is_lost(one: Standing, retention: Retention | None, expected: Deadline) -> None:
    assert deadline(one, retention, NOW) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Expiry("while a worker runs")),
        ({"members": ()}, Expiry("at", NOW + 6 * DAY)),
        ({"members": (), "offsets_retention_ms": DAY}, Expiry("due", NOW)),
        ({"members": (), "offsets_retention_ms": None}, Expiry("never")),
        ({"offsets_retention_ms": None}, Expiry("never")),
        ({"members": (), "offsets_retention_ms": "unknown"}, Expiry("unknown")),
        ({"members": (), "standings": (standing(None, 40),)}, Expiry("unknown")),
        ({"members": (), "standings": (standing(None, None),)}, Expiry("nothing committed")),
        ({"members": (), "standings": (standing(40, None, timestamp_ms=NOW),)}, Expiry("forgotten")),
        ({"members": (), "standings": (standing(40, None),)}, Expiry("nothing committed")),  # never settled a record
        ({"standings": (standing(40, None, timestamp_ms=NOW),)}, Expiry("while a worker runs")),
    ],
)
def test_when_offsets_are_forgotten(changes: dict[str, Any], expected: Expiry) -> None:
    assert expiry(facts(standing(), **changes), NOW) == expected


def test_the_partition_that_was_written_last_tells_when_a_worker_was_there() -> None:
    old = standing(partition=Q, written_ms=NOW - 20 * DAY)
    assert expiry(facts(old, standing(), members=()), NOW) == Expiry("at", NOW + 6 * DAY)


def note(
    kind: NoteKind, at: int, partition: Partition | None = P, first: int = 40, who: str = "worker 1", **more: Any
) -> LedgerNote:
    return LedgerNote(kind, at, who, f"because {at}", partition, first=first, **more)


@pytest.mark.parametrize(
    ("notes", "expected"),
    [
        ([], []),
        ([note("paused", 1)], [("in", 1, "because 1", [P])]),
        ([note("paused", 1), note("resumed", 2, first=-1)], []),
        ([note("paused", 1), note("resumed", 2, first=-1), note("paused", 3)], [("in", 3, "because 3", [P])]),
        # the same worker's word is about the whole topic, another's about its own partition
        ([note("paused", 1), note("resumed", 2, Q, -1)], []),
        ([note("paused", 1), note("resumed", 2, Q, -1, "worker 2")], [("in", 1, "because 1", [P])]),
        ([note("paused", 1), note("resumed", 2, P, -1, "worker 2")], []),
        ([note("paused", 1), note("resumed", 2, None, -1, stream="in")], []),
        ([note("paused", 1), note("resumed", 2, None, -1, stream="other")], [("in", 1, "because 1", [P])]),
        # again and again: since the first, because of the last
        ([note("paused", 1), note("paused", 2, who="worker 2")], [("in", 1, "because 2", [P])]),
        ([note("paused", 1), note("paused", 2, Q, 40, "worker 2")], [("in", 1, "because 2", [P, Q])]),
        # the ledger has passed the record that was in the way
        ([note("paused", 1, first=39)], []),
        ([note("paused", 1, first=39), note("paused", 2)], [("in", 2, "because 2", [P])]),
        ([note("paused", 1, first=-1)], [("in", 1, "because 1", [P])]),
        ([note("paused", 1, None, -1, stream="in")], [("in", 1, "because 1", [])]),
        ([note("paused", 1, Partition("in", 7), 3)], [("in", 1, "because 1", [Partition("in", 7)])]),
        # an operator moved it: whoever reads there then says so again
        ([note("paused", 1), note("reset", 2)], []),
        ([note("paused", 1), note("reset", 2, Q)], [("in", 1, "because 1", [P])]),
        ([note("paused", 1), note("restored", 2)], [("in", 1, "because 1", [P])]),
    ],
)
def test_which_routes_are_paused(notes: list[LedgerNote], expected: list[Any]) -> None:
    standings = [standing(), standing(partition=Q)]
    found = pauses(notes, standings)
    assert [(one.topic, one.since_ms, one.why, list(one.partitions)) for one in found] == expected


RESTS = (note("paused", NOW - 2 * HOUR),)


@pytest.mark.parametrize(
    ("made", "state", "kinds"),
    [
        (facts(standing()), "ok", []),
        (facts(standing(90, 90, at=-1), members=()), "ok", []),
        (facts(standing(88, 88, at=-1), members=()), "ok", []),
        (facts(standing(), members=()), "nobody reads", ["nobody runs"]),
        (facts(standing(None, None), members=()), "never read", ["nobody runs"]),
        (facts(standing(None, None)), "never read", []),
        (facts(standing(None, None, start=5, end=5), members=()), "ok", []),
        (facts(standing(None, None), members=(), ledger=False), "not known", []),
        (facts(standing(at=NOW - 5 * DAY)), "ok", []),
        (facts(standing(at=NOW - 6 * DAY - 1)), "at risk", ["data loss"]),
        (facts(standing(at=NOW - 8 * DAY), members=()), "at risk", ["data loss", "nobody runs"]),
        (facts(standing(), retention={"in": Retention(12 * HOUR)}), "ok", []),
        (facts(standing(at=NOW - 7 * HOUR), retention={"in": Retention(12 * HOUR)}), "at risk", ["data loss"]),
        (facts(standing(), retention={"in": Retention(by_size=True)}), "ok", []),
        (facts(standing(4, 4)), "refuses", ["refusal"]),
        (facts(standing(99, 99, at=-1)), "refuses", ["refusal"]),
        (facts(standing(40, 40, topic_id="other")), "refuses", ["refusal"]),
        (facts(standing(), notes=RESTS), "paused", ["paused"]),
        (facts(standing(at=NOW - 7 * DAY), notes=RESTS), "paused", ["data loss", "paused"]),
    ],
)
def test_state_and_findings(made: Facts, state: str, kinds: list[str]) -> None:
    status = assess(made, NOW)
    assert [line.state for line in status.partitions] == [line.state for line in status.topics] == [state]
    assert [finding.kind for finding in findings(status)] == kinds


def test_a_topic_is_what_its_partitions_are_together() -> None:
    lost = standing(4, 4, at=NOW - 3 * HOUR)
    status = assess(facts(lost, standing(partition=Q), standing(None, None, partition=Partition("other", 0))), NOW)
    assert [line.name for line in status.partitions] == ["in[0]", "in[1]", "other[0]"]
    first, second = status.topics
    assert (first.name, first.state, first.lag, first.behind_ms) == ("in", "refuses", 136, 3 * HOUR)
    assert first.loss == Deadline("lost", NOW - 3 * HOUR + 7 * DAY)
    assert first.problem == "in[0]: data is lost: offsets 4 to 9 are gone"
    assert (second.state, second.lag, second.behind_ms, second.loss.state) == (
        "never read",
        None,
        None,
        "nothing unread",
    )
    assert status.progress_ms == NOW - DAY
    both = assess(facts(standing(), standing(partition=Q, at=NOW - 2 * HOUR)), NOW).topics[0]
    assert both.loss == Deadline("at", NOW - 2 * HOUR + 7 * DAY), "the earliest counts"


def test_of_many_lost_partitions_the_first_are_named() -> None:
    many = [standing(4, 4, partition=Partition("in", index)) for index in range(9)]
    (finding,) = findings(assess(facts(*many), NOW))
    assert finding.what.count("data is lost") == 3
    assert finding.what.endswith("; and 6 partitions more")


def test_a_finding_says_what_is_at_stake_and_what_to_run() -> None:
    status = assess(facts(standing(at=NOW - 6 * DAY - 5 * HOUR), members=(), notes=RESTS), NOW)
    assert [(one.what, one.command) for one in findings(status)] == [
        (
            "the broker deletes unread records of in[0] in 19 h: the oldest one has waited for 6 d 5 h",
            "prism run PIPELINE.toml",
        ),
        (
            "topic in is paused since 2023-11-14T20:13:20Z (2 h): because 1699992800000",
            "prism check PIPELINE.toml",
        ),
        (
            "no worker runs, while up to 50 records of topic in wait, the oldest for 6 d 5 h",
            "prism run PIPELINE.toml",
        ),
    ]
