"""The Elasticsearch sink: versioned bulk writes to an alias, and the ledger beside them.

Ids and versions make every write safe to repeat, so this sink never has to know what an earlier attempt did.
``require_alias`` covers index operations only: a bulk of nothing but versioned deletes to a missing alias creates an index of
that name, unless the template that setup installs forbids it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from prism_elasticsearch.answers import ALL_DELIVERED, Outcome, read_items, refusal
from prism_elasticsearch.bulk import Bulk, build
from prism_elasticsearch.claims import Claim
from prism_elasticsearch.conflicts import ConflictJudge
from prism_elasticsearch.connection import Connection, check_version, for_commands
from prism_elasticsearch.generations import Generation, look_up, require_write_index
from prism_elasticsearch.ledger import Ledger
from prismlib.errors import FatalError
from prismlib.records import Documents, LedgerNote, LedgerRow, Partition, WriteResult
from prismlib.stages import WritePolicy


class ElasticsearchSink:
    """A Sink that is KeepsLedger and ClaimsWorker, see :mod:`prismlib.stages`. ``write`` may run in several threads."""

    def __init__(
        self,
        connection: Connection,
        alias: str,
        *,
        pipeline: str,
        worker: str = "1",
        ledger_index: str = "prism-ledger",
        max_in_flight: int = 3,
        max_documents: int = 2_000,
        max_bytes: int = 5 << 20,
        origin_topic: bool = False,
    ) -> None:
        """Nothing is asked of the server yet.

        Args:
            connection: to the cluster; closed with the sink.
            alias: where documents go.
            pipeline: whose ledger rows these are.
            worker: this worker's name in it; a later one of the same name fences this one.
            ledger_index: where they are kept.
            max_in_flight: writes at once.
            max_documents: documents per write.
            max_bytes: bytes of bodies per write.
            origin_topic: documents name the topic they come from, for pipelines that read several.
        """
        self.policy = WritePolicy(
            stream=alias, max_in_flight=max_in_flight, max_documents=max_documents, max_bytes=max_bytes, versioned=True
        )
        self._connection = connection
        self._alias = alias
        self._conflicts = ConflictJudge(connection)
        self._ledger = Ledger(connection, ledger_index, pipeline)
        self._claim = Claim(connection, ledger_index, pipeline, worker)
        self._origin_topic = origin_topic
        self._path = f"/{alias}/_bulk?require_alias=true&filter_path=errors,items.*.status,items.*.error"
        self._generation: Generation | None = None

    # --- Sink ----------------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Check server, alias and ledger, and claim the worker's name. Raises ConfigError, UnreachableError."""
        with for_commands():
            check_version(self._connection)
            self._generation = require_write_index(self._connection, self._alias)
            self._ledger.require()
            self._claim.make()

    def write(self, documents: Documents) -> WriteResult:
        """One bulk request, or more where the server takes a smaller one only. Raises RetryableError, FatalError."""
        bulk = build(documents, with_topic=self._origin_topic)
        outcome = Outcome(rejected=bulk.rejected)
        if bulk.lines:
            self._conflicts.remember_deletes(documents)
            alone = self._send(bulk, 0, len(bulk.lines), documents, outcome)
            if len(alone) == len(bulk.lines) > 1:
                raise FatalError(
                    f"Elasticsearch at {self._connection.name} refuses every bulk request to {self._alias!r}: "
                    f"{outcome.rejected[alone[0]].reason}"
                )
            if outcome.conflicts:
                verdicts = self._conflicts.judge(documents, outcome.conflicts)
                outcome.rejected |= verdicts.rejected
                outcome.retry |= verdicts.retry
        return WriteResult(outcome.rejected, outcome.retry)

    def flush(self, timeout: float) -> WriteResult:  # noqa: ARG002  # write waits for the answer: nothing is buffered
        """Nothing to wait for."""
        return WriteResult()

    def close(self) -> None:
        """Close connections."""
        self._connection.close()

    def _send(self, bulk: Bulk, start: int, stop: int, documents: Documents, outcome: Outcome) -> list[int]:
        """Send some of the documents; halve a request that is refused whole, down to the document at fault.

        Returns:
            The positions of documents that were refused although they were sent alone.
        """
        answer = self._connection.request("POST", self._path, bulk.body(start, stop), lines=True)
        if answer.status in {400, 413}:
            if stop - start > 1:
                middle = (start + stop) // 2
                return [
                    *self._send(bulk, start, middle, documents, outcome),
                    *self._send(bulk, middle, stop, documents, outcome),
                ]
            kind = "too-large" if answer.status == 413 else "bad-request"
            said = refusal(answer.status, kind, self._connection.reason(answer))
            outcome.rejected[bulk.positions[start]] = said
            return [bulk.positions[start]]
        if answer.status != 200:
            raise FatalError(
                f"Elasticsearch at {answer.url} refuses to write to {self._alias!r}: {self._connection.reason(answer)}; check url"
            )
        if not answer.data.startswith(ALL_DELIVERED):
            read_items(
                answer.json(),
                bulk.positions[start:stop],
                documents,
                outcome,
                alias=self._alias,
                server=answer.url,
                clean=self._connection.clean,
            )
        return []

    # --- KeepsLedger ---------------------------------------------------------------------------------------------------

    def load_ledger(self, partitions: Sequence[Partition]) -> Mapping[Partition, LedgerRow]:
        """Rows of the generation behind the alias. Raises RetryableError, DataLossError, ConfigError."""
        return self._ledger.load(partitions, self._current())

    def save_ledger(self, rows: Sequence[LedgerRow], notes: Sequence[LedgerNote] = ()) -> None:
        """Store notes, and rows for the generation that was written.

        Raises:
            RetryableError: not stored now.
            FatalError: the alias points to another generation since the sink was opened. What that one holds, its own rows
                say; taking over the progress made on the old one would skip records.
            FencedError: another process has become this worker.
        """
        self._claim.require()
        written = self._current()
        now = look_up(self._connection, self._alias)
        if now.write_index != written:
            target = f"{now.write_index.index} ({now.write_index.uuid})" if now.write_index else "no write index"
            raise FatalError(
                f"the alias {self._alias!r} moved from {written.index} ({written.uuid}) to {target} while this worker was "
                f"writing; start the worker again, so that it goes on from that generation's own ledger rows"
            )
        self._ledger.save(rows, written, notes)

    def load_notes(self) -> Sequence[LedgerNote]:
        """Notes of the pipeline, whatever the generation. Raises RetryableError, FatalError."""
        return self._ledger.load_notes()

    # --- ClaimsWorker --------------------------------------------------------------------------------------------------

    def check_claim(self) -> None:
        """One small request."""
        self._claim.require()

    def _current(self) -> Generation:
        if self._generation is None:
            self._generation = require_write_index(self._connection, self._alias)
        return self._generation
