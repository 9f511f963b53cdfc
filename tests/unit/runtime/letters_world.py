"""A broker with a dead letter topic, stages whose mapping can be mended, and steps at which things go wrong."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from prismlib.config.pipeline import pipeline_from
from prismlib.errors import (
    DecodeError,
    FencedError,
    InvalidValueError,
    RecordError,
    RetryableError,
    SchemaDriftError,
)
from prismlib.records import Decoded, Encoded, Normalized, Partition, RecordBatch, Row
from prismlib.runtime.assemble import RetryStages
from prismlib.runtime.dead_letters import Letter, LetterBox
from prismlib.runtime.letter_index import LetterIndex, scan
from prismlib.runtime.letters import Selection
from prismlib.runtime.retry import Retry
from prismlib.runtime.route import Route
from prismlib.testing.memory import (
    MemoryBroker,
    MemoryLog,
    MemoryReader,
    MemorySink,
    MemoryStore,
    MemoryTransactionalSink,
)

DEAD = "p.dead-letters"


class Killed(BaseException):
    """kill -9: nothing is called any more."""


class Stage:
    """Decoder, normalizer and encoder. A value is ``fate:number``; a fate in ``bad`` fails in the stage it names."""

    reads = frozenset({"*"})

    def __init__(self) -> None:
        self.bad: dict[str, str] = {}  # fate: stage
        self.seen: list[Any] = []

    def decode(self, batch: RecordBatch) -> Decoded:
        self.seen += zip(itertools.repeat(batch.partition), batch.offsets, batch.headers)
        rows: list[Row | None] = []
        errors: dict[int, RecordError] = {}
        for i, value in enumerate(batch.values):
            fate = (value or b"").partition(b":")[0].decode()
            if self.bad.get(fate) == "drift":
                return Decoded(rows, errors, (i, SchemaDriftError("the field 'a' is gone")))
            if self.bad.get(fate) == "decode":
                errors[i] = DecodeError(f"{fate} cannot be decoded", code=fate, field="a[1].b")
            rows.append(None if i in errors or value is None else {"value": value, "fate": fate})
        return Decoded(rows, errors)

    def normalize(self, batch: RecordBatch, rows: Sequence[Any]) -> Normalized:
        errors: dict[int, RecordError] = {}
        bodies: list[Any] = []
        for i, row in enumerate(rows):
            stage = None if row is None else self.bad.get(row["fate"])
            if stage == "normalize":
                errors[i] = InvalidValueError(f"{row['fate']} is no number", code=row["fate"], field="n")
            bodies.append(None if stage in {"normalize", "drop"} or row is None else row)
        return Normalized(bodies, None, errors)

    def encode(self, bodies: Sequence[Any]) -> Encoded:
        errors: dict[int, RecordError] = {
            i: InvalidValueError(f"{body['fate']} does not fit", code=body["fate"])
            for i, body in enumerate(bodies)
            if body is not None and self.bad.get(body["fate"]) == "encode"
        }
        return Encoded(
            [None if body is None or i in errors else b"=" + body["value"] for i, body in enumerate(bodies)], errors
        )

    def refuses(self, body: bytes) -> str | None:
        mark, fate = body[:1], body[1:].partition(b":")[0].decode()
        return f"the sink does not take {fate}" if mark == b"=" and self.bad.get(fate) == "write" else None

    def schema_id(self, value: bytes) -> int | None:
        return len(value)


class Steps:
    """Wraps stages; before and after each call, ``at`` may do something. ``reclaims``: see :class:`Reclaiming`."""

    def __init__(self, at: Callable[[int, str], None], *, reclaims: bool = False) -> None:
        self._at = at
        self.reclaims = reclaims
        self._count = itertools.count()
        self.dead = False

    def step(self, what: str) -> None:
        if self.dead:
            raise Killed
        try:
            self._at(next(self._count), what)
        except Killed:
            self.dead = True
            raise

    def around(self, stage: Any) -> Any:
        return _Stepping(stage, self)


class _Stepping:
    def __init__(self, stage: Any, steps: Steps) -> None:
        self._stage, self._steps = stage, steps

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._stage, name)
        if not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            if name == "close" and self._steps.dead:
                return None
            self._steps.step(name)
            answer = found(*args, **kwargs)
            self._steps.step(f"after {name}")
            return answer

        return call


class LettersWorld:
    def __init__(self, *, transactional: bool, buffers: bool = True, partitions: int = 2, extra: str = "") -> None:
        self.broker = MemoryBroker()
        self.broker.create_topic("in", 2)
        self.broker.create_topic("out", 2)
        self.broker.create_topic(DEAD, partitions)
        self.store = MemoryStore()
        self.stage = Stage()
        self.transactional, self.buffers = transactional, buffers
        data: dict[str, Any] = {
            "name": "p",
            "owner": "o",
            "contact": "c",
            "start": "earliest",
            "source": {"type": "tape"},
            "route": [{"topic": "in", "decode": {"type": "plain"}}],
            "sink": {"type": "tape"},
        }
        if extra:
            data[extra] = True
        self.config = pipeline_from(data, Path("p.toml"))
        self.routes = {"in": Route("in", self.stage, self.stage, self.stage)}

    # --- letters ---------------------------------------------------------------------------------------------------------

    def letter(
        self,
        origin: tuple[int, int],
        fate: str = "ok",
        *,
        stage: Any = "decode",
        topic: str = "in",
        epoch: int = 0,
        pipeline: str = "p",
        key: bytes | None = b"k",
        reason: str = "it is bad",
        partition: int | None = None,
    ) -> tuple[Partition, int]:
        """One letter as a worker writes it."""
        value = b"%s:%d" % (fate.encode(), origin[1])
        batch = RecordBatch(Partition(topic, origin[0]), [origin[1]], [origin[1]], [key], [value], [[("h", b"1")]])
        box = LetterBox(DEAD, pipeline, "1", lambda _, value: len(value), lambda _: epoch)
        error = DecodeError(reason, code=fate, field=None)
        documents = box.documents([Letter(batch, 0, stage, error)])
        return self.broker.append(DEAD, key, documents.bodies[0], documents.headers[0], partition=partition)

    def index(self, selection: Selection | None = None) -> LetterIndex:
        reader = MemoryReader(self.broker)
        reader.open()
        return scan(reader, DEAD, "p", selection or Selection())

    def open_letters(self) -> list[Any]:
        index = self.index()
        rows = index.rows()
        reader = MemoryReader(self.broker)
        found = index.load(reader, rows)
        return [found[row] for row in rows]

    # --- retrying --------------------------------------------------------------------------------------------------------

    def stages(self, steps: Steps | None = None) -> RetryStages:
        around: Callable[[Any], Any] = steps.around if steps else lambda stage: stage
        dead: Any = None
        if self.transactional:
            make = Reclaiming if steps is not None and steps.reclaims else MemoryTransactionalSink
            sink: Any = make(self.broker, "out", "_retry", buffers=self.buffers, refuses=self.stage.refuses)
            if steps is not None:
                sink = _Transactional(sink, steps)
        else:
            sink = around(MemorySink(self.store, refuses=self.stage.refuses))
            dead = around(MemoryLog(self.broker, DEAD, buffers=self.buffers))
        return RetryStages(self.config, around(MemoryReader(self.broker)), self.routes, sink, dead)

    def retry(self, steps: Steps | None = None, *, write: bool = True, **options: Any) -> Retry:
        selection = options.pop("selection", Selection())
        return Retry(self.stages(steps), selection, write=write, **options)

    # --- what there is ---------------------------------------------------------------------------------------------------

    def delivered(self) -> Counter[bytes]:
        if self.transactional:
            return Counter(record.value for record in self.broker.records("out"))
        return Counter(body for _, body in self.store.documents.values())

    def marks(self) -> list[dict[str, bytes | None]]:
        headers = (dict(record.headers or ()) for record in self.broker.records(DEAD) if record.value is None)
        return [found for found in headers if "prism.mark" in found]


class Reclaiming(MemoryTransactionalSink):
    """Fenced, it becomes the newest of its name again, as a Kafka sink does that has claimed the name last."""

    def _current(self) -> Any:
        try:
            return super()._current()
        except FencedError as error:
            self._producer = self._broker.producer(f"{self.policy.stream}-{self._worker}")
            raise RetryableError("the broker has ended the transaction") from error


class _Transactional(_Stepping):
    """Has the methods by name, so that it is taken for what it wraps."""

    def begin(self) -> Any:
        return self.__getattr__("begin")()

    def commit(self, *args: Any) -> Any:
        return self.__getattr__("commit")(*args)

    def abort(self) -> Any:
        return self.__getattr__("abort")()


def numbers(values: Counter[bytes]) -> Iterator[int]:
    """The numbers of delivered values, as often as they are there."""
    return (int(value.partition(b":")[2]) for value in values.elements())
