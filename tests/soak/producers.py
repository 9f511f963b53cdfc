"""Producers that publish all the time, remember what was acknowledged, and put poison among the records when told to."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO

import fastavro
from confluent_kafka import KafkaError, Message, Producer

from tests.integration.harness import ORDER, QUIET
from tests.soak.oracle import Tally, event_id

SCHEMA = fastavro.parse_schema(ORDER)
TRICKLE = 2  # records that each stream publishes, 20 times a second, when it may not run further ahead
UNKNOWN_ID = b"\x00\x00\x00\x00\x01"
FLUSH_SECONDS = 330  # longer than a producer tries to deliver a record


@dataclass(slots=True)
class Stream:
    """One topic that is published to.

    Attributes:
        topic: its name.
        prefix: of its records' ids.
        framing: registry header of its records; another one when its schema changes, which only renames fields.
    """

    topic: str
    prefix: str
    framing: bytes

    def record(self, number: int) -> bytes:
        out = BytesIO()
        body = {
            "id": event_id(self.prefix, number),
            "at": 1_700_000_000_000 + number,
            "amount": number / 4,
            "note": "n" * (number % 40),
        }
        fastavro.schemaless_writer(out, SCHEMA, body)
        return self.framing + out.getvalue()


class Producers:
    """One producer and thread a stream, and one producer for poison.

    Attributes:
        acknowledged: what the brokers confirmed.
        poison: acknowledged poison by topic: value by key.
        allowed: how many records may be published by now; raised as the faults come along.
    """

    def __init__(self, servers: str, streams: Mapping[str, Stream], records: int, rate: float) -> None:
        """``records`` and ``rate``, in records a second at most, are of all streams together."""
        self._streams, self._each, self._rate = streams, records // len(streams), rate / len(streams)
        self.acknowledged = Tally({stream.prefix: self._each for stream in streams.values()})
        self.poison: dict[str, dict[bytes, bytes]] = {}
        self.allowed = 0
        self.unconfirmed = 0
        self._published = dict.fromkeys(streams, 0)
        self._settings = {"bootstrap.servers": servers, "enable.idempotence": True, "linger.ms": 20, **QUIET}
        self._poisoner = Producer(self._settings)
        self._poisoned = 0
        self._stop = threading.Event()
        self._failures: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._guarded, args=(name,), name=f"publish-{name}") for name in streams
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def published(self) -> int:
        return sum(self._published.values())

    def check(self) -> None:
        """Raise what ended a producer's thread."""
        if self._failures:
            raise self._failures[0]

    def finish(self) -> None:
        """Wait until all is published and confirmed."""
        for thread in self._threads:
            thread.join()
        self.check()
        self.unconfirmed += self._poisoner.flush(FLUSH_SECONDS)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def _guarded(self, name: str) -> None:
        try:
            self._publish(name)
        except BaseException as error:  # raised on by check
            self._failures.append(error)
            raise

    def _publish(self, name: str) -> None:
        stream = self._streams[name]
        producer = Producer(self._settings)
        burst = max(1, int(self._rate / 20))
        due = time.monotonic()
        number = 0
        while number < self._each and not self._stop.is_set():
            end = min(number + burst, self._each, self.allowed // len(self._streams))
            if end <= number:  # never silent: a fault may wait for what a worker does with the next record
                end = min(number + TRICKLE, self._each)
            for n in range(number, end):
                value = stream.record(n)
                self._produce(producer, stream.topic, value, None, self._confirm(stream.prefix, n))
            number = end
            self._published[name] = number
            producer.poll(0)
            due = max(due + burst / self._rate, time.monotonic())
            time.sleep(max(0.005, due - time.monotonic()))
        if not self._stop.is_set():
            self.unconfirmed += producer.flush(FLUSH_SECONDS)

    def _confirm(self, prefix: str, number: int) -> Callable[[KafkaError | None, Message], None]:
        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is None:
                self.acknowledged.add(prefix, number)
            else:
                self.unconfirmed += 1

        return delivered

    def poison_some(
        self, topic: str, framing: bytes, kinds: Mapping[str, Callable[..., bytes]], rng: random.Random, count: int
    ) -> None:
        """Publish ``count`` bad records of kinds drawn from ``kinds``; each has a key of its own."""
        letters = self.poison.setdefault(topic, {})
        for _ in range(count):
            kind = rng.choice(list(kinds))
            self._poisoned += 1
            key = f"poison-{self._poisoned:05d}-{kind}".encode()
            value = kinds[kind](framing, key, rng)

            def delivered(error: KafkaError | None, _: Message, key: bytes = key, value: bytes = value) -> None:
                if error is None:
                    letters[key] = value
                else:
                    self.unconfirmed += 1

            self._produce(self._poisoner, topic, value, key, delivered)
        self._poisoner.flush(FLUSH_SECONDS)

    @staticmethod
    def _produce(
        producer: Producer,
        topic: str,
        value: bytes,
        key: bytes | None,
        delivered: Callable[[KafkaError | None, Message], None],
    ) -> None:
        while True:
            try:
                producer.produce(topic, value, key, on_delivery=delivered)
            except BufferError:
                producer.poll(0.1)
            else:
                return


def _sound(framing: bytes) -> bytes:
    return Stream("", "x", framing).record(0)


BAD_AVRO: Mapping[str, Callable[[bytes, bytes, random.Random], bytes]] = {
    "no-avro": lambda _, key, __: b"this is no Avro at all, " + key,
    "truncated": lambda framing, _, rng: _sound(framing)[: -rng.randint(1, 20)],
    "trailing": lambda framing, _, rng: _sound(framing) + rng.randbytes(rng.randint(1, 9)),
    "noise": lambda _, __, rng: b"\x01" + rng.randbytes(rng.randint(10, 5000)),
    "framed-noise": lambda framing, _, rng: framing + b"\x01" + rng.randbytes(50),  # the length of a text is negative
    "empty": lambda _, __, ___: b"",
}
BAD_AVRO_ONCE: Mapping[str, Callable[[bytes, bytes, random.Random], bytes]] = {
    # Many of these are no broken records but drift, and pause the topic.
    "unknown-schema": lambda _, __, rng: UNKNOWN_ID + rng.randbytes(20),
}
BAD_JSON: Mapping[str, Callable[[bytes, bytes, random.Random], bytes]] = {
    "no-time": lambda framing, key, _: (
        framing + json.dumps({"id": key.decode(), "kind": "order", "time": "yesterday"}).encode()
    ),
    "two-objects": lambda framing, key, _: framing + b'{"id": "%b"}\n{"delete": {"_id": "o0000000"}}' % key,
    "not-an-object": lambda framing, key, _: framing + b'["%b"]' % key,
    "cut": lambda framing, key, _: framing + b'{"id": "%b"' % key,
    "no-kind": lambda framing, key, _: framing + b'{"id": "%b", "time": "2025-01-01T00:00:00Z"}' % key,
}
