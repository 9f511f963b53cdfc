"""May we start here? Decides, for every partition just assigned, where reading begins, or refuses.

The inputs are what the ledger remembers, what the broker says the group has committed, and what the partition holds now
(asked fresh). The decision is a pure function, so that every row of its table is a test.

| ledger row | committed | verdict |
| --- | --- | --- |
| none, and none of its topic | none | FRESH: where the pipeline file says |
| none, others of its topic | none | NEW_PARTITION: its beginning |
| none | some | ADOPTED: the broker's |
| some | none | RESTORED: the ledger's; the broker forgot |
| some | equal | RESUME |
| some | lower | MOVED: the broker's; somebody reset the group, or a crash came between ledger and broker |
| some | higher | MOVED: the broker's, where both are written in one transaction; else BEHIND: the ledger's |

A ledger that is written before the broker's offsets is behind them only when it was restored from a backup, belongs to
another generation of the index, or somebody moved the group. Reading again is harmless there, skipping is not: it wins.

Refused is, whatever else holds:

- another topic id: RECREATED. With consent the new topic is read from its beginning, under the next epoch;
- a ledger row or a committed offset above the end of the log: BEYOND_END;
- a verdict below the start of the log, and a new partition that does not begin at 0: LOST. With consent to exactly that
  range reading begins at the start of the log. What the ledger counts as settled is never lost: a group that somebody moved
  back to where records are gone reads again what is still there;
- a new partition where the key fixes the partition: SPLIT_KEYS.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from prismlib.records import LedgerRow, Loss, Partition
from prismlib.stages import Horizon

FIRST_LEDGER_EPOCH = 1
"""Of a partition's own rows. A row that another worker made for it at the topic's first assignment has 0, and yields."""


class Reason(enum.Enum):
    """Why reading starts where it does."""

    FRESH = "fresh"
    NEW_PARTITION = "new partition"
    RESUME = "resume"
    ADOPTED = "the ledger has no row of it, the broker's offset counts"
    RESTORED = "restored from the ledger"
    MOVED = "moved by an operator or a crash between ledger and broker"
    BEHIND = "the ledger is behind the broker's offset, nothing is skipped"
    RECREATED = "topic re-created, as accepted"
    LOSS_ACCEPTED = "records are lost, as accepted"


class Refused(enum.Enum):
    """Why reading does not start."""

    LOST = "records are gone"
    BEYOND_END = "beyond the end of the log"
    RECREATED = "topic re-created"
    SPLIT_KEYS = "a new partition would split the keys"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where one partition starts.

    Attributes:
        offset: the first record to read.
        reason: why.
        epoch: the topic's incarnation, for ids and versions.
        ledger_epoch: for the partition's next ledger rows.
        timestamp_ms: of the last record settled before, where the offset is the ledger's; else -1.
        accepted: the loss that an operator accepted, if there is one.
    """

    offset: int
    reason: Reason
    epoch: int = 0
    ledger_epoch: int = FIRST_LEDGER_EPOCH
    timestamp_ms: int = -1
    accepted: Loss | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one partition does not start.

    Attributes:
        partition: which.
        reasons: why; a re-created topic may have lost records as well.
        loss: exactly what is gone, if something is.
        next_offset: what was to be read next, -1 where nothing was.
        horizon: what the partition holds.
        topic_id: the id that the ledger knows.
    """

    partition: Partition
    reasons: tuple[Refused, ...]
    horizon: Horizon
    loss: Loss | None = None
    next_offset: int = -1
    topic_id: str = ""


def decide(
    partition: Partition,
    *,
    ledger: LedgerRow | None,
    siblings: Sequence[LedgerRow] = (),
    committed: int | None,
    horizon: Horizon,
    start: Callable[[], int],
    atomic: bool = False,
    accepted: Collection[Loss] = (),
    accept_recreated: bool = False,
    key_fixes_partition: bool = False,
) -> Verdict | Refusal:
    """Decide for one partition.

    Args:
        partition: the one just assigned.
        ledger: its own ledger row.
        siblings: the ledger rows of other partitions of its topic: they say that the pipeline knows the topic.
        committed: the group's committed offset.
        horizon: what the partition holds now.
        start: where the pipeline file says that a fresh pipeline starts; asked only then.
        atomic: ledger rows are committed in one transaction with the offsets.
        accepted: losses that an operator accepts; only exactly these.
        accept_recreated: an operator accepts that the topic was re-created.
        key_fixes_partition: ids come from record keys, so that another partition count would split the keys.
    """
    known = ledger or _best(siblings, horizon.topic_id)
    if known and known.topic_id and horizon.topic_id and known.topic_id != horizon.topic_id:
        return _recreated(partition, known, ledger, siblings, horizon, accepted, consent=accept_recreated)
    epoch = known.epoch if known else 0
    if ledger is None and committed is None:
        if known is None:
            return Verdict(start(), Reason.FRESH, epoch)
        if key_fixes_partition:
            return Refusal(partition, (Refused.SPLIT_KEYS,), horizon)
        return _inside(partition, Verdict(0, Reason.NEW_PARTITION, epoch), horizon, accepted)
    highest = max(-1 if committed is None else committed, ledger.next_offset if ledger else -1)
    if highest > horizon.end:
        return Refusal(partition, (Refused.BEYOND_END,), horizon, next_offset=highest)
    if ledger is None:
        assert committed is not None  # noqa: S101  # the case above
        verdict = Verdict(committed, Reason.ADOPTED, epoch)
    else:
        verdict = _known(ledger, committed, horizon, atomic=atomic)
    return _inside(partition, verdict, horizon, accepted)


def _known(ledger: LedgerRow, committed: int | None, horizon: Horizon, *, atomic: bool) -> Verdict:
    own = max(ledger.ledger_epoch, FIRST_LEDGER_EPOCH)
    recorded, seen = ledger.next_offset, ledger.timestamp_ms
    if committed is None:
        made_by_another = ledger.ledger_epoch < FIRST_LEDGER_EPOCH and seen < 0
        reason = Reason.FRESH if made_by_another else Reason.RESTORED
        return Verdict(recorded, reason, ledger.epoch, own, seen)
    if committed == recorded:
        return Verdict(recorded, Reason.RESUME, ledger.epoch, own, seen)
    if committed > recorded:
        if atomic:
            return Verdict(committed, Reason.MOVED, ledger.epoch, own)
        return Verdict(recorded, Reason.BEHIND, ledger.epoch, own, seen)
    # All below the ledger's offset is settled: what of it is gone is not lost, only not read again.
    again = max(committed, min(horizon.start, recorded))
    return Verdict(again, Reason.MOVED, ledger.epoch, own + 1, seen if again == recorded else -1)


def _inside(partition: Partition, verdict: Verdict, horizon: Horizon, accepted: Collection[Loss]) -> Verdict | Refusal:
    if verdict.offset >= horizon.start:
        return verdict
    loss = Loss(partition, verdict.offset, horizon.start, verdict.timestamp_ms, horizon.start_timestamp_ms)
    if loss not in accepted:
        return Refusal(partition, (Refused.LOST,), horizon, loss, verdict.offset)
    return Verdict(horizon.start, Reason.LOSS_ACCEPTED, verdict.epoch, verdict.ledger_epoch, accepted=loss)


def _recreated(
    partition: Partition,
    known: LedgerRow,
    ledger: LedgerRow | None,
    siblings: Sequence[LedgerRow],
    horizon: Horizon,
    accepted: Collection[Loss],
    *,
    consent: bool,
) -> Verdict | Refusal:
    """Another topic of the same name: from its beginning, which must be there."""
    same = [row.epoch for row in siblings if row.topic_id == horizon.topic_id]
    epoch = max([known.epoch + 1, *same])
    ledger_epoch = ledger.ledger_epoch + 1 if ledger else FIRST_LEDGER_EPOCH
    found = _inside(partition, Verdict(0, Reason.RECREATED, epoch, ledger_epoch), horizon, accepted)
    if consent:
        return found
    loss = found.loss if isinstance(found, Refusal) else None
    reasons = (Refused.RECREATED,) if loss is None else (Refused.RECREATED, Refused.LOST)
    return Refusal(partition, reasons, horizon, loss, known.next_offset if ledger else -1, known.topic_id)


def _best(siblings: Sequence[LedgerRow], topic_id: str) -> LedgerRow | None:
    """The row that says most about the topic as it is now: workers accept a re-created topic one after the other."""
    return max(siblings, key=lambda row: (row.topic_id == topic_id, row.epoch), default=None)
