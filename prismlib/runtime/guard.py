"""May we start here? Decides, for every partition just assigned, where reading begins, or refuses.

The inputs are what the ledger remembers, what the broker says the group has committed, and what the partition holds now
(asked fresh). The decision is a pure function, so that every row of its table is a test.

| ledger row | committed | topic id | verdict |
| --- | --- | --- | --- |
| none | none | - | FRESH: where the pipeline file says; NEW_PARTITION (its beginning) when the topic is known |
| none | some | - | RESUME there |
| some | any | another | RECREATED: refused, or with consent its beginning under the next epoch |
| some | none | same | RESTORED: the broker forgot, the ledger did not |
| some | equal | same | RESUME |
| some | lower | same | MOVED: somebody reset the group, or a crash came between ledger and broker |
| some | higher | same | MOVED: somebody reset the group; BEHIND, from the ledger, where it is not written with the offsets |

A ledger that is written before the broker's offsets can only be behind them when it belongs to another generation of the
index, or when somebody moved the group. Reading again is harmless there, skipping is not; so the ledger wins, unless its
records are gone and the group was moved beyond them.

Whatever offset results must still lie inside the log: below its start records are lost, above its end something is wrong;
both are refused.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from prismlib.errors import DataLossError
from prismlib.records import LedgerRow, Partition
from prismlib.stages import Horizon


class Reason(enum.Enum):
    """Why reading starts where it does."""

    FRESH = "fresh"
    NEW_PARTITION = "new partition"
    RESUME = "resume"
    RESTORED = "restored from the ledger"
    MOVED = "moved by an operator or a crash between ledger and broker"
    BEHIND = "the ledger is behind the broker's offset, nothing is skipped"
    RECREATED = "topic re-created"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where one partition starts.

    Attributes:
        offset: the first record to read.
        reason: why.
        epoch: the topic's incarnation, for ids and versions.
        ledger_epoch: for the partition's next ledger rows.
    """

    offset: int
    reason: Reason
    epoch: int
    ledger_epoch: int


def decide(
    partition: Partition,
    *,
    ledger: LedgerRow | None,
    topic_row: LedgerRow | None,
    committed: int | None,
    horizon: Horizon,
    start: Callable[[], int],
    atomic: bool = False,
    accept_recreated: bool = False,
    key_fixes_partition: bool = False,
) -> Verdict:
    """Decide for one partition.

    Args:
        partition: the one just assigned.
        ledger: its own ledger row.
        topic_row: a ledger row of any partition of the same topic; says that the pipeline knows the topic.
        committed: the group's committed offset.
        horizon: what the partition holds now.
        start: where the pipeline file says that a fresh pipeline starts; asked only then.
        atomic: ledger rows are committed in one transaction with the offsets.
        accept_recreated: an operator accepts that the topic was re-created.
        key_fixes_partition: ids come from record keys, so that another partition count would split the keys.

    Raises:
        DataLossError: starting anywhere would skip or mix up records; says what and the next step.
    """
    known = ledger or topic_row
    epoch = known.epoch if known else 0
    ledger_epoch = ledger.ledger_epoch if ledger else 0
    if known and known.topic_id and horizon.topic_id and known.topic_id != horizon.topic_id:
        if not accept_recreated:
            raise DataLossError(
                f"{partition}: the topic was deleted and created again since the last run (it had the id "
                f"{known.topic_id}, now {horizon.topic_id}); if that was intended, start once with "
                f"--accept-recreated {partition.stream}, which reads it from its beginning"
            )
        return Verdict(horizon.start, Reason.RECREATED, epoch + 1, ledger_epoch + 1)
    if ledger is None and committed is None:
        if topic_row is None:
            return Verdict(start(), Reason.FRESH, epoch, ledger_epoch)
        if key_fixes_partition:
            raise DataLossError(
                f"{partition}: the partition is new, and the pipeline says key_fixes_partition = true: the same key may "
                f"now arrive in another partition, where its versions would not compare; rebuild the index with a replay "
                f"before reading on"
            )
        return Verdict(horizon.start, Reason.NEW_PARTITION, epoch, ledger_epoch)
    if ledger is None:
        assert committed is not None  # noqa: S101  # the case above
        offset, reason = committed, Reason.RESUME
    elif committed is None:
        offset, reason = ledger.next_offset, Reason.RESTORED
    elif committed == ledger.next_offset:
        offset, reason = committed, Reason.RESUME
    elif committed > ledger.next_offset >= horizon.start and not atomic:
        offset, reason = ledger.next_offset, Reason.BEHIND
    else:
        offset, reason = committed, Reason.MOVED
        ledger_epoch += committed < ledger.next_offset
    _check_inside(partition, offset, horizon, ledger)
    return Verdict(offset, reason, epoch, ledger_epoch)


def _check_inside(partition: Partition, offset: int, horizon: Horizon, ledger: LedgerRow | None) -> None:
    if offset < horizon.start:
        after = _time(ledger.timestamp_ms) if ledger and ledger.next_offset == offset else "an unknown time"
        before = _time(horizon.start_timestamp_ms)
        raise DataLossError(
            f"{partition}: data is lost: the next record to read has offset {offset}, the log now starts at "
            f"{horizon.start}; at most {horizon.start - offset} records, written between {after} and {before}, are gone; "
            f"to go on without them, move the group's offset of this partition to {horizon.start} and start again"
        )
    if offset > horizon.end:
        raise DataLossError(
            f"{partition}: the next offset {offset} lies beyond the end of the log, {horizon.end}: the broker lost records, "
            f"or the group's offsets belong to another topic; nothing was read"
        )


def _time(timestamp_ms: int) -> str:
    if timestamp_ms < 0:
        return "an unknown time"
    return datetime.fromtimestamp(timestamp_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
