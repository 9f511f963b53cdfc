"""The guard against the truth: random histories of one partition, and planted mistakes that the model must catch.

The truth is which records were settled: in the output, or in the dead letters. Ledger, committed offset and log are what
a history of commits, crashes, backups, retention and operators leaves of it. Whatever the guard then decides, a record
that was not settled may be passed over only where exactly its range was accepted, or where an operator moved the group.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from prismlib.records import LedgerRow, Loss, Partition
from prismlib.runtime.guard import Reason, Refusal, Refused, Verdict, decide
from prismlib.stages import Horizon

P = Partition("orders", 1)
ROUNDS = 4000


@dataclass
class History:
    """What is left of one partition, and the truth about it."""

    settled: int  # every record below it is settled, or an operator has moved the group beyond it
    known: bool  # the topic was assigned before
    ledger: LedgerRow | None
    siblings: list[LedgerRow]
    committed: int | None
    horizon: Horizon
    atomic: bool
    accepted: set[Loss]
    accept_recreated: bool
    recreated: bool


def draw(rng: random.Random) -> History:
    end = rng.randint(0, 12)
    settled = rng.randint(0, end)
    atomic = rng.random() < 0.5
    known = rng.random() < 0.9
    epoch = rng.randint(0, 2)
    stored: int | None = settled
    committed: int | None = settled
    if not atomic and rng.random() < 0.3:
        committed = rng.randint(0, settled)  # a crash between ledger and broker
    if rng.random() < 0.15:
        stored = rng.randint(0, settled)  # a ledger from a backup, or one that lost its last rows
    elif rng.random() < 0.15 and committed is not None:
        committed = rng.randint(0, committed)  # the same of the broker, or somebody moved the group back
    if rng.random() < 0.2:
        committed = None  # expired
    if rng.random() < 0.2:
        stored = None
    if not known:
        stored = committed = None
    if known and committed is not None and rng.random() < 0.15:
        committed = rng.randint(committed, end)  # an operator moves the group forward, with a tool of Kafka's
        if atomic or stored is None:  # else the ledger knows better
            settled = max(settled, committed)
    recreated = known and rng.random() < 0.15
    if recreated:
        end, settled = rng.randint(0, 12), 0
        committed = None if rng.random() < 0.7 else committed
    start = rng.randint(0, end) if rng.random() < 0.6 else 0
    if rng.random() < 0.1:
        end = rng.randint(0, end)  # cut by an unclean election
        start = min(start, end)
    topic_id = "A" if recreated else "B"
    ledger = None if stored is None else LedgerRow(P, stored, epoch, topic_id, 5, rng.randint(0, 2))
    siblings = [LedgerRow(Partition("orders", i), rng.randint(0, 9), epoch, topic_id, 5, 1) for i in (0, 2)]
    if not known:
        siblings = []
    accepted = {
        Loss(P, first, first + length)
        for first, length in ((rng.randint(0, 9), rng.randint(1, 9)) for _ in range(rng.randint(0, 6)))
    }
    horizon = Horizon(start, end, "B", 9, 3)
    return History(
        settled, known, ledger, siblings, committed, horizon, atomic, accepted, rng.random() < 0.5, recreated
    )


def ask(history: History, decide: Callable[..., Verdict | Refusal]) -> Verdict | Refusal:
    return decide(
        P,
        ledger=history.ledger,
        siblings=history.siblings,
        committed=history.committed,
        horizon=history.horizon,
        start=lambda: history.horizon.end,  # "latest": the worst that a file can say
        atomic=history.atomic,
        accepted=history.accepted,
        accept_recreated=history.accept_recreated,
    )


def check(history: History, found: Verdict | Refusal) -> None:
    """What must hold, computed from the truth and not from the guard's table."""
    horizon = history.horizon
    if isinstance(found, Refusal):
        if found.loss is not None:
            assert found.loss.end == horizon.start, "the range ends where the log starts"
            assert found.loss.first <= history.settled, "the range has every record that is not settled"
            assert found.loss not in history.accepted or len(found.reasons) > 1, "an accepted range is not refused"
        return
    if not history.known:
        return  # a fresh pipeline starts where its file says
    assert horizon.start <= found.offset <= horizon.end, "reading begins inside the log"
    if history.recreated:
        assert history.accept_recreated, "another topic is read with consent only"
        assert found.epoch > (history.ledger or history.siblings[0]).epoch
    if found.offset > history.settled:
        passed = found.accepted
        assert passed in history.accepted, f"{history.settled} to {found.offset} was passed over"
        assert passed is not None
        assert passed.first <= history.settled, "what was accepted has every record that is passed over"
        assert passed.end == found.offset == horizon.start, "and no record that is still there"
    if found.accepted is not None:
        assert found.accepted in history.accepted
    if history.ledger is not None and found.offset < history.ledger.next_offset:
        assert found.ledger_epoch > history.ledger.ledger_epoch, "its rows would be stale"


def run(decide: Callable[..., Verdict | Refusal], seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(ROUNDS):
        history = draw(rng)
        check(history, ask(history, decide))


@pytest.mark.parametrize("seed", range(10))
def test_no_verdict_passes_over_a_record_that_was_not_settled(seed: int) -> None:
    run(decide, seed)


def test_the_model_sees_every_kind_of_answer() -> None:
    rng = random.Random(1)
    seen = set()
    for _ in range(ROUNDS):
        found = ask(draw(rng), decide)
        seen.add(found.reason if isinstance(found, Verdict) else found.reasons)
    refusals = [(Refused.LOST,), (Refused.BEYOND_END,), (Refused.RECREATED,), (Refused.RECREATED, Refused.LOST)]
    assert seen == {*Reason, *refusals}  # SPLIT_KEYS has cases of its own


def test_an_accepted_loss_starts_when_it_is_asked_for_again() -> None:
    """What a refusal names is what must be accepted, and then it starts: no other loss comes up behind it."""
    rng = random.Random(2)
    refused = 0
    for _ in range(ROUNDS):
        history = replace(draw(rng), accepted=set())
        found = ask(history, decide)
        if not isinstance(found, Refusal) or found.loss is None:
            continue
        refused += 1
        again = replace(history, accepted={found.loss}, accept_recreated=True)
        second = ask(again, decide)
        assert isinstance(second, Verdict)
        check(again, second)
        # Killed before the broker was told: the ledger alone carries the acceptance over.
        row = LedgerRow(P, second.offset, second.epoch, "B", -1, second.ledger_epoch)
        if history.recreated and history.committed is not None:
            again.committed = second.offset  # what was committed of the old topic is replaced before the ledger's row
        third = ask(replace(again, ledger=row, accepted=set(), settled=second.offset, recreated=False), decide)
        assert isinstance(third, Verdict), "the same loss must not be refused twice"
        assert third.offset == history.horizon.start or third.offset == history.committed
    assert refused > ROUNDS / 20


# --- planted mistakes --------------------------------------------------------------------------------------------------


def trusts_the_broker(partition: Partition, **given: Any) -> Verdict | Refusal:
    return decide(partition, **{**given, "atomic": True})


def never_looks_at_topic_ids(partition: Partition, **given: Any) -> Verdict | Refusal:
    return decide(partition, **{**given, "horizon": replace(given["horizon"], topic_id="")})


def takes_a_lost_row_for_a_fresh_start(partition: Partition, **given: Any) -> Verdict | Refusal:
    return decide(partition, **{**given, "siblings": []})


def accepts_by_partition(partition: Partition, **given: Any) -> Verdict | Refusal:
    found = decide(partition, **given)
    if isinstance(found, Refusal) and found.loss is not None and given["accepted"]:
        return decide(partition, **{**given, "accepted": {found.loss}})
    return found


def jumps_to_what_is_there(partition: Partition, **given: Any) -> Verdict | Refusal:
    return decide(partition, **{**given, "horizon": replace(given["horizon"], start=0)})


def keeps_the_ledger_epoch(partition: Partition, **given: Any) -> Verdict | Refusal:
    found = decide(partition, **given)
    row = given["ledger"]
    return replace(found, ledger_epoch=row.ledger_epoch) if row and isinstance(found, Verdict) else found


@pytest.mark.parametrize(
    "mistake",
    [
        trusts_the_broker,
        never_looks_at_topic_ids,
        takes_a_lost_row_for_a_fresh_start,
        accepts_by_partition,
        jumps_to_what_is_there,
        keeps_the_ledger_epoch,
    ],
)
def test_the_model_catches_a_planted_mistake(mistake: Callable[..., Verdict | Refusal]) -> None:
    with pytest.raises(AssertionError):
        for seed in range(3):
            run(mistake, seed)
