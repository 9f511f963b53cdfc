"""Every row of the guard's table."""

from __future__ import annotations

from typing import Any

import pytest

from prismlib.errors import DataLossError
from prismlib.records import LedgerRow, Partition
from prismlib.runtime.guard import Reason, Verdict, decide
from prismlib.stages import Horizon

P = Partition("orders", 2)


def row(next_offset: int = 50, **changes: Any) -> LedgerRow:
    return LedgerRow(P, next_offset, **{"topic_id": "A", "timestamp_ms": 1_700_000_000_000, **changes})


def ask(**changes: Any) -> Verdict:
    given: dict[str, Any] = {
        "ledger": None,
        "topic_row": None,
        "committed": None,
        "horizon": Horizon(10, 100, "A", 1_700_000_360_000),
        "start": lambda: 77,
    }
    return decide(P, **{**given, **changes})


def test_a_fresh_pipeline_starts_where_its_file_says() -> None:
    assert ask() == Verdict(77, Reason.FRESH, 0, 0)


def test_a_new_partition_of_a_known_topic_starts_at_its_beginning_whatever_the_file_says() -> None:
    assert ask(topic_row=row(epoch=3)) == Verdict(10, Reason.NEW_PARTITION, 3, 0)


def test_a_new_partition_is_refused_where_the_key_fixes_the_partition() -> None:
    with pytest.raises(DataLossError, match="key_fixes_partition"):
        ask(topic_row=row(), key_fixes_partition=True)


def test_agreement_resumes() -> None:
    assert ask(ledger=row(), committed=50) == Verdict(50, Reason.RESUME, 0, 0)


def test_committed_offsets_without_a_ledger_resume() -> None:
    assert ask(committed=60) == Verdict(60, Reason.RESUME, 0, 0)


def test_forgotten_offsets_are_restored() -> None:
    assert ask(ledger=row(epoch=2, ledger_epoch=4)) == Verdict(50, Reason.RESTORED, 2, 4)


def test_an_operator_moves_the_group_forward() -> None:
    assert ask(ledger=row(), committed=90, atomic=True) == Verdict(90, Reason.MOVED, 0, 0)


def test_a_ledger_behind_offsets_that_are_written_after_it_wins_because_skipping_is_worse_than_reading_again() -> None:
    assert ask(ledger=row(), committed=90) == Verdict(50, Reason.BEHIND, 0, 0)


def test_a_group_that_was_moved_beyond_records_that_are_gone_starts_there() -> None:
    assert ask(ledger=row(4), committed=10) == Verdict(10, Reason.MOVED, 0, 0)


def test_an_operator_moves_the_group_back_and_later_ledger_rows_are_not_stale() -> None:
    assert ask(ledger=row(), committed=20) == Verdict(20, Reason.MOVED, 0, 1)


def test_deleted_records_are_refused_with_the_range_and_the_times() -> None:
    with pytest.raises(DataLossError) as refusal:
        ask(ledger=row(4), committed=4)
    text = str(refusal.value)
    assert "orders[2]" in text
    assert "offset 4" in text
    assert "at most 6 records" in text
    assert "2023-11-14T22:13:20Z and 2023-11-14T22:19:20Z" in text


def test_the_first_offset_of_the_log_and_its_end_are_inside() -> None:
    assert ask(ledger=row(10), committed=10).offset == 10
    assert ask(ledger=row(100), committed=100).offset == 100


def test_beyond_the_end_is_refused() -> None:
    with pytest.raises(DataLossError, match="beyond the end of the log, 100"):
        ask(ledger=row(101), committed=101)


def test_a_created_again_topic_is_refused_even_when_its_offsets_would_fit() -> None:
    with pytest.raises(DataLossError, match="--accept-recreated orders"):
        ask(ledger=row(50, topic_id="B"), committed=50)


def test_a_created_again_topic_is_refused_when_only_another_partition_is_in_the_ledger() -> None:
    with pytest.raises(DataLossError, match="deleted and created again"):
        ask(topic_row=row(50, topic_id="B"))


def test_an_accepted_topic_starts_at_its_beginning_in_the_next_epoch() -> None:
    verdict = ask(ledger=row(50, topic_id="B", epoch=1, ledger_epoch=5), committed=50, accept_recreated=True)
    assert verdict == Verdict(10, Reason.RECREATED, 2, 6)


def test_sources_without_topic_ids_are_not_taken_for_created_again() -> None:
    assert ask(ledger=row(topic_id=""), committed=50).reason is Reason.RESUME
    assert ask(ledger=row(), committed=50, horizon=Horizon(0, 100, "")).reason is Reason.RESUME
