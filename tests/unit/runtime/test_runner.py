"""The runner on in-memory stages: single cases first, then random trouble against an oracle."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from prismlib.errors import (
    DataLossError,
    DecodeError,
    PrismError,
    RecordError,
    SchemaDriftError,
    StageContractError,
    TooManyRejectedError,
)
from prismlib.records import Decoded, Encoded, Normalized, Partition, RecordBatch, Row
from prismlib.runtime.route import Route
from prismlib.runtime.runner import Runner
from prismlib.runtime.settings import RunnerSettings
from prismlib.testing.memory import (
    MemoryBroker,
    MemoryLog,
    MemorySink,
    MemorySource,
    MemoryStore,
    MemoryTransactionalSink,
)
from tests.unit.runtime.crashing import CrashError, CrashingSink, CrashingStoreSink

DEAD = "in.dead-letters"


class Payload:
    """Decodes to the payload itself; b"bad..." cannot be decoded, b"drift..." is drift while ``drifting``."""

    def __init__(self) -> None:
        self.drifting = False

    def decode(self, batch: RecordBatch) -> Decoded:
        rows: list[Row | None] = []
        errors: dict[int, RecordError] = {}
        for i, value in enumerate(batch.values):
            if self.drifting and value is not None and value.startswith(b"drift"):
                return Decoded(rows, errors, (i, SchemaDriftError("the field 'a' is gone")))
            if value is not None and value.startswith(b"bad"):
                errors[i] = DecodeError("it is bad", code="bad")
                rows.append(None)
            else:
                rows.append(value)
        return Decoded(rows, errors)

    def schema_id(self, value: bytes) -> int | None:
        return len(value)


class Framing:
    """Puts a mark before each body, so that a document and the dead letter of its record are different bytes."""

    def encode(self, bodies: Sequence[Any]) -> Encoded:
        return Encoded([None if body is None else b"=" + body for body in bodies])


class World:
    """One broker, one store, and runners on them."""

    def __init__(self, partitions: int = 2) -> None:
        self.broker = MemoryBroker()
        self.broker.create_topic("in", partitions)
        self.broker.create_topic("out", 2)
        self.broker.create_topic(DEAD)
        self.store = MemoryStore()
        self.decoder = Payload()

    def settings(self, **changes: Any) -> RunnerSettings:
        given = {"until_idle": 0.3, "commit_interval": 0.05, "dead_letter_topic": DEAD, "drain_timeout": 5.0}
        return RunnerSettings("p", **{**given, **changes})

    def transactional(self, worker: str = "1", refuses: Any = None, **changes: Any) -> Runner:
        source = MemorySource(self.broker, "p", ["in"], worker)
        sink = MemoryTransactionalSink(self.broker, "out", worker, refuses=refuses)
        return Runner(self.settings(worker=worker, **changes), source, self.routes(), sink)

    def writing(self, worker: str = "1", refuses: Any = None, max_in_flight: int = 3, **changes: Any) -> Runner:
        source = MemorySource(self.broker, "p", ["in"], worker)
        sink = MemorySink(self.store, max_in_flight=max_in_flight, max_documents=7, refuses=refuses)
        return Runner(
            self.settings(worker=worker, **changes), source, self.routes(), sink, MemoryLog(self.broker, DEAD)
        )

    def routes(self) -> dict[str, Route]:
        return {"in": Route("in", self.decoder, encoder=Framing())}

    def publish(self, count: int, text: str = "r%d", start: int = 0) -> list[bytes]:
        values = [(text % i).encode() for i in range(start, start + count)]
        for value in values:
            self.broker.append("in", value, value)
        return values

    def out(self) -> Counter[bytes]:
        return Counter(r.value[1:] for r in self.broker.records("out"))

    def dead(self) -> list[Any]:
        return self.broker.records(DEAD)

    def indexed(self) -> Counter[bytes]:
        return Counter(body[1:] for _, body in self.store.documents.values())


BOTH = pytest.mark.parametrize("kind", ["transactional", "writing"])


def delivered(world: World, kind: str) -> Counter[bytes]:
    return world.out() if kind == "transactional" else world.indexed()


@BOTH
def test_every_record_is_delivered_and_committed(kind: str) -> None:
    world = World()
    values = world.publish(100)
    getattr(world, kind)().run()
    assert delivered(world, kind) == Counter(values)
    assert sum(world.broker.committed("p").values()) == 100


@BOTH
def test_a_bad_record_is_a_dead_letter_and_its_neighbours_are_delivered(kind: str) -> None:
    world = World(partitions=1)
    world.broker.append("in", b"k", b"a", [("trace", b"1"), ("prism.attempt", b"2")], 123)
    world.broker.append("in", b"k", b"bad one", [("trace", b"1"), ("prism.attempt", b"2")], 124)
    world.broker.append("in", b"k", b"b")
    getattr(world, kind)().run()
    assert delivered(world, kind) == Counter([b"a", b"b"])
    (letter,) = world.dead()
    headers = dict(letter.headers)
    assert (letter.key, letter.value) == (b"k", b"bad one")
    assert headers.pop("prism.at").isdigit()
    assert headers == {
        "trace": b"1",
        "prism.pipeline": b"p",
        "prism.worker": b"1",
        "prism.topic": b"in",
        "prism.partition": b"0",
        "prism.offset": b"1",
        "prism.timestamp": b"124",
        "prism.epoch": b"0",
        "prism.stage": b"decode",
        "prism.code": b"bad",
        "prism.reason": b"it is bad",
        "prism.attempt": b"3",
        "prism.schema-id": b"7",
    }


@BOTH
def test_the_log_says_that_there_are_dead_letters_and_how_to_look_at_them(kind: str, caplog: Any) -> None:
    world = World()
    world.publish(3, "bad %d")
    getattr(world, kind)(stop_above_share=1.0).run()
    told = [record for record in caplog.records if "dead letters" in record.getMessage()]
    assert sum(record.new for record in told) == 3
    assert told[0].look == "prism dead-letters list PIPELINE.toml"
    assert told[0].topic == DEAD


@BOTH
def test_a_document_that_the_sink_refuses_is_a_dead_letter(kind: str) -> None:
    world = World()
    values = world.publish(60)
    getattr(world, kind)(refuses=lambda body: "too odd" if body == b"=r17" else None).run()
    assert delivered(world, kind) == Counter(v for v in values if v != b"r17")
    (letter,) = world.dead()
    assert letter.value == b"r17"
    assert dict(letter.headers)["prism.stage"] == b"write"
    assert dict(letter.headers)["prism.reason"] == b"too odd"


@BOTH
def test_most_records_bad_stops_the_pipeline_and_commits_none_of_them(kind: str) -> None:
    world = World(partitions=1)
    world.publish(30, "bad %d")
    says = r"30 of the last 30 .*the last one: it is bad.*stop_above.*`prism dead-letters list PIPELINE.toml`"
    with pytest.raises(TooManyRejectedError, match=says):
        getattr(world, kind)(stop_above_of_last=20).run()
    assert not world.broker.committed("p")


@BOTH
def test_drift_pauses_the_topic_and_resumes_when_it_is_over_without_a_gap(kind: str) -> None:
    world = World(partitions=1)
    world.decoder.drifting = True
    values = [*world.publish(5), *world.publish(1, "drift %d"), *world.publish(5, start=5)]
    runner = getattr(world, kind)(until_idle=None)
    with running(runner):
        until(lambda: runner.counters.pauses >= 1 and delivered(world, kind).total() == 5)
        world.decoder.drifting = False
        until(lambda: delivered(world, kind).total() == 11)
    assert delivered(world, kind) == Counter(values)
    assert not world.dead()


@BOTH
def test_drift_can_stop_the_pipeline_or_go_to_the_dead_letters(kind: str) -> None:
    world = World(partitions=1)
    world.decoder.drifting = True
    values = [*world.publish(5), *world.publish(1, "drift %d"), *world.publish(5, start=5)]
    with pytest.raises(SchemaDriftError):
        getattr(world, kind)(on_drift="stop").run()
    getattr(world, kind)(on_drift="dead_letter").run()
    assert delivered(world, kind) == Counter(v for v in values if v != b"drift 0")
    assert [letter.value for letter in world.dead()] == [b"drift 0"]


@BOTH
def test_stop_drains_and_commits(kind: str) -> None:
    world = World()
    runner = getattr(world, kind)(until_idle=None, commit_interval=60.0)
    with running(runner):
        values = world.publish(50)
        until(lambda: runner.counters.read == 50)
    assert delivered(world, kind) == Counter(values)
    assert sum(world.broker.committed("p").values()) == 50


@BOTH
def test_expired_offsets_are_restored_from_the_ledger(kind: str) -> None:
    world = World()
    values = world.publish(20)
    getattr(world, kind)(start="latest").run()  # nothing: the topic was there before the pipeline
    assert delivered(world, kind) == Counter()
    world.broker.expire_offsets("p")
    values = world.publish(20, "later %d")
    getattr(world, kind)(start="latest").run()
    assert delivered(world, kind) == Counter(values)


@BOTH
def test_deleted_records_are_refused_and_nothing_is_read(kind: str) -> None:
    world = World(partitions=1)
    world.publish(10)
    getattr(world, kind)().run()
    world.publish(10, "gone %d")
    world.publish(10, "there %d")
    world.broker.delete_before("in", 0, 20)
    with pytest.raises(DataLossError, match="at most 10 records"):
        getattr(world, kind)().run()
    assert delivered(world, kind).total() == 10


@BOTH
def test_a_created_again_topic_is_refused_until_it_is_accepted_and_nothing_is_swallowed(kind: str) -> None:
    world = World(partitions=1)
    first = world.publish(10)
    getattr(world, kind)().run()
    world.broker.delete_topic("in")
    world.broker.create_topic("in", 1)
    second = world.publish(5, "new %d")
    with pytest.raises(DataLossError, match="--accept-recreated in"):
        getattr(world, kind)().run()
    getattr(world, kind)(accept_recreated=frozenset({"in"})).run()
    assert delivered(world, kind) == Counter([*first, *second])


def test_tombstones_delete_where_keys_are_ids_and_are_settled_otherwise() -> None:
    world = World(partitions=1)
    world.broker.append("in", b"a", b"1")
    world.broker.append("in", b"b", b"2")
    world.broker.append("in", b"a", None)
    world.broker.append("in", None, None)
    world.broker.append("in", None, b"3")
    world.writing(key_fixes_partition=True).run()
    assert {i: body for i, (_, body) in world.store.documents.items()} == {"b": b"=2", "in~0-0-4": b"=3"}
    assert world.store.tombstones == {"a": 3}
    assert world.broker.committed("p") == {Partition("in", 0): 5}


def test_a_busy_sink_pauses_the_source_and_the_group_never_takes_the_worker_for_dead() -> None:
    world = World(partitions=1)
    values = world.publish(40)
    world.store.busy = {"in~0-0-3"}
    runner = world.writing(until_idle=None, max_in_flight=1)
    with running(runner):
        until(lambda: runner.counters.retried > 3)
        assert world.broker.committed("p").get(Partition("in", 0), 0) <= 3
        world.store.busy = set()
        until(lambda: world.indexed().total() == 40)
    assert world.indexed() == Counter(values)


def test_servers_that_go_away_and_come_back() -> None:
    world = World()
    runner = world.writing(until_idle=None)
    with running(runner):
        values = world.publish(20)
        until(lambda: world.indexed().total() == 20)
        world.store.reachable = False
        values += world.publish(20, "later %d")
        time.sleep(0.2)
        world.broker.reachable = False
        time.sleep(0.3)
        world.broker.reachable = True
        world.store.reachable = True
        until(lambda: world.indexed().total() == 40)
    assert world.indexed() == Counter(values)


class WrongLength:
    def decode(self, batch: RecordBatch) -> Decoded:
        return Decoded([b"x"] * (len(batch) + 1))


class ShortNormalizer:
    reads = frozenset({"a"})

    def normalize(self, batch: RecordBatch, rows: Sequence[Row | None]) -> Normalized:
        return Normalized([{}] * (len(rows) - 1))


@pytest.mark.parametrize(
    "route", [Route("in", WrongLength()), Route("in", Payload(), ShortNormalizer())], ids=["decoder", "normalizer"]
)
def test_a_stage_that_answers_with_another_length_stops_the_pipeline(route: Route) -> None:
    world = World()
    world.publish(3)
    runner = Runner(
        world.settings(),
        MemorySource(world.broker, "p", ["in"]),
        {"in": route},
        MemorySink(world.store),
        MemoryLog(world.broker, DEAD),
    )
    with pytest.raises(StageContractError, match="of in returned"):
        runner.run()
    assert not world.broker.committed("p")


def test_a_transaction_that_could_not_be_aborted_is_never_committed() -> None:
    """The broker refuses a record of a transaction and is away while it should be aborted."""
    world = World(partitions=1)

    class Sink(MemoryTransactionalSink):
        def flush(self, timeout: float) -> Any:
            result = super().flush(timeout)
            if result.rejected and world.broker.reachable:
                world.broker.reachable = False
                threading.Timer(0.4, setattr, (world.broker, "reachable", True)).start()
            return result

    values = world.publish(20)
    source = MemorySource(world.broker, "p", ["in"])
    sink = Sink(world.broker, "out", refuses=lambda body: "too odd" if body == b"=r7" else None)
    with running(Runner(world.settings(until_idle=None), source, world.routes(), sink)):
        until(lambda: bool(world.dead()) and world.out().total() == 19)
    assert world.out() == Counter(v for v in values if v != b"r7")
    assert [letter.value for letter in world.dead()] == [b"r7"]


@BOTH
@pytest.mark.parametrize("seed", range(12))
def test_random_trouble_loses_nothing_and_doubles_nothing(kind: str, seed: int) -> None:
    """Crashes, lost members, rebalances, unreachable servers, expired offsets, refused and bad records."""
    rng = random.Random(seed)
    world = World(partitions=3)
    over = threading.Event()
    failures: list[BaseException] = []

    def crash() -> bool:
        return not over.is_set() and rng.random() < 0.01

    def refuses(body: bytes) -> str | None:
        return "refused" if body.startswith(b"=odd") else None

    def make(name: str) -> Runner:
        source = MemorySource(world.broker, "p", ["in"], name, stable_timeout=0.2)
        settings = world.settings(worker=name, until_idle=None, commit_interval=0.02, drain_timeout=0.5)
        if kind == "transactional":
            sink = CrashingSink(world.broker, "out", name, refuses=refuses)
            sink.crash = crash
            return Runner(settings, source, world.routes(), sink)
        store = CrashingStoreSink(world.store, max_in_flight=3, max_documents=5, refuses=refuses)
        store.crash = crash
        return Runner(settings, source, world.routes(), store, MemoryLog(world.broker, DEAD))

    runners: dict[str, Runner] = {}

    def keep_running(name: str) -> None:
        while not over.is_set():
            runners[name] = make(name)
            try:
                runners[name].run()
            except BaseException as error:  # noqa: BLE001  # whatever should not end a worker fails the test
                if isinstance(error, DataLossError | StageContractError) or not isinstance(
                    error, CrashError | PrismError
                ):
                    failures.append(error)
                    return
            time.sleep(0.01)

    names = ["1", "2"]
    threads = [threading.Thread(target=keep_running, args=(name,), daemon=True) for name in names]
    for thread in threads:
        thread.start()
    expected: Counter[bytes] = Counter()
    dead: set[bytes] = set()
    for step in range(60):
        for i in range(rng.randint(0, 12)):
            text = rng.choice(["ok", "ok", "ok", "ok", "ok", "bad", "odd"])
            value = f"{text} {step} {i}".encode()
            world.broker.append("in", value, value)
            if text == "ok":
                expected[value] += 1
            else:
                dead.add(value)
        trouble = rng.random()
        if trouble < 0.15:
            for name in world.broker.members("p"):
                world.broker.lose("p", name)
                break
        elif trouble < 0.3:
            runners.get(rng.choice(names), runners[next(iter(runners))]).stop()
        elif trouble < 0.4:
            world.broker.reachable = False
            time.sleep(0.05)
            world.broker.reachable = True
        elif trouble < 0.5:
            world.store.reachable = False
            time.sleep(0.05)
            world.store.reachable = True
        elif trouble < 0.55 and not world.broker.members("p"):
            world.broker.expire_offsets("p")
        time.sleep(0.01)

    def complete() -> bool:
        return bool(failures) or (
            set(delivered(world, kind)) >= set(expected) and {letter.value for letter in world.dead()} >= dead
        )

    until(complete, 60)
    over.set()
    for runner in list(runners.values()):
        runner.stop()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert not failures, failures
    assert delivered(world, kind) == expected
    letters = Counter(letter.value for letter in world.dead())
    assert set(letters) == dead
    if kind == "transactional":
        assert set(letters.values()) <= {1}, "dead letters of a transaction are there once"


@contextmanager
def running(runner: Runner) -> Iterator[None]:
    """Run in a thread; stop and re-raise what went wrong."""
    problems: list[BaseException] = []

    def run() -> None:
        try:
            runner.run()
        except BaseException as error:  # noqa: BLE001  # shown by the test's own thread
            problems.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        runner.stop()
        thread.join(30)
    assert not thread.is_alive()
    assert not problems, problems


def until(question: Callable[[], bool], timeout: float = 20) -> None:
    deadline = time.monotonic() + timeout
    while not question():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)
