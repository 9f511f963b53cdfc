"""Harnesses for the in-memory parts, and one small honest decoder, normalizer and encoder to prove the suites on."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from prismlib.errors import DecodeError, InvalidValueError, RecordError, SchemaDriftError
from prismlib.records import Decoded, Encoded, Normalized, RecordBatch, Row
from prismlib.stages.normalizer import FieldSet
from prismlib.testing.memory import MemoryBroker, MemoryLog, MemoryReader, MemorySink, MemorySource, MemoryStore
from prismlib.testing.memory import MemoryTransactionalSink as TransactionalSink
from prismlib.testing.reader_conformance import Ends
from prismlib.testing.sink_conformance import SOURCE
from prismlib.testing.source_conformance import Written

MAGIC = b"J"
DRIFTED = b"D"


class MemorySourceHarness:
    def __init__(self, make: type[MemorySource] = MemorySource, *, patience: float = 10.0, rebalance: str = "eager"):
        self.patience = patience
        self.broker = MemoryBroker(rebalance=rebalance)
        self._make = make
        self._topics = 0

    def create_topic(self, partitions: int) -> str:
        self._topics += 1
        self.broker.create_topic(f"topic-{self._topics}", partitions)
        return f"topic-{self._topics}"

    def append(self, topic: str, partition: int, records: Sequence[Written]) -> Sequence[int]:
        return [
            self.broker.append(topic, one.key, one.value, one.headers, one.timestamp_ms, partition)[1]
            for one in records
        ]

    def make_source(self, topic: str, group: str) -> MemorySource:
        return self._make(self.broker, group, [topic])


class GappySourceHarness(MemorySourceHarness):
    """Writes every record in a transaction of its own, after an aborted one, and compacts one away in between."""

    def append(self, topic: str, partition: int, records: Sequence[Written]) -> Sequence[int]:
        offsets = []
        for one in records:
            for committed in (False, True):
                producer = self.broker.producer("harness")
                producer.begin()
                _, offset = self.broker.append(
                    topic, one.key, one.value, one.headers, one.timestamp_ms, partition, producer=producer
                )
                producer.end(committed=committed)
            offsets.append(offset)
            _, doomed = self.broker.append(topic, b"doomed", b"compacted", None, None, partition)
            self.broker.remove(topic, partition, doomed)
        return offsets


class MemoryReaderHarness:
    def __init__(self, make: type[MemoryReader] = MemoryReader):
        self.broker = MemoryBroker()
        self._make = make
        self._streams = 0

    def create_stream(self, partitions: int) -> str:
        self._streams += 1
        self.broker.create_topic(f"stream-{self._streams}", partitions)
        return f"stream-{self._streams}"

    def append(self, stream: str, partition: int, records: Sequence[Written], producer: Any = None) -> Sequence[int]:
        return [
            self.broker.append(stream, one.key, one.value, one.headers, one.timestamp_ms, partition, producer=producer)[
                1
            ]
            for one in records
        ]

    def transaction(self, stream: str, partition: int, records: Sequence[Written]) -> Ends | None:
        producer = self.broker.producer("harness")
        producer.begin()
        self.append(stream, partition, records, producer)
        return lambda committed: producer.end(committed=committed)

    def make_reader(self) -> MemoryReader:
        return self._make(self.broker)

    @contextmanager
    def unreachable(self) -> Iterator[None]:
        self.broker.reachable = False
        yield
        self.broker.reachable = True


def refuses(body: bytes) -> str | None:
    return "it does not fit" if b"bad" in body else None


class _Bodies:
    patience = 10.0

    def good(self, number: int) -> bytes:
        return b'{"number": %d, "text": "a \\u00e4\\n"}' % number

    def bad(self) -> bytes | None:
        return b'{"bad": true}'


class MemorySinkHarness(_Bodies):
    def __init__(self, make: type[MemorySink] = MemorySink, store: MemoryStore | None = None):
        self.store = store if store is not None else MemoryStore()
        self._make = make

    def make_sink(self, worker: str) -> MemorySink:
        return self._make(self.store, max_in_flight=2, refuses=refuses)

    def read_back(self) -> Sequence[tuple[str, bytes]]:
        return [(name, body) for name, (_, body) in self.store.documents.items()]

    @contextmanager
    def busy(self, ids: Sequence[str]) -> Iterator[None]:
        self.store.busy.update(ids)
        yield
        self.store.busy.clear()

    @contextmanager
    def unreachable(self) -> Iterator[None]:
        self.store.reachable = False
        yield
        self.store.reachable = True


class MemoryLogHarness(_Bodies):
    def __init__(self, make: type[MemoryLog] = MemoryLog, *, buffers: bool = False):
        self.broker = MemoryBroker()
        self.broker.create_topic("out", 2)
        self._make = make
        self._buffers = buffers

    def make_sink(self, worker: str) -> MemoryLog | TransactionalSink:
        return self._make(self.broker, "out", buffers=self._buffers, refuses=refuses)

    def read_back(self) -> Sequence[tuple[str, bytes]]:
        records = sorted(self.broker.records("out"), key=lambda record: record.offset)
        return [((record.key or b"").decode(), record.value or b"") for record in records]

    def busy(self, ids: Sequence[str]) -> None:
        return None

    @contextmanager
    def unreachable(self) -> Iterator[None]:
        self.broker.reachable = False
        yield
        self.broker.reachable = True


class MemoryTransactionalHarness(MemoryLogHarness):
    def __init__(self, make: type[TransactionalSink] = TransactionalSink, *, buffers: bool = True):
        super().__init__()
        self.broker.create_topic(SOURCE.stream, 1)
        self._make_sink = make
        self._buffers = buffers
        self._source = MemorySource(self.broker, "group", [SOURCE.stream])
        self._source.open(self)
        self._stale = self._source.member()
        self._source.poll(1, 0)

    def make_sink(self, worker: str) -> TransactionalSink:
        return self._make_sink(self.broker, "out", worker, buffers=self._buffers, refuses=refuses)

    def on_assigned(self, partitions: Sequence[Any]) -> Mapping[Any, int]:
        return dict.fromkeys(partitions, 0)

    def on_revoked(self, partitions: Sequence[Any]) -> None:
        raise AssertionError

    def on_lost(self, partitions: Sequence[Any]) -> None:
        raise AssertionError

    def member(self, *, stale: bool = False) -> object:
        return self._stale if stale else self._source.member()

    def committed(self) -> int | None:
        return self.broker.committed("group").get(SOURCE)


class JsonDecoder:
    """A magic byte, then one JSON object; another magic byte stands for a schema that cannot be read."""

    def decode(self, batch: RecordBatch) -> Decoded:
        rows: list[Row | None] = []
        errors: dict[int, RecordError] = {}
        for index, value in enumerate(batch.values):
            if value is not None and value[:1] == DRIFTED:
                return Decoded(rows, errors, (index, SchemaDriftError("another schema")))
            try:
                rows.append(None if value is None else self.one(value))
            except DecodeError as error:
                rows.append(None)
                errors[index] = error
        return Decoded(rows, errors)

    def one(self, value: bytes) -> dict[str, Any]:
        if value[:1] != MAGIC:
            raise DecodeError("no magic byte")
        try:
            row = json.loads(value[1:])
        except (ValueError, RecursionError) as error:
            raise DecodeError("not JSON") from error
        if not isinstance(row, dict):
            raise DecodeError("not an object")
        return row


class JsonDecoderHarness:
    def __init__(self, make: type[JsonDecoder] = JsonDecoder, *, patience: float = 30.0):
        self.patience = patience
        self._make = make

    def make_decoder(self) -> JsonDecoder:
        return self._make()

    def valid(self) -> Sequence[tuple[bytes, Row]]:
        return [(b'J{"id":"a","paid":true}', {"id": "a", "paid": True}), (b'J{"id":"b"}', {"id": "b"})]

    def corrupt(self) -> Sequence[bytes]:
        return [b"", b"J", b'J{"id"', b"J[]", b"?{}"]

    def drifting(self) -> bytes | None:
        return DRIFTED


class OrderNormalizer:
    reads: FieldSet = frozenset({"id", "tags", "lines.sku"})

    def normalize(self, batch: RecordBatch, rows: Sequence[Row | None]) -> Normalized:
        bodies: list[dict[str, Any] | bytes | None] = []
        ids: list[str | None] = []
        errors: dict[int, RecordError] = {}
        for index, row in enumerate(rows):
            body = None
            try:
                body = self.one(row) if isinstance(row, dict) else None
            except KeyError:
                errors[index] = InvalidValueError("no id", field="id")
            bodies.append(body)
            ids.append(body["name"] if body else None)
        return Normalized(bodies, ids, errors)

    def one(self, row: dict[str, Any]) -> dict[str, Any]:
        return {
            "name": row["id"],
            "tags": list(row.get("tags", ())),
            "skus": [line["sku"] for line in row.get("lines", ())],
        }


class OrderNormalizerHarness:
    def __init__(self, make: type[OrderNormalizer] = OrderNormalizer):
        self._make = make

    def make_normalizer(self) -> OrderNormalizer:
        return self._make()

    def valid(self) -> Sequence[tuple[Row, dict[str, Any] | bytes]]:
        return [
            (
                {"id": "a", "tags": ["x"], "lines": [{"sku": "s", "price": 3}], "secret": "do not read"},
                {"name": "a", "tags": ["x"], "skus": ["s"]},
            ),
            ({"id": "b", "tags": [], "lines": [], "secret": ""}, {"name": "b", "tags": [], "skus": []}),
        ]

    def invalid(self) -> Sequence[Row]:
        return [{"tags": ["x"], "lines": []}]


class OrderEncoder:
    def encode(self, bodies: Sequence[dict[str, Any] | bytes | None]) -> Encoded:
        values: list[bytes | None] = []
        errors: dict[int, RecordError] = {}
        for index, body in enumerate(bodies):
            values.append(None)
            if isinstance(body, dict) and "name" not in body:
                errors[index] = InvalidValueError("no name", field="name")
            elif body is not None:
                values[-1] = self.one(body)
        return Encoded(values, errors)

    def one(self, body: dict[str, Any] | bytes) -> bytes:
        return MAGIC + (body if isinstance(body, bytes) else json.dumps(body).encode())


class OrderEncoderHarness:
    def __init__(self, make: type[OrderEncoder] = OrderEncoder):
        self._make = make

    def make_encoder(self) -> OrderEncoder:
        return self._make()

    def valid(self) -> Sequence[dict[str, Any]]:
        return [{"name": "a", "tags": ["x"]}, {"name": "ä", "paid": True}]

    def invalid(self) -> Sequence[dict[str, Any]]:
        return [{"tags": []}]

    def read_back(self, value: bytes) -> object:
        return JsonDecoder().one(value)
