"""Facts about a pipeline as tests need them: one partition that has read 40 of 90 records, a day ago."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from prismlib.plugin.hookspecs import Retention
from prismlib.records import LedgerRow, Partition
from prismlib.runtime.offsets import Standing
from prismlib.stages import Horizon
from prismlib.watch.status import Facts, Letters

HOUR = 3_600_000
DAY = 24 * HOUR
NOW = 1_700_000_000_000
P, Q = Partition("in", 0), Partition("in", 1)
WEEK = Retention(7 * DAY)


def standing(
    ledger: int | None = 40,
    committed: int | None = 40,
    *,
    at: int = NOW - HOUR,
    start: int = 10,
    end: int = 90,
    start_ms: int = NOW - 2 * HOUR,
    partition: Partition = P,
    topic_row: LedgerRow | None = None,
    **row: Any,
) -> Standing:
    """One whose next record was written at ``at``, and the first one of the log at ``start_ms``."""
    known = None if ledger is None else LedgerRow(partition, ledger, **{"written_ms": NOW - DAY, **row})
    horizon = Horizon(start, end, "id", start_ms)
    return Standing(
        partition,
        horizon,
        known,
        committed,
        topic_row,
        at if ledger is not None else -1,
        at if committed is not None else -1,
    )


def facts(*standings: Standing, **changes: Any) -> Facts:
    made = Facts("shop", standings, (), ("worker 1",), {"in": WEEK, "other": WEEK}, 7 * DAY, Letters("dead", 0, 0))
    return replace(made, **changes)
