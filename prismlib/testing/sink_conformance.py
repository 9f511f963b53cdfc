"""Conformance of sinks. Needs pytest.

    class TestMySink(SinkConformance):
        @pytest.fixture
        def harness(self) -> SinkHarness:
            return MyHarness()

A sink that is Transactional inherits :class:`TransactionalConformance` too, one that keeps the ledger
:class:`LedgerConformance`, one that is ClaimsWorker
:class:`prismlib.testing.claim_conformance.ClaimConformance`; the same harness serves all. Documents of a transactional sink are written inside a
transaction, which the suite begins and commits.
"""

from __future__ import annotations

import copy

import pytest

from prismlib.errors import FencedError, RecordError, RetryableError
from prismlib.records import LedgerNote, LedgerRow, Partition
from prismlib.stages.sink import Transactional
from prismlib.testing.clauses import proves, require
from prismlib.testing.sink_harness import (
    SOURCE,
    SinkHarness,
    TransactionalHarness,
    bad_body,
    begin,
    commit,
    deliver,
    documents,
    hand_over,
    ledger,
    ledger_row,
    opened,
    opened_transactional,
    opened_versioned,
    state,
    write_all,
)

__all__ = [
    "SOURCE",
    "LedgerConformance",
    "SinkConformance",
    "SinkHarness",
    "TransactionalConformance",
    "TransactionalHarness",
]


class SinkConformance:
    """The clauses ``SNK`` of :class:`prismlib.stages.Sink`."""

    @proves("SNK-01")
    def test_snk_01_what_is_not_named_is_durable(self, harness: SinkHarness) -> None:
        sink = opened(harness)
        sent = {str(number): harness.good(number) for number in range(5)}
        result = deliver(harness, sink, documents(sink, list(sent.items())))
        require(not result.rejected and not result.retry, f"good documents were answered with {result}")
        found = dict(harness.read_back())
        require(found == sent, f"written and answered as delivered: {sent}; a reader finds {found}")
        sink.close()

    @proves("SNK-02")
    def test_snk_02_a_bad_document_is_rejected_and_its_neighbours_delivered(self, harness: SinkHarness) -> None:
        bad = bad_body(harness)
        sink = opened(harness)
        given = [("0", harness.good(0)), ("1", bad), ("2", harness.good(2))]
        result = deliver(harness, sink, documents(sink, given))
        require(list(result.rejected) == [1], f"document 1 of 3 is bad, and rejected are {list(result.rejected)}")
        error = result.rejected[1]
        require(isinstance(error, RecordError), f"the reason is a {type(error).__name__}, not a RecordError")
        require(not result.retry, f"nothing was busy, and retry is {dict(result.retry)}")
        found = sorted(harness.read_back())
        require(found == [given[0], given[2]], f"expected the two good documents, a reader finds {found}")
        sink.close()

    @proves("SNK-03")
    def test_snk_03_what_cannot_be_taken_now_is_a_retry(self, harness: SinkHarness) -> None:
        sink = opened(harness)
        given = documents(sink, [("0", harness.good(0)), ("1", harness.good(1))])
        busy = harness.busy(["1"])
        if busy is None:
            sink.close()
            pytest.skip("the server is never busy")
        with busy:
            result = deliver(harness, sink, given)
        require(not result.rejected, f"a busy server's document was rejected: {dict(result.rejected)}")
        require(list(result.retry) == [1], f"document 1 could not be taken, and retry names {list(result.retry)}")
        later = deliver(harness, sink, given)
        require(not later.rejected and not later.retry, f"when the server is idle again, the answer is {later}")
        require("1" in dict(harness.read_back()), "the retried document did not arrive")
        sink.close()

    @proves("SNK-04")
    def test_snk_04_positions_are_those_of_the_call(self, harness: SinkHarness) -> None:
        bad = bad_body(harness)
        sink = opened(harness)
        good = harness.good(0)
        first = documents(sink, [("0", good), ("1", bad), ("2", good)])
        second = documents(sink, [("3", good), ("4", good), ("5", bad), ("6", good)])
        for call, at in ((first, 1), (second, 2), (first, 1)):
            result = deliver(harness, sink, call)
            require(list(result.rejected) == [at], f"position {at} is bad, and rejected are {list(result.rejected)}")
        if sink.policy.buffers:
            begin(sink)
            result = write_all(harness, sink, first, second)
            commit(harness, sink)
            require(
                sorted(result.rejected) == [1, 5],
                f"of 3 and 4 documents since the last flush 1 and 5 are bad, and rejected are {sorted(result.rejected)}",
            )
        sink.close()

    @proves("SNK-05")
    def test_snk_05_writing_again_does_not_fail(self, harness: SinkHarness) -> None:
        sink = opened(harness)
        given = [("0", harness.good(0)), ("1", harness.good(1))]
        for _ in range(2):
            result = deliver(harness, sink, documents(sink, given))
            require(not result.rejected and not result.retry, f"writing the same documents was answered with {result}")
        expected = sorted(given if sink.policy.versioned else given * 2)
        found = sorted(harness.read_back())
        require(found == expected, f"written twice, expected {expected}, a reader finds {found}")
        sink.close()

    @proves("SNK-06")
    def test_snk_06_the_higher_version_stays(self, harness: SinkHarness) -> None:
        sink = opened_versioned(harness)
        older, newer = harness.good(0), harness.good(1)
        for name, order in (("up", ((5, older), (9, newer))), ("down", ((9, newer), (5, older)))):
            for version, body in order:
                result = deliver(harness, sink, documents(sink, [(name, body)], [version]))
                require(not result.rejected and not result.retry, f"version {version} was answered with {result}")
        found = dict(harness.read_back())
        require(
            found == {"up": newer, "down": newer}, f"version 9 is {newer!r}, 5 is {older!r}; a reader finds {found}"
        )
        sink.close()

    @proves("SNK-07")
    def test_snk_07_none_deletes_and_a_stale_delete_does_not(self, harness: SinkHarness) -> None:
        sink = opened_versioned(harness)
        body = harness.good(0)
        steps: list[tuple[str, bytes | None, int]] = [
            ("gone", body, 5),
            ("gone", None, 6),
            ("gone", body, 5),
            ("kept", body, 5),
            ("kept", None, 4),
            ("never", None, 3),
            ("back", None, 5),
            ("back", body, 6),
        ]
        for name, step, version in steps:
            result = deliver(harness, sink, documents(sink, [(name, step)], [version]))
            require(not result.rejected and not result.retry, f"{name} at version {version} was answered with {result}")
        found = dict(harness.read_back())
        require(found == {"kept": body, "back": body}, f"expected `kept` and `back`, a reader finds {found}")
        sink.close()

    @proves("SNK-08")
    def test_snk_08_documents_are_not_changed_and_arrive_byte_for_byte(self, harness: SinkHarness) -> None:
        sink = opened(harness)
        given = documents(sink, [(str(number), harness.good(number)) for number in range(4)])
        before = copy.deepcopy(given)
        deliver(harness, sink, given)
        require(given == before, f"the documents were {before} and are {given}")
        found = dict(harness.read_back())
        for number in range(4):
            sent, arrived = harness.good(number), found.get(str(number))
            require(sent == arrived, f"sent was {sent!r}, a reader finds {arrived!r}")
        sink.close()

    @proves("SNK-09")
    def test_snk_09_an_unreachable_server_is_retryable(self, harness: SinkHarness) -> None:
        outage = harness.unreachable()
        if outage is None:
            pytest.skip("there is no server to lose")
        sink = opened(harness)
        given = documents(sink, [("0", harness.good(0))])
        with outage:
            try:
                result = deliver(harness, sink, given)
            except RetryableError:
                pass
            else:
                raise AssertionError(f"the server does not answer, and the sink says {result}")
        if isinstance(sink, Transactional):
            sink.abort()
        result = deliver(harness, sink, given)
        require(not result.rejected and not result.retry, f"after the outage the answer is {result}")
        found = harness.read_back()
        require(("0", harness.good(0)) in found, f"after the outage a reader finds {found}")
        sink.close()

    @proves("SNK-10")
    def test_snk_10_close_may_be_called_twice(self, harness: SinkHarness) -> None:
        sink = opened(harness)
        deliver(harness, sink, documents(sink, [("0", harness.good(0))]))
        sink.close()
        sink.close()
        found = list(harness.read_back())
        require(found == [("0", harness.good(0))], f"after close a reader finds {found}")


class TransactionalConformance:
    """The clauses ``TXN`` of :class:`prismlib.stages.Sink`, for sinks that are Transactional and keep the ledger."""

    @proves("TXN-01")
    def test_txn_01_nothing_is_visible_before_commit(self, harness: TransactionalHarness) -> None:
        sink = opened_transactional(harness)
        sink.begin()
        hand_over(harness, sink, "0")
        found = list(harness.read_back())
        require(not found, f"before commit a reader finds {found}")
        sink.commit({SOURCE: 1}, harness.member(), [])
        found = list(harness.read_back())
        require(found == [("0", harness.good(0))], f"after commit a reader finds {found}")
        sink.close()

    @proves("TXN-02")
    def test_txn_02_an_aborted_transaction_is_never_visible(self, harness: TransactionalHarness) -> None:
        sink = opened_transactional(harness)
        sink.begin()
        hand_over(harness, sink, "0")
        sink.abort()
        sink.begin()
        sink.write(documents(sink, [("1", harness.good(1))]))
        sink.abort()
        sink.begin()
        hand_over(harness, sink, "2")
        sink.commit({SOURCE: 1}, harness.member(), [])
        found = list(harness.read_back())
        require(found == [("2", harness.good(2))], f"0 and 1 were aborted, 2 committed; a reader finds {found}")
        sink.close()

    @proves("TXN-03")
    def test_txn_03_offsets_and_ledger_come_with_the_documents_or_not_at_all(
        self, harness: TransactionalHarness
    ) -> None:
        sink = opened_transactional(harness)
        sink.begin()
        hand_over(harness, sink, "0")
        sink.commit({SOURCE: 7}, harness.member(), [LedgerRow(SOURCE, 7)])
        together = state(harness, sink)
        require(together == (["0"], 7, 7), f"documents, offset and ledger are {together}, expected (['0'], 7, 7)")
        sink.begin()
        hand_over(harness, sink, "1")
        try:
            sink.commit({SOURCE: 9}, harness.member(stale=True), [LedgerRow(SOURCE, 9)])
        except RetryableError:
            sink.abort()
        else:
            raise AssertionError("a commit with the token of a member that lost the partition was accepted")
        after = state(harness, sink)
        require(after == together, f"a refused commit changed documents, offset and ledger from {together} to {after}")
        sink.begin()
        hand_over(harness, sink, "2")
        sink.commit({SOURCE: 8}, harness.member(), [LedgerRow(SOURCE, 8)])
        after = state(harness, sink)
        require(after == (["0", "2"], 8, 8), f"documents, offset and ledger are {after}, expected (['0', '2'], 8, 8)")
        sink.close()

    @proves("TXN-04")
    def test_txn_04_a_successor_fences_its_predecessor(self, harness: TransactionalHarness) -> None:
        for open_transaction in (True, False):
            zombie = opened_transactional(harness)
            if open_transaction:
                zombie.begin()
                hand_over(harness, zombie, "0")
            successor = opened_transactional(harness)
            try:
                if not open_transaction:
                    zombie.begin()
                    hand_over(harness, zombie, "0")
                zombie.commit({SOURCE: 5}, harness.member(), [LedgerRow(SOURCE, 5)])
            except FencedError:
                pass
            else:
                raise AssertionError("a worker whose successor is open committed a transaction")
            successor.begin()
            successor.commit({SOURCE: 3}, harness.member(), [LedgerRow(SOURCE, 3)])
            after = state(harness, successor)
            require(after == ([], 3, 3), f"documents, offset and ledger are {after}, expected ([], 3, 3)")
            zombie.close()
            successor.close()

    @proves("TXN-05")
    def test_txn_05_documents_can_be_committed_alone(self, harness: TransactionalHarness) -> None:
        sink = opened_transactional(harness)
        sink.begin()
        sink.commit({SOURCE: 3}, harness.member(), [LedgerRow(SOURCE, 3)])
        sink.begin()
        hand_over(harness, sink, "0")
        sink.commit({}, None, [])
        after = state(harness, sink)
        require(after == (["0"], 3, 3), f"documents, offset and ledger are {after}, expected (['0'], 3, 3)")
        sink.close()


class LedgerConformance:
    """The clauses ``LED`` of :class:`prismlib.stages.Sink`, for sinks that keep the ledger."""

    @proves("LED-01")
    def test_led_01_a_successor_loads_the_newest_rows(self, harness: SinkHarness) -> None:
        others = [Partition("conformance-source", 1), Partition("other.topic", 0)]
        sink = opened(harness)
        ledger(sink).save_ledger([ledger_row(SOURCE, 5), ledger_row(others[1], 3)])
        ledger(sink).save_ledger([ledger_row(SOURCE, 9)])
        sink.close()
        successor = opened(harness)
        found = dict(ledger(successor).load_ledger([SOURCE, *others]))
        expected = {SOURCE: ledger_row(SOURCE, 9), others[1]: ledger_row(others[1], 3)}
        require(found == expected, f"saved was {expected}, a successor loads {found}")
        successor.close()

    @proves("LED-02")
    def test_led_02_a_stale_row_is_passed_over(self, harness: SinkHarness) -> None:
        sink = opened(harness)
        rows = ledger(sink)
        steps = [
            (ledger_row(SOURCE, 9), ledger_row(SOURCE, 9), "the first row"),
            (ledger_row(SOURCE, 5), ledger_row(SOURCE, 9), "an older offset"),
            (ledger_row(SOURCE, 2, ledger_epoch=1), ledger_row(SOURCE, 2, ledger_epoch=1), "a reset backwards"),
            (ledger_row(SOURCE, 50), ledger_row(SOURCE, 2, ledger_epoch=1), "an older ledger epoch"),
            (ledger_row(SOURCE, 3, ledger_epoch=1), ledger_row(SOURCE, 3, ledger_epoch=1), "a newer offset"),
        ]
        for saved, expected, what in steps:
            rows.save_ledger([saved])
            found = rows.load_ledger([SOURCE]).get(SOURCE)
            require(found == expected, f"after saving {what}, {saved}, the row is {found}, expected {expected}")
        sink.close()

    @proves("LED-03")
    def test_led_03_a_successor_loads_every_note_oldest_first(self, harness: SinkHarness) -> None:
        notes = [
            LedgerNote("reset", 1_700_000_000_000, "ada@host", 'to 5 — "by hand"', SOURCE, first=5, end=9),
            LedgerNote("reset", 1_700_000_000_001, "ada@host", "to 5", SOURCE, first=5, end=9),
            LedgerNote("paused", 1_700_000_000_002, "1", "drift", stream=SOURCE.stream),
            LedgerNote("accepted-recreated", 1_700_000_000_003, "ada@host", "all of it"),
        ]
        sink = opened(harness)
        found = list(ledger(sink).load_notes())
        require(not found, f"no note was saved, and there are {found}")
        ledger(sink).save_ledger([], [notes[3]])
        ledger(sink).save_ledger([ledger_row(SOURCE, 5)], notes[:2])
        ledger(sink).save_ledger([], [notes[2]])
        sink.close()
        successor = opened(harness)
        found = list(ledger(successor).load_notes())
        require(found == notes, f"saved were the notes {notes}, a successor loads {found}")
        row = ledger(successor).load_ledger([SOURCE]).get(SOURCE)
        require(row == ledger_row(SOURCE, 5), f"beside the notes the row is {row}, expected {ledger_row(SOURCE, 5)}")
        successor.close()

    @proves("LED-04")
    def test_led_04_a_note_saved_again_is_there_once(self, harness: SinkHarness) -> None:
        note = LedgerNote("resumed", 1_700_000_000_000, "1", "the registry is back", stream=SOURCE.stream)
        sink = opened(harness)
        for _ in range(2):
            ledger(sink).save_ledger([ledger_row(SOURCE, 5)], [note])
        found = list(ledger(sink).load_notes())
        require(found == [note], f"one note was saved twice, and there are {found}")
        sink.close()

    @proves("LED-05")
    def test_led_05_a_note_is_stored_though_its_row_is_stale(self, harness: SinkHarness) -> None:
        note = LedgerNote("accepted-loss", 1_700_000_000_000, "ada@host", "gone", SOURCE, first=5, end=9)
        sink = opened(harness)
        ledger(sink).save_ledger([ledger_row(SOURCE, 9)])
        ledger(sink).save_ledger([ledger_row(SOURCE, 5)], [note])
        row, found = ledger(sink).load_ledger([SOURCE]).get(SOURCE), list(ledger(sink).load_notes())
        require(row == ledger_row(SOURCE, 9), f"a stale row that came with a note replaced the newer one: {row}")
        require(found == [note], f"a note came with a stale row, and there are {found}")
        sink.close()
