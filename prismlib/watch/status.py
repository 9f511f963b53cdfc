"""What an operator has to know of a pipeline, made of what its stores tell: how much waits, for how long it is safe, what is wrong.

Only decisions, on facts that :mod:`prismlib.watch.survey` asks for. Lag counts offsets, of which there are more than records, since
the marks of transactions have some too. So whether anything waits is told by whether there is a record at an offset or after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final, Literal, TypeAlias

from prismlib.plugin.hookspecs import Retention
from prismlib.records import LedgerNote, Partition
from prismlib.runtime.offsets import Standing

SOON_MS: Final = 24 * 3600 * 1000
"""Data that is lost sooner than this is a finding, once half of its retention has passed."""

DeadlineState: TypeAlias = Literal["nothing unread", "never", "unknown", "by size", "at", "due", "lost"]
"""From harmless to worst. ``at``: not before a time. ``due``: that time has passed, and the broker may delete it at any moment."""
_WORST: Final[tuple[DeadlineState, ...]] = ("lost", "due", "at", "by size", "unknown", "never", "nothing unread")

ExpiryState: TypeAlias = Literal[
    "nothing committed", "never", "while a worker runs", "unknown", "at", "due", "forgotten"
]

LineState: TypeAlias = Literal["ok", "never read", "not known", "nobody reads", "at risk", "paused", "refuses"]
_STATES: Final[tuple[LineState, ...]] = (
    "refuses",
    "paused",
    "at risk",
    "nobody reads",
    "not known",
    "never read",
    "ok",
)


# --- what is known -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Letters:
    """The dead letters of a pipeline.

    Attributes:
        topic: where they are.
        open: how many wait for somebody; None where they were not counted.
        at_most: how many records the topic holds, marks among them; -1 where that is not known.
    """

    topic: str
    open: int | None
    at_most: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What was asked about a pipeline.

    Attributes:
        pipeline: its name.
        standings: its partitions, ascending.
        notes: of its ledger, oldest first.
        members: who is in the group, described for people.
        retention: of its topics; what is missing could not be asked.
        offsets_retention_ms: how long offsets outlive the last member; None for ever, "unknown" where nobody tells.
        letters: its dead letters.
        ledger: whether the ledger answered; without it, rows and notes are missing.
        unknown: a sentence for each thing that could not be asked.
    """

    pipeline: str
    standings: Sequence[Standing]
    notes: Sequence[LedgerNote]
    members: Sequence[str]
    retention: Mapping[str, Retention]
    offsets_retention_ms: int | Literal["unknown"] | None
    letters: Letters
    ledger: bool = True
    unknown: Sequence[str] = ()


# --- what is made of it --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Deadline:
    """When the oldest unread record is deleted.

    Attributes:
        state: what can be said.
        at_ms: not before this time, ms since the epoch; -1 where no time is known.
        by_size: or sooner, because the topic's size is limited too.
    """

    state: DeadlineState
    at_ms: int = -1
    by_size: bool = False


@dataclass(frozen=True, slots=True)
class Expiry:
    """When the broker forgets the offsets; ``at_ms`` is the earliest time, -1 where none is known."""

    state: ExpiryState
    at_ms: int = -1


@dataclass(frozen=True, slots=True)
class Pause:
    """A route that rests.

    Attributes:
        topic: of the route.
        since_ms: ms since the epoch.
        why: one sentence.
        partitions: those that are known to rest; empty for the whole topic.
    """

    topic: str
    since_ms: int
    why: str
    partitions: Sequence[Partition] = ()

    def rests(self, partition: Partition) -> bool:
        """Whether a partition is one of them."""
        return partition in self.partitions or (partition.stream == self.topic and not self.partitions)


@dataclass(frozen=True, slots=True)
class Line:
    """One topic, or one partition.

    Attributes:
        name: of it.
        topic: of it, the same for a topic.
        state: in a word; the worst of its partitions.
        lag: offsets up to the end; None where nothing was ever read.
        behind_ms: age of its oldest unread record, 0 when nothing is unread; None as for ``lag``.
        loss: when that record is deleted.
        at_risk: that is soon.
        problem: why a worker would refuse to start there; "" where it would not.
    """

    name: str
    topic: str
    state: LineState
    lag: int | None
    behind_ms: int | None
    loss: Deadline
    at_risk: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """How a pipeline is.

    Attributes:
        facts: that it is made of.
        topics: one a topic.
        partitions: one a partition.
        expiry: of the group's offsets.
        pauses: routes that rest.
        progress_ms: when the ledger was last written; -1 where it never was.
        now_ms: when this was so.
    """

    facts: Facts
    topics: Sequence[Line]
    partitions: Sequence[Line]
    expiry: Expiry
    pauses: Sequence[Pause]
    progress_ms: int
    now_ms: int


def assess(facts: Facts, now_ms: int) -> Status:
    """Judge what is known at this time."""
    resting = pauses(facts.notes, facts.standings)
    lines = [_line(one, facts, resting, now_ms) for one in facts.standings]
    by_topic = groupby(zip(facts.standings, lines, strict=True), key=lambda pair: pair[0].partition.stream)
    topics = [_together(topic, [line for _, line in pairs]) for topic, pairs in by_topic]
    written = [one.row.written_ms for one in facts.standings if one.row is not None and one.row.written_ms > 0]
    return Status(
        facts=facts,
        topics=topics,
        partitions=lines,
        expiry=expiry(facts, now_ms),
        pauses=resting,
        progress_ms=max(written, default=-1),
        now_ms=now_ms,
    )


# --- one partition -------------------------------------------------------------------------------------------------------


def unread(standing: Standing) -> tuple[int, int] | None:
    """How many offsets wait, and when the first record there was written (-1 where there is none); None if nothing was read.

    A partition that is new in a topic that is known, and a topic that was created again, are read from their beginning.
    """
    horizon = standing.horizon
    if standing.recreated or (standing.next_offset is None and standing.topic_row is not None):
        return horizon.end - horizon.start, horizon.start_timestamp_ms if horizon.end > horizon.start else -1
    if standing.lag is None:
        return None
    at = standing.ledger_ms if standing.row is not None else standing.committed_ms
    return standing.lag, at if standing.lag else -1


def deadline(standing: Standing, retention: Retention | None, now_ms: int) -> Deadline:
    """When the oldest unread record of a partition is deleted.

    Args:
        standing: the partition.
        retention: of its topic; None where nobody tells.
        now_ms: the time.
    """
    found = unread(standing)
    lost = not standing.recreated and bool(standing.problem) and (standing.next_offset or 0) < standing.horizon.start
    if found is None or found[1] < 0:
        return Deadline("lost" if lost else "nothing unread")
    if retention is None:
        return Deadline("lost" if lost else "unknown")
    if retention.age_ms is None:
        return Deadline("lost" if lost else "by size" if retention.by_size else "never", by_size=retention.by_size)
    at_ms = found[1] + retention.age_ms
    return Deadline("lost" if lost else "due" if at_ms <= now_ms else "at", at_ms, retention.by_size)


def _line(standing: Standing, facts: Facts, resting: Sequence[Pause], now_ms: int) -> Line:
    partition, found = standing.partition, unread(standing)
    retention = facts.retention.get(partition.stream)
    when = deadline(standing, retention, now_ms)
    behind = None if found is None else max(0, now_ms - found[1]) if found[1] >= 0 else 0
    at_risk = _at_risk(when, behind, retention, now_ms)
    state: LineState = "ok"
    if standing.problem:
        state = "refuses"
    elif any(pause.rests(partition) for pause in resting):
        state = "paused"
    elif at_risk:
        state = "at risk"
    elif found is None and not facts.ledger:
        state = "not known"
    elif found is None and standing.horizon.end > standing.horizon.start:
        state = "never read"
    elif behind and not facts.members:
        state = "nobody reads"
    lag = None if found is None else found[0]
    return Line(str(partition), partition.stream, state, lag, behind, when, at_risk, standing.problem)


def _at_risk(when: Deadline, behind_ms: int | None, retention: Retention | None, now_ms: int) -> bool:
    """A topic that keeps its records for some hours only is not always at risk: half of the time must have passed."""
    if when.state == "due":
        return True
    if when.state != "at" or behind_ms is None or retention is None or retention.age_ms is None:
        return False
    return when.at_ms - now_ms < SOON_MS and behind_ms > retention.age_ms / 2


def _together(topic: str, lines: Sequence[Line]) -> Line:
    """The line of a topic, from those of its partitions."""
    lags = [line.lag for line in lines if line.lag is not None]
    ages = [line.behind_ms for line in lines if line.behind_ms is not None]
    return Line(
        topic,
        topic,
        min((line.state for line in lines), key=_STATES.index),
        sum(lags) if lags else None,
        max(ages) if ages else None,
        min((line.loss for line in lines), key=lambda one: (_WORST.index(one.state), one.at_ms)),
        any(line.at_risk for line in lines),
        _few([f"{line.name}: {line.problem}" for line in lines if line.problem]),
    )


def _few(sentences: Sequence[str]) -> str:
    """The first three."""
    more = f"; and {len(sentences) - 3} partitions more" if len(sentences) > 3 else ""
    return "; ".join(sentences[:3]) + more


# --- the pipeline --------------------------------------------------------------------------------------------------------


def expiry(facts: Facts, now_ms: int) -> Expiry:
    """When the broker forgets the group's offsets, if nobody starts.

    Brokers count from when the last member left, and tell nobody when that was. It was not before the ledger was last written.
    """
    kept, standings = facts.offsets_retention_ms, facts.standings
    if (
        any(s.committed is None and s.row is not None and s.row.timestamp_ms >= 0 for s in standings)
        and not facts.members
    ):
        return Expiry("forgotten")
    if all(s.committed is None for s in standings) and not facts.members:
        return Expiry("nothing committed")
    if kept is None:
        return Expiry("never")
    if facts.members:
        return Expiry("while a worker runs")
    written = max((s.row.written_ms for s in standings if s.row is not None), default=0)
    if kept == "unknown" or written <= 0:
        return Expiry("unknown")
    return Expiry("due" if written + kept <= now_ms else "at", written + kept)


def pauses(notes: Sequence[LedgerNote], standings: Sequence[Standing]) -> list[Pause]:
    """Routes that rest, by the notes of their workers.

    A worker that pauses says so, and says when it goes on. One that was restarted meanwhile, with a mapping that can read the
    records, has nothing to end: there the ledger tells, by having passed the record that was in the way.
    """
    rows = {one.partition: one.row for one in standings}
    open_: dict[tuple[str, Partition | None], list[LedgerNote]] = {}
    for note in notes:
        if note.kind == "paused" and note.stream:
            row = rows.get(note.partition) if note.partition is not None else None
            if row is None or row.next_offset <= note.first or note.first < 0:
                open_.setdefault((note.stream, note.partition), []).append(note)
        elif note.kind in {"resumed", "reset", "accepted-recreated"}:
            for key in [key for key, paused in open_.items() if _ends(note, key, paused[-1])]:
                del open_[key]
    found = []
    for topic in sorted({topic for topic, _ in open_}):
        same = [note for key, paused in open_.items() if key[0] == topic for note in paused]
        newest = max(same, key=lambda note: note.at_ms)
        places = sorted(partition for of, partition in open_ if of == topic and partition is not None)
        whole = (topic, None) in open_
        found.append(Pause(topic, min(note.at_ms for note in same), newest.what, () if whole else places))
    return found


def _ends(note: LedgerNote, key: tuple[str, Partition | None], paused: LedgerNote) -> bool:
    """Whether a note ends a pause: a worker's word is about all of the topic that it reads, an operator's about a partition."""
    topic, partition = key
    if note.stream != topic:
        return not note.stream
    return note.partition is None or note.partition == partition or (note.kind == "resumed" and note.who == paused.who)
