"""Where a pipeline stands, as its ledger and its group tell it, and how an operator moves both.

The group's offset is written first, the ledger second. A crash between the two is what the guard calls 'moved by an operator':
a worker that starts then reads from the group's new offset or from the ledger's old one, whichever skips nothing, and doing
the same again writes the ledger. The other way round, a member that is still live would be found out too late.

Each row of a reset has the next ledger epoch, so that a reset backwards is not refused as stale, and a worker that was thought
dead cannot write its own rows over it.
"""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from prismlib.errors import ConfigError, FatalError, RetryableError
from prismlib.plugin.hookspecs import GroupOffsets, LedgerStore
from prismlib.records import LedgerNote, LedgerRow, Partition
from prismlib.runtime.guard import Refused, Verdict, decide
from prismlib.stages import Horizon

State: TypeAlias = Literal["not started", "equal", "no broker offset", "no ledger row", "ledger ahead", "broker ahead"]


@dataclass(frozen=True, slots=True)
class Standing:
    """One partition, as all who know something of it tell it.

    Attributes:
        partition: of the source.
        horizon: what it holds now.
        row: its ledger row.
        committed: the group's next offset, None where the broker has none.
        topic_row: a ledger row of the same topic, where this partition has none: says that the topic is known.
        ledger_ms: when the record at the ledger's next offset was written, -1 where there is none.
        committed_ms: likewise for the group's next offset.
        atomic: workers commit ledger rows and the group's offsets in one transaction.
    """

    partition: Partition
    horizon: Horizon
    row: LedgerRow | None
    committed: int | None
    topic_row: LedgerRow | None = None
    ledger_ms: int = -1
    committed_ms: int = -1
    atomic: bool = False

    @property
    def state(self) -> State:
        """How ledger and broker stand to each other."""
        if self.row is None:
            return "not started" if self.committed is None else "no ledger row"
        if self.committed is None:
            return "no broker offset"
        if self.committed == self.row.next_offset:
            return "equal"
        return "ledger ahead" if self.row.next_offset > self.committed else "broker ahead"

    @property
    def next_offset(self) -> int | None:
        """What the pipeline would read next: the ledger's word before the broker's."""
        return self.row.next_offset if self.row is not None else self.committed

    @property
    def lag(self) -> int | None:
        """Offsets up to the end; None where nothing was read yet."""
        return None if self.next_offset is None else max(0, self.horizon.end - self.next_offset)

    @property
    def recreated(self) -> bool:
        """The topic was deleted and created again since the ledger row was written."""
        known = self.row or self.topic_row
        return bool(known and known.topic_id and self.horizon.topic_id and known.topic_id != self.horizon.topic_id)

    @property
    def problem(self) -> str:
        """Why a worker would refuse to start here, as the guard decides it; "" where it would not."""
        siblings = [] if self.topic_row is None else [self.topic_row]
        found = decide(
            self.partition,
            ledger=self.row,
            siblings=siblings,
            committed=self.committed,
            horizon=self.horizon,
            start=lambda: self.horizon.start,
            atomic=self.atomic,
        )
        if isinstance(found, Verdict):
            return ""
        if Refused.RECREATED in found.reasons:
            return "the topic was deleted and created again"
        if found.loss is not None:
            return f"data is lost: offsets {found.loss.first} to {found.loss.end - 1} are gone"
        return f"the next offset {found.next_offset} lies beyond the end of the log"


@dataclass(frozen=True, slots=True)
class Target:
    """Where to move to.

    Attributes:
        kind: which end, or what ``value`` is.
        value: the offset, or milliseconds since the epoch.
        words: as the command line had it, for the note.
    """

    kind: Literal["earliest", "latest", "time", "offset"]
    words: str
    value: int = 0


@dataclass(frozen=True, slots=True)
class Move:
    """What is done with one partition.

    Attributes:
        standing: before.
        to: the next offset afterwards.
        to_ms: when the record there was written, -1 where there is none.
        ledger: whether the ledger is written too.
    """

    standing: Standing
    to: int
    to_ms: int = -1
    ledger: bool = True

    @property
    def partition(self) -> Partition:
        """Which one."""
        return self.standing.partition

    @property
    def needed(self) -> bool:
        """Whether anything is to be written."""
        row = self.standing.row
        in_ledger = not self.ledger or (row is not None and row.next_offset == self.to)
        return not (in_ledger and self.standing.committed == self.to)

    @property
    def effect(self) -> str:
        """What it means for records; offsets are an upper bound on them."""
        before = self.standing.next_offset if self.ledger else self.standing.committed
        if not self.needed:
            return "as it is"
        if before is None:
            return f"starts at {self.to}"
        if before == self.to:
            return "ledger and broker agree again"
        if not self.ledger:
            return f"from {before} back to the ledger's"
        return f"skips {self.to - before}" if self.to > before else f"reads {before - self.to} again"


# --- looking -------------------------------------------------------------------------------------------------------------


def look(group: GroupOffsets, ledger: LedgerStore | None, streams: Sequence[str]) -> list[Standing]:
    """Every partition of these streams, ascending.

    Args:
        group: open.
        ledger: open; None to look at the broker's side alone, while the ledger's servers are away.
        streams: what the pipeline reads.

    Raises:
        ConfigError: a stream does not exist.
        RetryableError, FatalError: as the stores do.
    """
    partitions = sorted(group.partitions(streams))
    missing = sorted(set(streams) - {partition.stream for partition in partitions})
    if missing:
        raise ConfigError(
            f"no topic {', '.join(missing)} where the source reads; check the routes, and run `prism setup` for the pipeline"
            " that writes it"
        )
    # The ledger first: it waits longer for the transaction of a worker that was killed.
    rows = ledger.load_ledger(partitions) if ledger is not None else {}
    committed = group.committed(partitions)
    horizons = group.horizons(partitions)
    # Of each topic the row that knows most, as the guard takes it: of this incarnation, and of the highest epoch.
    known: dict[str, LedgerRow] = {}
    for p in sorted(rows, key=lambda p: (rows[p].topic_id == horizons[p].topic_id, rows[p].epoch)):
        known[p.stream] = rows[p]
    offsets = {p: found.next_offset for p, found in committed.items() if found.next_offset is not None}
    in_ledger = {p: row.next_offset for p, row in rows.items()}
    times = group.timestamps(offsets)
    ledger_times = group.timestamps({p: at for p, at in in_ledger.items() if offsets.get(p) != at})
    return [
        Standing(
            partition=p,
            horizon=horizons[p],
            row=rows.get(p),
            committed=offsets.get(p),
            topic_row=known.get(p.stream),
            ledger_ms=ledger_times.get(p, times.get(p, -1)) if p in in_ledger else -1,
            committed_ms=times.get(p, -1),
            atomic=ledger is not None and ledger.atomic,
        )
        for p in partitions
    ]


# --- planning ------------------------------------------------------------------------------------------------------------


def plan_reset(
    group: GroupOffsets, standings: Sequence[Standing], target: Target, *, key_fixes_partition: bool = False
) -> list[Move]:
    """What it takes to move ledger and broker to the target.

    Args:
        group: asked for times.
        standings: the partitions to move.
        target: where to.
        key_fixes_partition: as the pipeline file has it.

    Raises:
        ConfigError: an offset lies outside a partition's log.
        FatalError: the guard refuses a partition for a reason that no offset mends: a topic was re-created, which is for
            `prism run` to accept, or partitions were added where keys must not move.
        RetryableError: the servers are away.
    """
    _require_same_topics(standings)
    if key_fixes_partition:
        _require_no_new_partitions(standings)
    places = _places(group, standings, target)
    times = group.timestamps(places)
    return [Move(s, places[s.partition], times[s.partition]) for s in standings]


def plan_restore(standings: Sequence[Standing]) -> list[Move]:
    """What it takes to give the broker what the ledger knows; partitions without a row are left out.

    Raises:
        FatalError: a topic was re-created, so that the ledger's offsets are not this topic's.
    """
    _require_same_topics(standings)
    return [Move(s, s.row.next_offset, s.ledger_ms, ledger=False) for s in standings if s.row is not None]


def _places(group: GroupOffsets, standings: Sequence[Standing], target: Target) -> Mapping[Partition, int]:
    match target.kind:
        case "earliest":
            return {s.partition: s.horizon.start for s in standings}
        case "latest":
            return {s.partition: s.horizon.end for s in standings}
        case "time":
            return group.offsets_at([s.partition for s in standings], target.value)
        case "offset":
            outside = [s for s in standings if not s.horizon.start <= target.value <= s.horizon.end]
            if outside:
                logs = ", ".join(f"{s.partition} ({s.horizon.start} to {s.horizon.end})" for s in outside)
                raise ConfigError(
                    f"--to-offset {target.value} lies outside the log of {logs}; choose partitions with --partition, or"
                    " another offset"
                )
            return {s.partition: target.value for s in standings}


def _require_same_topics(standings: Sequence[Standing]) -> None:
    topics = sorted({s.partition.stream for s in standings if s.recreated})
    if topics:
        raise FatalError(
            f"topic {', '.join(topics)} was deleted and created again since the ledger was written, so that no offset of it"
            f" means what it did; `prism run PIPELINE.toml --accept-recreated {topics[0]}` reads it from its beginning"
        )


def _require_no_new_partitions(standings: Sequence[Standing]) -> None:
    new = [s.partition for s in standings if s.next_offset is None and s.topic_row is not None]
    if new:
        raise FatalError(
            f"{', '.join(map(str, new))}: the partition is new, and the pipeline says key_fixes_partition = true: the same key may"
            " now arrive in another partition, where its versions would not compare; rebuild the index with a replay before"
            " reading on, or choose other partitions with --partition"
        )


# --- doing ---------------------------------------------------------------------------------------------------------------


def require_nobody(members: Sequence[str]) -> None:
    """Offsets are moved only while nobody reads.

    Raises:
        FatalError: somebody does; says who.
    """
    if members:
        raise FatalError(
            f"the group has live members, and nothing was changed: {'; '.join(members)}; stop them and try again (one that was"
            " killed counts until its session ends)"
        )


def carry_out(
    group: GroupOffsets, ledger: LedgerStore, moves: Sequence[Move], *, who: str, words: str, now_ms: int
) -> None:
    """Write what is needed: broker first, then ledger rows and notes together. Does nothing where nothing is.

    Args:
        group: the broker's side.
        ledger: the other.
        moves: of :func:`plan_reset` or :func:`plan_restore`.
        who: user and host.
        words: the command, for the notes.
        now_ms: for rows and notes.

    Raises:
        FatalError: a member is live; nothing was changed.
        RetryableError: the servers went away; doing the same again finishes it.
    """
    needed = [move for move in moves if move.needed]
    if not needed:
        return
    group.alter({move.partition: move.to for move in needed})
    rows = [_row(move, now_ms) for move in needed if move.ledger]
    try:
        ledger.save_ledger(rows, [_note(move, who, words, now_ms) for move in needed])
    except (RetryableError, FatalError) as error:
        kind = RetryableError if isinstance(error, RetryableError) else FatalError
        raise kind(
            f"{error}; the broker's offsets are moved already, and the ledger's are not: run `{words} --yes` again when that is"
            " mended, and before any worker"
        ) from error


def _row(move: Move, now_ms: int) -> LedgerRow:
    standing = move.standing
    known = standing.row or LedgerRow(
        standing.partition, 0, epoch=standing.topic_row.epoch if standing.topic_row is not None else 0
    )
    return replace(
        known,
        next_offset=move.to,
        topic_id=standing.horizon.topic_id,
        timestamp_ms=known.timestamp_ms if known.next_offset == move.to else -1,
        ledger_epoch=known.ledger_epoch + 1,
        written_ms=now_ms,
    )


def _note(move: Move, who: str, words: str, now_ms: int) -> LedgerNote:
    standing = move.standing
    ledger = "no row" if standing.row is None else str(standing.row.next_offset)
    broker = "nothing" if standing.committed is None else str(standing.committed)
    before = standing.next_offset if move.ledger else standing.committed
    ends = sorted((move.to, move.to if before is None else before))
    return LedgerNote(
        kind="reset" if move.ledger else "restored",
        at_ms=now_ms,
        who=who,
        what=f"next offset set to {move.to} by `{words}`; before, the ledger had {ledger}, the broker {broker}",
        partition=move.partition,
        first=ends[0],
        end=ends[1],
    )


def operator(user: Callable[[], str] = getpass.getuser) -> str:
    """Who runs this: user and host, for notes."""
    try:
        name = user()
    except (KeyError, OSError):  # a container whose user has no name
        name = f"uid {os.getuid()}"
    return f"{name}@{socket.gethostname()}"
