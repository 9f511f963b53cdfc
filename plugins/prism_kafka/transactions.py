"""One worker's transactional producer, and what each way of failing means.

librdkafka says ``_FENCED`` both when a successor took over and when the broker ended a transaction that was open for
longer than its timeout, for instance while the broker was away. Which of the two it was, the ledger topic tells: see
:class:`prism_kafka.ledger.LedgerTopic`. After anything fatal the client is dropped and a new one made; its
``init_transactions`` ends whatever the old one left open, so that nothing is ever in doubt.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Final, NoReturn

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition

from prism_kafka.cluster import make_client
from prism_kafka.failures import BAD_RECORD, FORBIDDEN, TRANSIENT, UNKNOWN_TOPIC, BrokerLog, client_logger, kafka_error
from prismlib.errors import ConfigError, FatalError, FencedError, RetryableError, UnreachableError
from prismlib.records import Headers

log = logging.getLogger(__name__)

PATIENCE: Final = 20.0
"""Seconds to try one step of a transaction again: shorter than the default transaction.timeout.ms."""

_STEP_SECONDS: Final = 10.0
_OFFSETS_SECONDS: Final = 5.0  # for a step of milliseconds, in which the client hangs most: see _returning
_STUCK_FACTOR: Final = 1.5
_QUEUE_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Failure:
    """One record that was handed over and not delivered."""

    error: KafkaError
    stream: str
    key: bytes | None
    value: bytes | None

    @property
    def bad_record(self) -> bool:
        """The record is at fault, and not the servers."""
        return self.error.code() in BAD_RECORD


class TransactionalProducer:
    """Transactions of one ``transactional.id``.

    Attributes:
        failures: records of the open transaction that were not delivered; it can only be aborted then.
        in_transaction: one is open, or its end is not known.
    """

    def __init__(self, settings: dict[str, Any], is_ours: Callable[[], bool]) -> None:
        """Nothing is connected yet.

        Args:
            settings: of :func:`prism_kafka.settings.transactional_settings`.
            is_ours: whether no successor has claimed this worker's name; may raise RetryableError.
        """
        self._settings = settings
        self._name = str(settings["transactional.id"])
        self._is_ours = is_ours
        self._producer: Producer | None = None
        self.failures: list[Failure] = []
        self.in_transaction = False

    def open(self) -> None:
        """Make the client, fence predecessors and end what they left open.

        Raises:
            ConfigError: the broker refuses the settings, or this client's rights do not suffice.
            UnreachableError: no transaction coordinator answers.
        """
        producer = make_client(
            Producer, self._settings, on_delivery=self._on_delivery, error_cb=BrokerLog(), logger=client_logger()
        )
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                _patiently(producer.init_transactions)
                break
            except _StuckError as stuck:
                raise UnreachableError(f"transactions of {self._name} cannot begin: {stuck}") from stuck
            except KafkaException as error:
                reason = kafka_error(error)
                if not (reason.retriable() or reason.code() in TRANSIENT):
                    hint = "; grant this client the right to write with it" if reason.code() in FORBIDDEN else ""
                    raise ConfigError(f"transactions of {self._name} cannot begin: {reason.str()}{hint}") from error
                if time.monotonic() > deadline:
                    raise UnreachableError(
                        f"no transaction coordinator for {self._name} answered in {PATIENCE:.0f} s: {reason.str()}"
                    ) from error
        self._producer = producer

    def begin(self) -> None:
        """Start a transaction. Raises FencedError, RetryableError."""
        producer = self._ready()
        self.failures.clear()
        with self._failing("begin"):
            producer.begin_transaction()
        self.in_transaction = True

    def produce(
        self,
        stream: str,
        keys: Iterable[bytes | None],
        bodies: Iterable[bytes | None],
        headers: Sequence[Headers | None] = (),
    ) -> None:
        """Hand over records; waits for room in the client's queue.

        Raises:
            RetryableError: the transaction cannot go on.
            FencedError: a successor took over.
        """
        producer = self._current()
        produce = producer.produce
        with self._failing("write"):
            if headers:
                for key, body, header in zip(keys, bodies, headers, strict=True):
                    self._produce_one(lambda k=key, b=body, h=header: produce(stream, b, k, headers=_list(h)))  # type: ignore[misc]  # the defaults bind the loop's values
            else:
                waiting = zip(keys, bodies, strict=True)
                while True:
                    try:
                        for key, body in waiting:
                            produce(stream, body, key)
                        break
                    except BufferError:
                        self._produce_one(lambda k=key, b=body: produce(stream, b, k))  # type: ignore[misc]  # as above
            producer.poll(0)

    def flush(self, timeout: float) -> None:
        """Wait until every record is delivered or in ``failures``. Raises RetryableError when not all are."""
        producer = self._current()
        with self._failing("flush"):
            left = producer.flush(timeout)
        if left:
            raise RetryableError(f"{left} records were not acknowledged by the Kafka broker in {timeout:.0f} s")

    def commit(self, next_offsets: Sequence[TopicPartition], group: object) -> None:
        """Commit offsets and records. Raises as :meth:`Transactional.commit`."""
        producer = self._current()
        with self._failing("commit"):
            if next_offsets:
                send = producer.send_offsets_to_transaction
                _patiently(lambda seconds: send(list(next_offsets), group, seconds), _OFFSETS_SECONDS)
            _patiently(producer.commit_transaction)
        self.in_transaction = False

    def broken_by(self) -> KafkaError | None:
        """Why the client has given up the open transaction; None while it has not.

        The reports of its records do not say: all of them are "purged". Beginning once more is refused whatever the state,
        and the refusal tells.
        """
        if self._producer is None or not self.in_transaction:
            return None
        try:
            self._producer.begin_transaction()
        except KafkaException as exception:
            error = kafka_error(exception)
            return None if error.code() == KafkaError._STATE else error  # noqa: SLF001  # a code of the client itself
        raise AssertionError("a transaction was begun inside another")

    def abort(self) -> None:
        """Drop the open transaction, if there is one. Raises FencedError, RetryableError."""
        if not self.in_transaction:
            return
        producer = self._producer
        if producer is not None:
            try:
                _patiently(producer.abort_transaction)
                producer.poll(0)  # the reports of what the abort dropped
            except _StuckError:
                self._abandon()
            except KafkaException as exception:
                error = kafka_error(exception)
                if error.retriable() or error.code() in TRANSIENT:
                    raise RetryableError(
                        f"the transaction of {self._name} cannot be aborted yet: {error.str()}"
                    ) from exception
                self._discard()
            else:
                if any(failure.bad_record for failure in self.failures):
                    # The client goes on counting from records that the broker refused, which then refuses all others.
                    self._discard()
        self._ready()  # a new client ends what the old one left open
        self.failures.clear()
        self.in_transaction = False

    def close(self) -> None:
        """Abort what is open, so that readers need not wait for its timeout, and let go. Never raises."""
        producer = self._producer
        if producer is not None and self.in_transaction:
            try:
                _patiently(producer.abort_transaction, _STEP_SECONDS / 2, patience=0.0)
            except (KafkaException, _StuckError) as error:
                log.warning("transaction left open at the end", extra={"reason": str(error)})
        self.in_transaction = False
        self._discard()

    def _current(self) -> Producer:
        """The client that the open transaction was begun with."""
        if self._producer is None:
            raise RetryableError(f"the transaction of {self._name} was ended by the broker, or was never begun")
        return self._producer

    def _ready(self) -> Producer:
        """The client; a new one after a fatal failure, unless a successor has taken over."""
        if self._producer is None:
            self._check_ours(None)
            try:
                self.open()
            except UnreachableError as error:
                raise RetryableError(str(error)) from error
            self._check_ours(None)
        producer = self._producer
        if producer is None:
            raise AssertionError("open() made it or raised")
        return producer

    def _check_ours(self, cause: Exception | None) -> None:
        if not self._is_ours():
            self._discard()
            raise FencedError(
                f"another process has taken the place of {self._name}: two workers of a pipeline must not have the same"
                " name"
            ) from cause

    @contextmanager
    def _failing(self, step: str) -> Generator[None]:
        """Say what a failure of the client means."""
        try:
            yield
        except KafkaException as exception:
            self._fail(step, exception)
        except _StuckError as error:
            self._abandon()
            raise RetryableError(f"the transaction of {self._name} failed to {step}: {error}") from error
        except SystemError as error:
            # A fatal error that meets a delivery callback: confluent-kafka 2.16 calls it with the exception pending.
            self._discard()
            self._check_ours(error)
            raise RetryableError(
                f"the transaction of {self._name} failed to {step}, the broker has ended it"
            ) from error

    def _fail(self, step: str, exception: KafkaException) -> NoReturn:
        error = kafka_error(exception)
        what = f"the transaction of {self._name} failed to {step}: {error.str()}"
        code = error.code()
        if error.fatal() or code in {KafkaError._FATAL, KafkaError._FENCED}:  # noqa: SLF001  # codes of the client itself
            self._discard()
            self._check_ours(exception)
            raise RetryableError(f"{what}; the broker has ended it") from exception
        if code in FORBIDDEN or code in UNKNOWN_TOPIC:
            raise FatalError(what) from exception
        if step == "commit" and not error.txn_requires_abort():
            self._discard()  # how the transaction ended is not known: the next client's first step settles it
        raise RetryableError(what) from exception

    def _discard(self) -> None:
        """Drop the client with all that it still holds."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()  # not polled any more: after a fatal error that raises
        self.failures.clear()

    def _abandon(self) -> None:
        """Leave a client that does not come back to the thread that waits for it; its successor's first step fences it."""
        self._producer = None
        self.failures.clear()

    def _produce_one(self, produce: Callable[[], None]) -> None:
        """Produce one record, waiting for room."""
        deadline = time.monotonic() + _QUEUE_SECONDS
        while True:
            try:
                return produce()
            except BufferError as error:
                if time.monotonic() > deadline:
                    raise RetryableError(
                        f"the queue of {self._name} stayed full for {_QUEUE_SECONDS:.0f} s: the Kafka broker takes too long"
                    ) from error
                self._current().poll(0.05)

    def _on_delivery(self, error: KafkaError, message: Message[Any, Any]) -> None:
        """Called for failures alone, as ``delivery.report.only.error`` says."""
        self.failures.append(Failure(error, message.topic() or "", message.key(), message.value()))


class _StuckError(Exception):
    """A call into the client did not return."""


def _patiently(step: Callable[[float], None], seconds: float = _STEP_SECONDS, patience: float = PATIENCE) -> None:
    """Take a step of a transaction, again while the client says that this may help.

    Args:
        step: takes the seconds that it may last.
        seconds: for each try.
        patience: seconds after which it is not tried again.

    Raises:
        KafkaException: the step failed.
        _StuckError: the client did not return; it must not be used any more.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            return _returning(step, seconds)
        except KafkaException as exception:
            if not kafka_error(exception).retriable() or time.monotonic() > deadline:
                raise


def _returning(step: Callable[[float], None], seconds: float) -> None:
    """Call into the client from a thread of its own.

    librdkafka 2.16 stays in ``send_offsets_to_transaction`` for ever, whatever its timeout, when the connection that it
    knew to the group's coordinator was closed for good: often, when a broker is restarted in the middle of a transaction
    (its issues 5511 and 5456).
    """
    answer: SimpleQueue[BaseException | None] = SimpleQueue()

    def run() -> None:
        try:
            step(seconds)
        except BaseException as error:  # noqa: BLE001  # handed to the thread that waits
            answer.put(error)
        else:
            answer.put(None)

    Thread(target=run, name="prism-transaction", daemon=True).start()
    try:
        error = answer.get(timeout=seconds * _STUCK_FACTOR)
    except Empty:
        raise _StuckError(f"the Kafka client did not return for {seconds * _STUCK_FACTOR:.1f} s") from None
    if error is not None:
        raise error


def _list(headers: Headers | None) -> list[tuple[str, str | bytes | None]] | None:
    return None if headers is None else list(headers)
