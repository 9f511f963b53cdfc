"""Records as the suites for sources and readers write them, and what came of them."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from prismlib.records import Headers, RecordBatch
from prismlib.testing.clauses import require


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Written:
    """One record as a producer writes it.

    Attributes:
        value: None for a tombstone.
        key: record key.
        headers: record headers.
        timestamp_ms: milliseconds since the epoch; now by default, since a broker may delete what is old at any moment.
    """

    value: bytes | None
    key: bytes | None = None
    headers: Headers | None = None
    timestamp_ms: int = field(default_factory=now_ms)


def numbered(partition: int, count: int) -> list[Written]:
    """Records that tell from their keys where they belong."""
    return [Written(b"value %d" % number, b"%d-%d" % (partition, number)) for number in range(count)]


def odd_records() -> list[Written]:
    """Every kind of record that a careless reader changes."""
    now = now_ms()
    return [
        Written(b"plain", b"key", None, now - 1),
        Written(None, b"tombstone", None, now - 2),
        Written(b"no key", None, None, now - 3),
        Written(b"", b"", None, now - 4),
        Written(b"\x00\xff\n", b"\x00", [("a", b"1"), ("a", b"2"), ("b", None), ("c", b"")], now - 5),
    ]


def arrived(batches: Iterable[RecordBatch]) -> list[Written]:
    """What a producer would have to write for these batches to be read."""
    return [
        Written(value, key, [(name, content) for name, content in headers] if headers else None, stamp)
        for batch in batches
        for value, key, headers, stamp in zip(batch.values, batch.keys, batch.headers, batch.timestamps_ms, strict=True)
    ]


def require_equal_columns(batch: RecordBatch) -> None:
    """Columns of equal length, offsets ascending; AssertionError otherwise."""
    lengths = {len(column) for column in (batch.offsets, batch.timestamps_ms, batch.keys, batch.values, batch.headers)}
    require(len(lengths) == 1, f"the columns of one batch have the lengths {sorted(lengths)}")
    require(list(batch.offsets) == sorted(set(batch.offsets)), f"offsets {list(batch.offsets)} do not ascend")
