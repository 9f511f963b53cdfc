"""What is made of ledger, broker and log of one partition; the stores themselves are tested with their plugins."""

from __future__ import annotations

from typing import Any

import pytest

from prismlib.errors import ConfigError, FatalError, RetryableError
from prismlib.records import LedgerNote, LedgerRow, Partition
from prismlib.runtime.offsets import (
    Move,
    Standing,
    Target,
    carry_out,
    look,
    operator,
    plan_reset,
    plan_restore,
    require_nobody,
)
from prismlib.stages import Committed, Horizon

P = Partition("in", 1)


def standing(
    ledger: int | None, committed: int | None, *, start: int = 10, end: int = 90, atomic: bool = True, **row: Any
) -> Standing:
    known = None if ledger is None else LedgerRow(P, ledger, **row)
    return Standing(P, Horizon(start, end, "id"), known, committed, atomic=atomic)


@pytest.mark.parametrize(
    ("ledger", "committed", "state", "lag", "problem"),
    [
        (None, None, "not started", None, ""),
        (40, 40, "equal", 50, ""),
        (90, 90, "equal", 0, ""),
        (40, None, "no broker offset", 50, ""),
        (None, 40, "no ledger row", 50, ""),
        (40, 30, "ledger ahead", 50, ""),
        (40, 50, "broker ahead", 50, ""),
        (4, 4, "equal", 86, "data is lost: offsets 4 to 9 are gone"),
        (4, None, "no broker offset", 86, "data is lost: offsets 4 to 9 are gone"),
        (None, 9, "no ledger row", 81, "data is lost: offsets 9 to 9 are gone"),
        (40, 4, "ledger ahead", 50, ""),  # what is gone was settled
        (4, 40, "broker ahead", 86, ""),  # somebody moved the group beyond what is lost
        (91, 91, "equal", 0, "the next offset 91 lies beyond the end of the log"),
        (40, 91, "broker ahead", 50, "the next offset 91 lies beyond the end of the log"),
    ],
)
def test_standing(ledger: int | None, committed: int | None, state: str, lag: int | None, problem: str) -> None:
    one = standing(ledger, committed)
    assert (one.state, one.lag, one.problem) == (state, lag, problem)


def test_a_ledger_that_is_written_first_wins_also_where_its_records_are_gone() -> None:
    assert standing(4, 40, atomic=False).problem == "data is lost: offsets 4 to 9 are gone"


def test_a_topic_is_known_by_its_id() -> None:
    assert standing(40, 40, topic_id="other").problem == "the topic was deleted and created again"
    assert not standing(40, 40, topic_id="id").recreated
    assert not standing(40, 40).recreated, "a source without ids"
    new = Standing(Partition("in", 2), Horizon(0, 9, "id"), None, None, LedgerRow(Partition("in", 0), 4, topic_id="x"))
    assert new.recreated


@pytest.mark.parametrize(
    ("ledger", "committed", "to", "whole", "needed", "effect"),
    [
        (40, 40, 40, True, False, "as it is"),
        (40, 40, 20, True, True, "reads 20 again"),
        (40, 40, 60, True, True, "skips 20"),
        (40, 60, 60, True, True, "skips 20"),
        (40, 60, 40, True, True, "ledger and broker agree again"),
        (60, 40, 40, True, True, "reads 20 again"),
        (None, None, 20, True, True, "starts at 20"),
        (None, 40, 40, True, True, "ledger and broker agree again"),
        (None, 40, 50, True, True, "skips 10"),
        (40, None, 40, False, True, "starts at 40"),
        (40, 70, 40, False, True, "from 70 back to the ledger's"),
        (40, 40, 40, False, False, "as it is"),
    ],
)
def test_a_move_says_what_it_means_for_records(
    ledger: int | None, committed: int | None, to: int, *, whole: bool, needed: bool, effect: str
) -> None:
    move = Move(standing(ledger, committed), to, ledger=whole)
    assert (move.needed, move.effect) == (needed, effect)


class Stores:
    """Both sides in memory, and the order in which they were written."""

    atomic = False

    def __init__(self, *standings: Standing, fails: Exception | None = None) -> None:
        self.found = {s.partition: s for s in standings}
        self.done: list[Any] = []
        self.fails = fails

    def partitions(self, streams: Any) -> Any:
        return [p for p in self.found if p.stream in streams]

    def load_ledger(self, partitions: Any) -> Any:
        return {p: s.row for p, s in self.found.items() if s.row is not None and p in partitions}

    def committed(self, partitions: Any) -> Any:
        return {p: Committed(self.found[p].committed) for p in partitions}

    def horizons(self, partitions: Any) -> Any:
        return {p: self.found[p].horizon for p in partitions}

    def timestamps(self, offsets: Any) -> Any:
        return {p: 1_000 + offset for p, offset in offsets.items()}

    def offsets_at(self, partitions: Any, timestamp_ms: int) -> Any:
        return dict.fromkeys(partitions, timestamp_ms - 1_000)

    def alter(self, next_offsets: Any) -> None:
        self.done.append(dict(next_offsets))

    def save_ledger(self, rows: Any, notes: Any = ()) -> None:
        if self.fails:
            raise self.fails
        self.done.append((list(rows), list(notes)))


def test_look_puts_both_sides_together_with_times() -> None:
    first, second = Partition("in", 0), Partition("in", 1)
    row = LedgerRow(first, 5, epoch=3)
    stores: Any = Stores(Standing(first, Horizon(0, 9, ""), row, 7), Standing(second, Horizon(0, 9, ""), None, None))
    assert look(stores, stores, ["in"]) == [
        Standing(first, Horizon(0, 9, ""), row, 7, row, 1_005, 1_007),
        Standing(second, Horizon(0, 9, ""), None, None, row, -1, -1),
    ]
    with pytest.raises(ConfigError, match="no topic out where the source reads"):
        look(stores, stores, ["in", "out"])


def test_a_reset_writes_the_broker_first_and_raises_the_ledger_epoch() -> None:
    old = LedgerRow(P, 40, 2, "id", 700, 5, 600, 4711, "ab12")
    stores: Any = Stores()
    one = Standing(P, Horizon(10, 90, "id"), old, 38)
    (move,) = plan_reset(stores, [one], Target("time", "--to-time X", 1_020))
    assert (move.to, move.to_ms) == (20, 1_020)
    carry_out(stores, stores, [move], who="ada@host", words="prism offsets reset p.toml --to-time X", now_ms=999)
    assert stores.done == [
        {P: 20},
        (
            [LedgerRow(P, 20, 2, "id", -1, 6, 999, 4711, "ab12")],
            [
                LedgerNote(
                    "reset",
                    999,
                    "ada@host",
                    "next offset set to 20 by `prism offsets reset p.toml --to-time X`; before, the ledger had 40, the broker 38",
                    P,
                    first=20,
                    end=40,
                )
            ],
        ),
    ]


def test_a_new_partition_takes_the_epoch_of_its_topic() -> None:
    stores: Any = Stores()
    topic_row = LedgerRow(Partition("in", 0), 4, epoch=2, topic_id="id")
    moves = plan_reset(
        stores, [Standing(P, Horizon(10, 90, "id"), None, None, topic_row)], Target("earliest", "--to earliest")
    )
    carry_out(stores, stores, moves, who="w", words="x", now_ms=9)
    rows, notes = stores.done[1]
    assert rows == [LedgerRow(P, 10, epoch=2, topic_id="id", ledger_epoch=1, written_ms=9)]
    assert (notes[0].first, notes[0].end) == (10, 10)
    assert "before, the ledger had no row, the broker nothing" in notes[0].what


def test_what_is_not_needed_is_not_written() -> None:
    stores: Any = Stores()
    carry_out(stores, stores, plan_restore([standing(40, 40)]), who="w", words="x", now_ms=9)
    carry_out(
        stores, stores, plan_reset(stores, [standing(90, 90)], Target("latest", "")), who="w", words="x", now_ms=9
    )
    assert stores.done == []
    assert plan_restore([standing(None, 40)]) == []


@pytest.mark.parametrize("error", [RetryableError("it is away"), FatalError("it is gone")])
def test_a_ledger_that_fails_after_the_broker_says_what_to_do(error: Exception) -> None:
    stores: Any = Stores(fails=error)
    with pytest.raises(
        type(error), match=r"it is .*; the broker's offsets are moved already.* run `again --yes` again"
    ):
        carry_out(stores, stores, plan_restore([standing(40, 20)]), who="w", words="again", now_ms=9)
    assert stores.done == [{P: 40}]


def test_while_somebody_reads_nothing_is_moved() -> None:
    require_nobody([])
    with pytest.raises(FatalError, match="live members, and nothing was changed: worker 1; worker 2; stop them"):
        require_nobody(["worker 1", "worker 2"])


def test_a_topic_that_was_created_again_is_refused() -> None:
    stores: Any = Stores()
    again = standing(40, 40, topic_id="other")
    for plan in (lambda: plan_restore([again]), lambda: plan_reset(stores, [again], Target("latest", ""))):
        with pytest.raises(FatalError, match="--accept-recreated in"):
            plan()


def test_partitions_that_were_added_where_keys_must_not_move_are_refused() -> None:
    stores: Any = Stores()
    new = Standing(P, Horizon(0, 9, "id"), None, None, LedgerRow(Partition("in", 0), 4, topic_id="id"))
    with pytest.raises(FatalError, match=r"in\[1\]: the partition is new, .* rebuild the index"):
        plan_reset(stores, [new], Target("earliest", ""), key_fixes_partition=True)
    fresh = Standing(P, Horizon(0, 9, "id"), None, None)
    assert len(plan_reset(stores, [fresh, standing(40, 40)], Target("earliest", ""), key_fixes_partition=True)) == 2


def test_an_operator_without_a_name_is_a_number() -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    assert operator(lambda: "ada").startswith("ada@")
    assert operator(nobody).startswith("uid ")
