"""Every row of the guard's table, as data."""

from __future__ import annotations

from typing import Any

import pytest

from prismlib.records import LedgerRow, Loss, Partition
from prismlib.runtime.guard import Reason, Refusal, Refused, Verdict, decide
from prismlib.stages import Horizon

P = Partition("orders", 2)
OTHER = Partition("orders", 0)
SEEN = 1_700_000_000_000
OLDEST = 1_700_000_360_000
HORIZON = Horizon(10, 100, "A", OLDEST)


def row(next_offset: int = 50, partition: Partition = P, **changes: Any) -> LedgerRow:
    return LedgerRow(partition, next_offset, **{"topic_id": "A", "timestamp_ms": SEEN, "ledger_epoch": 1, **changes})


def ask(**changes: Any) -> Verdict | Refusal:
    given: dict[str, Any] = {"ledger": None, "committed": None, "horizon": HORIZON, "start": lambda: 77}
    return decide(P, **{**given, **changes})


# What is given: ledger (next offset or row), committed, and what else; then offset, reason, epoch and ledger epoch.
STARTS: dict[str, tuple[dict[str, Any], tuple[int, Reason, int, int]]] = {
    "a fresh pipeline starts where its file says": ({}, (77, Reason.FRESH, 0, 1)),
    "what another worker wrote at the first assignment is a fresh start": (
        {"ledger": row(60, ledger_epoch=0, timestamp_ms=-1)},
        (60, Reason.FRESH, 0, 1),
    ),
    "a new partition of a known topic starts at its beginning, whatever the file says": (
        {"siblings": [row(5, OTHER, epoch=3)], "horizon": Horizon(0, 100, "A")},
        (0, Reason.NEW_PARTITION, 3, 1),
    ),
    "a partition whose row and offset are both lost is read from its beginning": (
        {"siblings": [row(5, Partition("orders", 7))], "horizon": Horizon(0, 100, "A")},
        (0, Reason.NEW_PARTITION, 0, 1),
    ),
    "agreement resumes": ({"ledger": row(), "committed": 50}, (50, Reason.RESUME, 0, 1)),
    "an offset without a row is adopted": ({"committed": 60}, (60, Reason.ADOPTED, 0, 1)),
    "a lost row takes the broker's offset, in the epoch of its siblings": (
        {"committed": 60, "siblings": [row(5, OTHER, epoch=2)]},
        (60, Reason.ADOPTED, 2, 1),
    ),
    "forgotten offsets are restored": ({"ledger": row(epoch=2, ledger_epoch=4)}, (50, Reason.RESTORED, 2, 4)),
    "an operator moves the group forward": (
        {"ledger": row(), "committed": 90, "atomic": True},
        (90, Reason.MOVED, 0, 1),
    ),
    "a ledger that lost its last rows follows the offsets of the same transactions": (
        {"ledger": row(4), "committed": 90, "atomic": True},
        (90, Reason.MOVED, 0, 1),
    ),
    "a ledger behind offsets that are written after it wins": (
        {"ledger": row(), "committed": 90},
        (50, Reason.BEHIND, 0, 1),
    ),
    "an operator moves the group back, and later rows are not stale": (
        {"ledger": row(), "committed": 20},
        (20, Reason.MOVED, 0, 2),
    ),
    "moved back to where records are gone, what is there is read again: the rest is settled": (
        {"ledger": row(), "committed": 4},
        (10, Reason.MOVED, 0, 2),
    ),
    "accepted, and the worker was killed before it told the broker": (
        {"ledger": row(10), "committed": 4},
        (10, Reason.MOVED, 0, 2),
    ),
    "the first offset of the log is inside": ({"ledger": row(10), "committed": 10}, (10, Reason.RESUME, 0, 1)),
    "the end of the log is inside": ({"ledger": row(100), "committed": 100}, (100, Reason.RESUME, 0, 1)),
    "exactly the accepted loss": (
        {"ledger": row(4), "committed": 4, "accepted": {Loss(P, 4, 10)}},
        (10, Reason.LOSS_ACCEPTED, 0, 1),
    ),
    "an accepted topic starts at its beginning in the next epoch, whatever is committed": (
        {
            "ledger": row(topic_id="B", epoch=1, ledger_epoch=5),
            "committed": 50,
            "accept_recreated": True,
            "horizon": Horizon(0, 100, "A"),
        },
        (0, Reason.RECREATED, 2, 6),
    ),
    "a topic that another worker accepted is in the same epoch here": (
        {
            "ledger": row(topic_id="B"),
            "siblings": [row(3, OTHER, epoch=4)],
            "accept_recreated": True,
            "horizon": Horizon(0, 9, "A"),
        },
        (0, Reason.RECREATED, 4, 2),
    ),
    "a partition that only the new topic has is new there, once another worker accepted it": (
        {
            "siblings": [row(3, Partition("orders", 1), topic_id="B"), row(3, OTHER, epoch=1)],
            "horizon": Horizon(0, 9, "A"),
        },
        (0, Reason.NEW_PARTITION, 1, 1),
    ),
    "an accepted topic that lost its first records as well": (
        {"ledger": row(topic_id="B"), "accept_recreated": True, "accepted": {Loss(P, 0, 10)}},
        (10, Reason.LOSS_ACCEPTED, 1, 2),
    ),
    "a source without topic ids": (
        {"ledger": row(), "committed": 50, "horizon": Horizon(0, 100, "")},
        (50, Reason.RESUME, 0, 1),
    ),
    "a row without a topic id": ({"ledger": row(topic_id=""), "committed": 50}, (50, Reason.RESUME, 0, 1)),
}


@pytest.mark.parametrize(("given", "expected"), STARTS.values(), ids=STARTS)
def test_it_starts(given: dict[str, Any], expected: tuple[int, Reason, int, int]) -> None:
    verdict = ask(**given)
    assert isinstance(verdict, Verdict)
    assert (verdict.offset, verdict.reason, verdict.epoch, verdict.ledger_epoch) == expected


LOST, BEYOND, AGAIN, SPLIT = Refused.LOST, Refused.BEYOND_END, Refused.RECREATED, Refused.SPLIT_KEYS

# What is given; then the reasons, and the first and the next offset of what is lost.
REFUSALS: dict[str, tuple[dict[str, Any], tuple[Refused, ...], tuple[int, int] | None]] = {
    "deleted records": ({"ledger": row(4), "committed": 4}, (LOST,), (4, 10)),
    "deleted records, and the broker forgot": ({"ledger": row(4)}, (LOST,), (4, 10)),
    "deleted records, and the ledger is lost": ({"committed": 4}, (LOST,), (4, 10)),
    "a group that was moved beyond lost records by a tool that does not know the ledger": (
        {"ledger": row(4), "committed": 60},
        (LOST,),
        (4, 10),
    ),
    "a loss that grew since it was accepted": (
        {"ledger": row(4), "committed": 4, "accepted": {Loss(P, 4, 9)}},
        (LOST,),
        (4, 10),
    ),
    "a larger loss was accepted": ({"ledger": row(4), "accepted": {Loss(P, 3, 10)}}, (LOST,), (4, 10)),
    "the loss of another partition was accepted": (
        {"ledger": row(4), "accepted": {Loss(OTHER, 4, 10)}},
        (LOST,),
        (4, 10),
    ),
    "what another worker noted at the first assignment, deleted before anybody read it": (
        {"ledger": row(6, ledger_epoch=0, timestamp_ms=-1)},
        (LOST,),
        (6, 10),
    ),
    "the beginning of a new partition": ({"siblings": [row(5, OTHER)]}, (LOST,), (0, 10)),
    "beyond the end": ({"ledger": row(101), "committed": 101}, (BEYOND,), None),
    "beyond the end, and the broker forgot": ({"ledger": row(101)}, (BEYOND,), None),
    "a log that was cut below what is settled, although the group was moved back": (
        {"ledger": row(101), "committed": 60},
        (BEYOND,),
        None,
    ),
    "a committed offset beyond the end, with a ledger inside": ({"ledger": row(), "committed": 101}, (BEYOND,), None),
    "beyond the end is never accepted as a loss": (
        {"committed": 101, "accepted": {Loss(P, 101, 10)}},
        (BEYOND,),
        None,
    ),
    "created again, although the offsets fit": (
        {"ledger": row(topic_id="B"), "committed": 50, "horizon": Horizon(0, 100, "A")},
        (AGAIN,),
        None,
    ),
    "created again, and the broker deleted the offsets": (
        {"ledger": row(topic_id="B"), "horizon": Horizon(0, 100, "A")},
        (AGAIN,),
        None,
    ),
    "created again, and only another partition is in the ledger": (
        {"siblings": [row(50, OTHER, topic_id="B")], "horizon": Horizon(0, 100, "A")},
        (AGAIN,),
        None,
    ),
    "created again, and the new topic has lost records already": (
        {"ledger": row(topic_id="B")},
        (AGAIN, LOST),
        (0, 10),
    ),
    "created again, and only the loss in it was accepted": (
        {"ledger": row(topic_id="B"), "accepted": {Loss(P, 0, 10)}},
        (AGAIN,),
        None,
    ),
    "created again, and only that was accepted": (
        {"ledger": row(topic_id="B"), "accept_recreated": True},
        (LOST,),
        (0, 10),
    ),
    "a new partition where the key fixes the partition": (
        {"siblings": [row(5, OTHER)], "key_fixes_partition": True},
        (SPLIT,),
        None,
    ),
}


@pytest.mark.parametrize(("given", "reasons", "lost"), REFUSALS.values(), ids=REFUSALS)
@pytest.mark.parametrize("atomic", [False, True], ids=["ledger first", "in one transaction"])
def test_it_refuses(
    given: dict[str, Any],
    reasons: tuple[Refused, ...],
    lost: tuple[int, int] | None,
    atomic: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    if atomic and given.get("committed", 0) > HORIZON.start and reasons == (LOST,):
        pytest.skip("in one transaction the committed offset counts")
    refusal = ask(**given, atomic=atomic)
    assert isinstance(refusal, Refusal)
    assert refusal.reasons == reasons
    assert (None if refusal.loss is None else (refusal.loss.first, refusal.loss.end)) == lost


def test_a_loss_has_the_times_between_which_its_records_were_written() -> None:
    refusal = ask(ledger=row(4), committed=4)
    assert isinstance(refusal, Refusal)
    assert refusal.loss is not None
    assert (refusal.loss.from_ms, refusal.loss.to_ms, refusal.loss.records) == (SEEN, OLDEST, 6)
    unknown = ask(committed=4)
    assert isinstance(unknown, Refusal)
    assert unknown.loss is not None
    assert unknown.loss.from_ms == -1


def test_a_range_is_written_and_read_in_one_way() -> None:
    loss = Loss(Partition("a[0]:1-2", 13), 1041, 2208, 5, 6)
    assert Loss.parse(str(loss)) == loss
    assert str(Loss(P, 4, 10)) == "orders[2]:4-10"


@pytest.mark.parametrize(
    "text", ["orders[2]", "orders:4-10", "orders[2]:4", "orders[x]:4-10", "orders[2]:4-10 ", "[2]:4-10"]
)
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"write TOPIC\[PARTITION\]:FIRST-END"):
        Loss.parse(text)


@pytest.mark.parametrize("text", ["orders[2]:10-10", "orders[2]:10-4"])
def test_an_empty_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="empty range: END is the offset after the last record"):
        Loss.parse(text)
