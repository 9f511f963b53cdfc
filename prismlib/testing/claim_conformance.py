"""Conformance of sinks that claim their worker's name. Needs pytest.

class TestMySink(SinkConformance, LedgerConformance, ClaimConformance):
@pytest.fixture
def harness(self) -> SinkHarness:
return MyHarness()
"""

from __future__ import annotations

from prismlib.errors import FencedError
from prismlib.testing.clauses import proves, require
from prismlib.testing.sink_harness import SOURCE, SinkHarness, claims, ledger, ledger_row, opened

__all__ = ["ClaimConformance"]


class ClaimConformance:
    """The clauses ``CLM`` of :class:`prismlib.stages.Sink`, for sinks that claim their worker's name."""

    @proves("CLM-01")
    def test_clm_01_a_worker_finds_out_that_it_has_a_successor(self, harness: SinkHarness) -> None:
        first, other = opened(harness), harness.make_sink("2")
        other.open()
        for sink in (first, other):
            claims(sink).check_claim()
        successor = opened(harness)
        for _ in range(2):
            try:
                claims(first).check_claim()
            except FencedError:
                pass
            else:
                raise AssertionError("a worker whose successor is open was told that the name is still its own")
            for sink in (successor, other):
                claims(sink).check_claim()
        for sink in (first, other, successor):
            sink.close()

    @proves("CLM-02")
    def test_clm_02_a_worker_with_a_successor_stores_no_ledger_row(self, harness: SinkHarness) -> None:
        first = opened(harness)
        ledger(first).save_ledger([ledger_row(SOURCE, 5)])
        successor = opened(harness)
        try:
            ledger(first).save_ledger([ledger_row(SOURCE, 9)])
        except FencedError:
            pass
        else:
            raise AssertionError("a worker whose successor is open stored a ledger row")
        found = ledger(successor).load_ledger([SOURCE])[SOURCE]
        require(found == ledger_row(SOURCE, 5), f"the row is {found}, expected {ledger_row(SOURCE, 5)}")
        for sink in (first, successor):
            sink.close()
