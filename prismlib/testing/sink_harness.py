"""What the suites for sinks ask of a plugin author, and the steps that their tests share. Needs pytest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import pytest

from prismlib.errors import RecordError
from prismlib.records import Documents, LedgerRow, Partition, Retry, WriteResult
from prismlib.stages.sink import ClaimsWorker, KeepsLedger, Sink, Transactional
from prismlib.testing.clauses import require

SOURCE = Partition("conformance-source", 0)


class SinkHarness(Protocol):
    """What a plugin author supplies. One harness serves one test, with an empty destination.

    Attributes:
        patience: seconds to give ``flush``; generous.
    """

    patience: float

    def make_sink(self, worker: str) -> Sink:
        """A sink that is not open yet; a later one of the same worker is its successor.

        A test closes what it opened unless it fails first: a fixture that yields closes everything once more.
        """
        ...

    def good(self, number: int) -> bytes:
        """An encoded body that can be written, different for each number."""
        ...

    def bad(self) -> bytes | None:
        """A body that the server refuses for good, or None where it takes everything."""
        ...

    def read_back(self) -> Sequence[tuple[str, bytes]]:
        """What a reader finds now: id (of a versioned sink) or key, and the body with documented changes undone."""
        ...

    def busy(self, ids: Sequence[str]) -> AbstractContextManager[None] | None:
        """Inside it the server cannot take these documents now, or None where that never happens."""
        ...

    def unreachable(self) -> AbstractContextManager[None] | None:
        """Inside it the server does not answer, or None where there is no server."""
        ...


class TransactionalHarness(SinkHarness, Protocol):
    """What a sink that is Transactional needs besides."""

    def member(self, *, stale: bool = False) -> object:
        """Token of a live group member that owns ``SOURCE``; with ``stale``, one that the broker refuses."""
        ...

    def committed(self) -> int | None:
        """The group's committed next offset of ``SOURCE``."""
        ...


def documents(sink: Sink, pairs: Sequence[tuple[str, bytes | None]], versions: Sequence[int] = ()) -> Documents:
    """Documents for ``sink`` with these keys (and ids, if it is versioned) and bodies."""
    names, bodies = [name for name, _ in pairs], [body for _, body in pairs]
    offsets = list(range(len(pairs)))
    return Documents(
        sink.policy.stream,
        [SOURCE] * len(pairs),
        offsets,
        [name.encode() for name in names],
        bodies,
        names if sink.policy.versioned else (),
        (list(versions) or [offset + 1 for offset in offsets]) if sink.policy.versioned else (),
    )


def deliver(harness: SinkHarness, sink: Sink, given: Documents) -> WriteResult:
    """Write as the runner does: in a transaction where there are some, with a flush where the sink buffers."""
    begin(sink)
    result = write_all(harness, sink, given)
    commit(harness, sink)
    return result


def write_all(harness: SinkHarness, sink: Sink, *calls: Documents) -> WriteResult:
    """One write for each, with a flush behind them where the sink buffers; positions count through all of them.

    A sink that buffers may name a document at once, as one that is too large, or when it is flushed; AssertionError when
    it does both.
    """
    rejected: dict[int, RecordError] = {}
    retry: dict[int, Retry] = {}
    first = 0
    for call in calls:
        result = sink.write(call)
        rejected |= {first + place: error for place, error in result.rejected.items()}
        retry |= {first + place: one for place, one in result.retry.items()}
        first += len(call)
    if sink.policy.buffers:
        flushed = sink.flush(harness.patience)
        twice = sorted((rejected.keys() | retry.keys()) & (flushed.rejected.keys() | flushed.retry.keys()))
        require(not twice, f"documents {twice} are named by write, and by flush again")
        rejected |= flushed.rejected
        retry |= flushed.retry
    return WriteResult(rejected, retry)


def begin(sink: Sink) -> None:
    """Begin, where there are transactions."""
    if isinstance(sink, Transactional):
        sink.begin()


def commit(harness: SinkHarness, sink: Sink) -> None:
    """Commit, where there are transactions."""
    if isinstance(sink, Transactional):
        member = getattr(harness, "member", None)
        require(member is not None, "the sink is Transactional, so its harness has to be a TransactionalHarness")
        if member is not None:
            sink.commit({SOURCE: 1}, member(), [])


def opened(harness: SinkHarness) -> Sink:
    """A sink of worker 1, open."""
    sink = harness.make_sink("1")
    sink.open()
    return sink


def opened_versioned(harness: SinkHarness) -> Sink:
    """The same, or skip the test when it is not versioned."""
    sink = opened(harness)
    if not sink.policy.versioned:
        sink.close()
        pytest.skip("the sink is not versioned")
    return sink


class TransactionalSink(Sink, Transactional, Protocol):
    """Both at once."""


def opened_transactional(harness: SinkHarness) -> TransactionalSink:
    """The same; AssertionError when it is not Transactional."""
    sink = opened(harness)
    require(isinstance(sink, Transactional), f"{type(sink).__name__} has no begin, commit and abort")
    return sink  # type: ignore[return-value]  # just checked; the type system cannot intersect two Protocols


def bad_body(harness: SinkHarness) -> bytes:
    """The harness' bad body, or skip the test when there is none."""
    bad = harness.bad()
    if bad is None:
        pytest.skip("the server refuses no document")
    return bad


def hand_over(harness: SinkHarness, sink: Sink, name: str) -> None:
    """Write one good document and flush; AssertionError unless it was taken."""
    result = write_all(harness, sink, documents(sink, [(name, harness.good(int(name)))]))
    require(not result.rejected and not result.retry, f"a good document was answered with {result}")


def state(harness: TransactionalHarness, sink: Sink) -> tuple[list[str], int | None, int | None]:
    """Keys that a reader finds, the committed offset and the ledger's next offset of ``SOURCE``."""
    rows: Mapping[Partition, LedgerRow] = ledger(sink).load_ledger([SOURCE])
    row = rows.get(SOURCE)
    return sorted(name for name, _ in harness.read_back()), harness.committed(), row.next_offset if row else None


def ledger(sink: Sink) -> KeepsLedger:
    """The sink as what keeps its ledger."""
    if not isinstance(sink, KeepsLedger):
        raise AssertionError(f"{type(sink).__name__} has no load_ledger and save_ledger")  # noqa: TRY004 - a finding
    return sink


def claims(sink: Sink) -> ClaimsWorker:
    """The sink as what claims its worker's name."""
    if not isinstance(sink, ClaimsWorker):
        raise AssertionError(f"{type(sink).__name__} has no check_claim")  # noqa: TRY004 - a finding
    return sink


def ledger_row(partition: Partition, next_offset: int, ledger_epoch: int = 0) -> LedgerRow:
    """A row with every column set."""
    return LedgerRow(
        partition,
        next_offset,
        epoch=2,
        topic_id="conformance-topic",
        timestamp_ms=1_700_000_000_000 + next_offset,
        ledger_epoch=ledger_epoch,
        written_ms=1_700_000_000_000,
        schema_id=2_147_483_647,
        mapping="conformance-mapping",
    )
