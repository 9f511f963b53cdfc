"""Dead letters on a topic, for pipelines whose own sink is not on Kafka."""

from __future__ import annotations

import functools
import time
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from prism_kafka.cluster import Cluster, make_client
from prism_kafka.config import Options
from prism_kafka.failures import BAD_RECORD, FORBIDDEN, UNKNOWN_TOPIC, BrokerLog, client_logger, kafka_error
from prism_kafka.settings import RECORD_OVERHEAD, producer_settings
from prismlib.errors import FatalError, RetryableError, StageContractError, UnwritableError
from prismlib.records import Documents, WriteResult
from prismlib.stages import WritePolicy

_QUEUE_SECONDS: Final = 10.0


class KafkaDeadLetters:
    """A Sink that is durable once ``flush`` returns: an idempotent producer, acknowledged by all replicas."""

    def __init__(self, servers: str, options: Options, *, topic: str, pipeline: str, worker: str) -> None:
        """Nothing is connected yet.

        Args:
            servers: ``host:port`` of one broker or more, joined by commas.
            options: for librdkafka, as :mod:`prism_kafka.config` let them pass.
            topic: where dead letters go.
            pipeline: name of the pipeline.
            worker: this worker's name in it.

        Raises:
            ConfigError: librdkafka does not know an option or refuses its value.
        """
        self.policy = WritePolicy(stream=topic, buffers=True)
        self._topic = topic
        self._pipeline = pipeline
        self._servers = servers
        self._options = options
        self._client = f"prism-{pipeline}-{worker}-dead-letters"
        self._cluster = Cluster(servers, options, client=self._client)
        self._producer: Producer | None = None
        self._handed_over = 0
        self._failures: dict[int, KafkaError] = {}

    def open(self) -> None:
        """Check that the topic exists, and how large its records may be."""
        self._cluster.connect()
        limits = self._cluster.limits([self._topic], pipeline=self._pipeline)[self._topic]
        settings = producer_settings(self._servers, self._options, client=self._client, limits=[limits.max_bytes])
        self._producer = make_client(Producer, settings, error_cb=BrokerLog(), logger=client_logger())
        self.policy = WritePolicy(
            stream=self._topic, buffers=True, max_document_bytes=limits.max_bytes - RECORD_OVERHEAD
        )

    def write(self, documents: Documents) -> WriteResult:
        """Hand them to the producer."""
        producer = self._opened()
        headers = documents.headers or [None] * len(documents)
        try:
            for key, body, header in zip(documents.keys, documents.bodies, headers, strict=True):
                done = functools.partial(self._on_delivery, self._handed_over)
                self._produce(producer, documents.stream, body, key, None if header is None else list(header), done)
                self._handed_over += 1
        except RetryableError:
            self._drop(producer)
            raise
        return WriteResult()

    def flush(self, timeout: float) -> WriteResult:
        """Wait for the brokers; after a failure nothing is left behind, so that writing again writes once."""
        producer = self._opened()
        try:
            left = producer.flush(timeout)
        except KafkaException as error:
            self._drop(producer)
            raise RetryableError(f"{self._where()} cannot be written: {kafka_error(error).str()}") from error
        failures = dict(self._failures)
        if left:
            self._drop(producer)
            raise RetryableError(f"{left} records for {self._where()} were not acknowledged in {timeout:.0f} s")
        self._handed_over = 0
        self._failures.clear()
        for failure in failures.values():
            if failure.code() in FORBIDDEN or failure.code() in UNKNOWN_TOPIC:
                raise FatalError(f"{self._where()} cannot be written: {failure.str()}")
            if failure.code() not in BAD_RECORD:
                raise RetryableError(f"{self._where()} cannot be written: {failure.str()}")
        return WriteResult(
            {
                position: UnwritableError(f"the Kafka broker refuses the record: {failure.str()}", code="refused")
                for position, failure in failures.items()
            }
        )

    def close(self) -> None:
        """Let go of the producer."""
        producer, self._producer = self._producer, None
        if producer is not None:
            self._drop(producer)

    def _produce(
        self, producer: Producer, stream: str, body: bytes | None, key: bytes | None, headers: Any, done: Any
    ) -> None:
        deadline = time.monotonic() + _QUEUE_SECONDS
        while True:
            try:
                return producer.produce(stream, body, key, on_delivery=done, headers=headers)
            except BufferError as error:
                if time.monotonic() > deadline:
                    raise RetryableError(
                        f"the queue for {self._where()} stayed full for {_QUEUE_SECONDS:.0f} s"
                    ) from error
                producer.poll(0.05)
            except KafkaException as exception:
                refused = kafka_error(exception)
                if refused.code() not in BAD_RECORD:
                    raise RetryableError(f"{self._where()} cannot be written: {refused.str()}") from exception
                done(refused, None)
                return None

    def _on_delivery(self, position: int, error: KafkaError | None, message: Message[Any, Any] | None) -> None:
        del message
        if error is not None:
            self._failures[position] = error

    def _drop(self, producer: Producer) -> None:
        producer.purge()
        producer.poll(0)
        self._handed_over = 0
        self._failures.clear()

    def _where(self) -> str:
        return f"the dead letter topic {self._topic} on {self._servers}"

    def _opened(self) -> Producer:
        if self._producer is None:
            raise StageContractError("the Kafka dead letters were used before they were opened")
        return self._producer
