"""Writing what became of retried letters: documents, new letters, marks; together where the sink has transactions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias, cast

from prismlib.errors import RecordError, RetryableError
from prismlib.records import Documents, WriteResult
from prismlib.runtime.assemble import RETRY_WORKER, RetryStages
from prismlib.runtime.dead_letters import Fate, Letter, LetterBox, Mark, StageName, refused
from prismlib.runtime.letters import LetterId, StoredLetter
from prismlib.runtime.route import Prepared, Route
from prismlib.runtime.transaction import TransactionalSink
from prismlib.stages import Sink, Transactional

FLUSH_SECONDS: Final = 30.0

Patiently: TypeAlias = Callable[[Callable[[], None]], None]
"""Takes a step, again while servers are away."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a letter fails again."""

    stage: StageName
    error: RecordError


@dataclass(slots=True)
class Part:
    """Letters of one source, prepared together.

    Attributes:
        route: that of their topic.
        epoch: of their topic.
        letters: the rows of ``prepared.batch``.
        prepared: what became of their records before the sink.
        failures: the rows that fail again; those that the sink refuses are added.
        older: other open letters of the same record, which are marked too.
        send: False once the servers have refused its only document.
    """

    route: Route
    epoch: int
    letters: list[StoredLetter]
    prepared: Prepared
    failures: dict[int, Failure]
    older: Mapping[LetterId, Sequence[LetterId]]
    send: bool = True


class RefusedError(Exception):
    """The servers are there and refuse a record of the transaction."""

    def __init__(self, error: RecordError) -> None:
        super().__init__(str(error))
        self.error = error


class Settlement:
    """Writes parts with the sink of the pipeline."""

    def __init__(self, stages: RetryStages, patiently: Patiently) -> None:
        """The stages are opened by whoever made them."""
        self._stages = stages
        self._patiently = patiently
        self._transaction: Literal["none", "empty", "used"] = "none"

    def begin(self) -> None:
        """Drop what is open and begin a transaction: whoever was here meanwhile is fenced, and all of theirs is decided.

        Raises:
            FencedError, RetryableError: as the sink's ``begin`` and ``abort``.
        """
        sink = cast("TransactionalSink", self._stages.sink)
        if self._transaction != "none":
            sink.abort()
            self._transaction = "none"
        sink.begin()
        self._transaction = "empty"

    def write(self, parts: Sequence[Part]) -> None:
        """Write documents, new letters and marks.

        Raises:
            RefusedError: the servers refuse a record, and nothing was written.
            RetryableError: servers are away. With a transactional sink it is not known whether these parts were written, nor
                whether the sink became somebody else's meanwhile: call ``begin``, and look at the marks again.
        """
        if not parts:
            return
        stages = self._stages
        if isinstance(stages.sink, Transactional):
            self._transact(parts, cast("TransactionalSink", stages.sink))
        elif stages.dead_letters is not None:
            for part in parts:
                self._patiently(lambda part=part: _send(part, stages.sink, flush=True))  # type: ignore[misc]  # binds the loop's value
            self._store([self._letters(part) for part in parts], stages.dead_letters)
            # Not before the new letters are durable: a mark alone would lose its record.
            self._store([self._marks(part) for part in parts], stages.dead_letters)

    def _transact(self, parts: Sequence[Part], sink: TransactionalSink) -> None:
        if self._transaction != "empty":
            self.begin()
        self._transaction = "used"
        for part in parts:
            _send(part, sink, flush=False)
        for part in parts:
            for documents in (self._letters(part), self._marks(part)):
                self._taken(sink.write(documents))
        flushed = sink.flush(FLUSH_SECONDS)
        for error in flushed.rejected.values():
            if any(part.send and len(part.prepared.documents) for part in parts):
                raise RefusedError(error)
        self._taken(flushed)
        sink.commit({}, None, [])
        self._transaction = "none"

    def _store(self, many: Sequence[Documents], sink: Sink) -> None:
        """Make letters or marks durable, outside any transaction."""
        if not any(map(len, many)):
            return

        def attempt() -> None:
            for documents in many:
                self._taken(sink.write(documents))
            self._taken(sink.flush(FLUSH_SECONDS))

        self._patiently(attempt)

    def _taken(self, result: WriteResult) -> None:
        """Raise unless letters and marks were taken."""
        for error in result.rejected.values():
            raise refused(self._stages.config.dead_letter_topic, error.reason)
        _raise_retries(result)

    def _letters(self, part: Part) -> Documents:
        """New letters for those that failed again, with their history."""
        whole = replace(part.prepared.batch, headers=[letter.headers for letter in part.letters])
        return self._box(part).documents(
            [
                Letter(whole, row, failure.stage, failure.error, str(part.letters[row].id))
                for row, failure in sorted(part.failures.items())
            ]
        )

    def _marks(self, part: Part) -> Documents:
        marks: list[Mark] = []
        dropped = set(part.prepared.dropped)
        for row, letter in enumerate(part.letters):
            fate: Fate = "failed" if row in part.failures else "dropped" if row in dropped else "delivered"
            marks += [
                Mark(str(one), fate, letter.key, letter.origin, letter.offset)
                for one in (*part.older.get(letter.id, ()), letter.id)
            ]
        return self._box(part).marks(marks)

    def _box(self, part: Part) -> LetterBox:
        config = self._stages.config
        return LetterBox(
            config.dead_letter_topic,
            config.name,
            RETRY_WORKER,
            lambda _, value: part.route.schema_id(value),
            lambda _: part.epoch,
        )


def _send(part: Part, sink: Sink, *, flush: bool) -> None:
    """Write the documents of a part, and note what the sink refuses at once."""
    documents = part.prepared.documents
    if not part.send or not len(documents):
        return
    result = sink.write(documents)
    _raise_retries(result)
    refused = dict(result.rejected)
    if flush and sink.policy.buffers:
        flushed = sink.flush(FLUSH_SECONDS)
        _raise_retries(flushed)
        refused |= flushed.rejected
    for position, error in refused.items():
        part.failures[part.prepared.rows[position]] = Failure("write", error)


def _raise_retries(result: WriteResult) -> None:
    for retry in result.retry.values():
        raise RetryableError(retry.reason, retry_after=retry.retry_after)
