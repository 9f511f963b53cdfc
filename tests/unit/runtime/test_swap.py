"""New routes for a runner at work: taken over between two batches, with every record delivered exactly once."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from prismlib.errors import DataLossError, DecodeError, PrismError, RecordError, SchemaDriftError, StageContractError
from prismlib.records import Decoded, Documents, Encoded, RecordBatch, Row
from prismlib.runtime import pausing
from prismlib.runtime.notices import Tell
from prismlib.runtime.reload import NewRoutes, Reloader
from prismlib.runtime.retries import Backoff
from prismlib.runtime.route import Route
from prismlib.runtime.runner import Runner
from prismlib.runtime.settings import RunnerSettings
from prismlib.testing.memory import (
    MemoryBroker,
    MemoryLog,
    MemorySource,
    MemoryStore,
)
from tests.unit.runtime.crashing import CrashError, CrashingSink, CrashingStoreSink

DEAD = "in.dead-letters"
BOTH = pytest.mark.parametrize("kind", ["transactional", "writing"])


class Payload:
    """The payload itself; b"bad..." cannot be decoded, and b"drift..." only from version ``reads`` of the route on."""

    def __init__(self, version: int, reads: int = 0) -> None:
        self._drifting = version < reads

    def decode(self, batch: RecordBatch) -> Decoded:
        rows: list[Row | None] = []
        errors: dict[int, RecordError] = {}
        for i, value in enumerate(batch.values):
            if self._drifting and value is not None and value.startswith(b"drift"):
                return Decoded(rows, errors, (i, SchemaDriftError("the field 'a' is gone")))
            bad = value is not None and value.startswith(b"bad")
            rows.append(None if bad else value)
            if bad:
                errors[i] = DecodeError("it is bad", code="bad")
        return Decoded(rows, errors)


class Stamp:
    """Puts the version of its route before each body."""

    def __init__(self, version: int) -> None:
        self._stamp = b"%d=" % version

    def encode(self, bodies: Sequence[Any]) -> Encoded:
        return Encoded([None if body is None else self._stamp + body for body in bodies])


def routes(version: int, topics: Sequence[str] = ("in",), reads: int = 0) -> dict[str, Route]:
    return {topic: Route(topic, Payload(version, reads), encoder=Stamp(version)) for topic in topics}


class Handed(Reloader):
    """Hands over what a test gives it, in place of what it finds in files."""

    def __init__(self, take: Callable[[], NewRoutes | None]) -> None:
        self._take = take
        self.started = 0
        self.closed = 0

    def start(self, tell: Tell) -> None:
        self.started += 1

    def take(self) -> NewRoutes | None:
        return self._take()

    def close(self) -> None:
        self.closed += 1


class Hand:
    """One new set of routes, once."""

    def __init__(self) -> None:
        self.new: NewRoutes | None = None

    def __call__(self) -> NewRoutes | None:
        new, self.new = self.new, None
        return new


class World:
    def __init__(self, *topics: str, partitions: int = 2) -> None:
        self.broker = MemoryBroker()
        self.topics = topics or ("in",)
        for topic in self.topics:
            self.broker.create_topic(topic, partitions)
        self.broker.create_topic("out", 1)
        self.broker.create_topic(DEAD)
        self.store = MemoryStore()

    def runner(
        self,
        kind: str,
        take: Callable[[], NewRoutes | None],
        first: dict[str, Route],
        name: str = "1",
        crash: Callable[[], bool] = lambda: False,
        **changes: Any,
    ) -> Runner:
        given = {"commit_interval": 0.02, "dead_letter_topic": DEAD, "drain_timeout": 0.5, **changes}
        settings = RunnerSettings("p", name, **given)
        source = MemorySource(self.broker, "p", list(self.topics), name, stable_timeout=0.2)
        if kind == "transactional":
            sink = CrashingSink(self.broker, "out", name)
            sink.crash = crash
            return Runner(settings, source, first, sink, reloader=Handed(take))
        store = SlowSink(self.store, max_in_flight=3, max_documents=5)
        store.crash = crash
        return Runner(settings, source, first, store, MemoryLog(self.broker, DEAD), reloader=Handed(take))

    def stamped(self, kind: str) -> list[tuple[int, bytes]]:
        """(version of the route, record) of everything delivered, in the order of the topic where there is one."""
        if kind == "transactional":
            bodies = [r.value for r in self.broker.records("out")]
        else:
            bodies = [body for _, body in list(self.store.documents.values())]  # a copy, since workers go on writing
        return [(int(version), record) for version, _, record in (body.partition(b"=") for body in bodies)]

    def delivered(self, kind: str) -> Counter[bytes]:
        return Counter(record for _, record in self.stamped(kind))


class SlowSink(CrashingStoreSink):
    def write(self, documents: Documents) -> Any:
        time.sleep(0.001)  # so that writes are in flight while routes are swapped
        return super().write(documents)


@contextmanager
def running(runner: Runner) -> Iterator[None]:
    with runner.in_background():
        yield
    assert runner.state == "stopped"


def until(question: Callable[[], bool], timeout: float = 20) -> None:
    deadline = time.monotonic() + timeout
    while not question():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def publish(world: World, values: Sequence[bytes], topic: str = "in") -> list[bytes]:
    for value in values:
        world.broker.append(topic, value, value)
    return list(values)


@BOTH
def test_records_before_go_the_old_way_and_records_after_the_new_way(kind: str) -> None:
    world, hand = World(), Hand()
    runner = world.runner(kind, hand, routes(1))
    with running(runner):
        publish(world, [b"a%d" % i for i in range(50)])
        until(lambda: world.delivered(kind).total() == 50)
        hand.new = NewRoutes(routes(2), on_drift="stop")
        until(lambda: runner.counters.reloads == 1)
        publish(world, [b"b%d" % i for i in range(50)])
        until(lambda: world.delivered(kind).total() == 100)
    assert {record[:1]: version for version, record in world.stamped(kind)} == {b"a": 1, b"b": 2}
    assert max(world.delivered(kind).values()) == 1


@BOTH
def test_a_paused_topic_is_tried_at_once_when_its_route_is_mended(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pausing, "Backoff", lambda **_: Backoff(first=1_000.0, longest=1_000.0))
    world, hand = World("in", "more"), Hand()
    runner = world.runner(kind, hand, routes(1, ("in", "more"), reads=2))
    with running(runner):
        values = publish(world, [b"ok 1", b"drift 1", b"ok 2", b"drift 2"])
        until(lambda: runner.counters.pauses > 0)
        values += publish(world, [b"more %d" % i for i in range(10)], "more")
        until(lambda: world.delivered(kind).keys() >= {b"more %d" % i for i in range(10)})
        assert not any(record.startswith(b"drift") for record in world.delivered(kind))
        hand.new = NewRoutes(routes(1, ("in", "more"), reads=3))
        until(lambda: runner.counters.reloads == 1)
        time.sleep(0.3)
        assert not any(record.startswith(b"drift") for record in world.delivered(kind)), "this one does not mend it"
        hand.new = NewRoutes(routes(2, ("in", "more"), reads=2))
        until(lambda: world.delivered(kind).total() == len(values), 5)
    assert world.delivered(kind) == Counter(values)
    assert not world.broker.records(DEAD)


@BOTH
def test_what_to_do_on_drift_changes_with_the_file(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pausing, "Backoff", lambda **_: Backoff(first=1_000.0, longest=1_000.0))
    world, hand = World(), Hand()
    runner = world.runner(kind, hand, routes(1, reads=2))
    with running(runner):
        publish(world, [b"drift 1", b"ok 1"])
        until(lambda: runner.counters.pauses > 0)
        hand.new = NewRoutes(routes(1, reads=2), on_drift="dead_letter")
        until(lambda: len(world.broker.records(DEAD)) == 1 and world.delivered(kind) == Counter([b"ok 1"]))


@BOTH
def test_a_swap_while_the_sink_is_away_delivers_what_was_read_before_it(kind: str) -> None:
    world, hand = World(), Hand()
    runner = world.runner(kind, hand, routes(1))
    with running(runner):
        values = publish(world, [b"a%d" % i for i in range(20)])
        until(lambda: world.delivered(kind).total() == 20)
        world.store.reachable = world.broker.reachable = False
        time.sleep(0.1)
        hand.new = NewRoutes(routes(2))
        until(lambda: runner.counters.reloads == 1)
        world.store.reachable = world.broker.reachable = True
        values += publish(world, [b"b%d" % i for i in range(20)])
        until(lambda: world.delivered(kind).total() == 40)
    assert world.delivered(kind) == Counter(values)


def test_the_reloader_lives_as_long_as_the_runner() -> None:
    world = World()
    runner = world.runner("writing", lambda: None, routes(1), until_idle=0.1)
    runner.run()
    reloader = runner._reloader
    assert isinstance(reloader, Handed)
    assert (reloader.started, reloader.closed) == (1, 1)


@BOTH
@pytest.mark.parametrize("seed", range(8))
def test_swaps_at_any_moment_lose_nothing_and_double_nothing(kind: str, seed: int) -> None:
    """Two workers that crash, lose partitions and find their servers away, with new routes every few batches."""
    rng = random.Random(seed)
    world = World(partitions=3)
    over = threading.Event()
    version = 1
    taken = 0
    failures: list[BaseException] = []
    runners: dict[str, Runner] = {}

    def take() -> NewRoutes | None:
        nonlocal version, taken
        if over.is_set() or rng.random() < 0.5:
            return None
        version += 1
        taken += 1
        return NewRoutes(routes(version))

    def crash() -> bool:
        return not over.is_set() and rng.random() < 0.01

    def keep_running(name: str) -> None:
        while not over.is_set():
            runners[name] = world.runner(kind, take, routes(version), name, crash)
            try:
                runners[name].run()
            except BaseException as error:  # noqa: BLE001  # whatever should not end a worker fails the test
                expected = isinstance(error, CrashError | PrismError)
                if not expected or isinstance(error, DataLossError | StageContractError):
                    failures.append(error)
                    return
            time.sleep(0.01)

    threads = [threading.Thread(target=keep_running, args=(name,), daemon=True) for name in ("1", "2")]
    for thread in threads:
        thread.start()
    good: list[bytes] = []
    bad: list[bytes] = []
    for step in range(60):
        good += publish(world, [b"ok %d %d" % (step, i) for i in range(rng.randint(0, 9))])
        bad += publish(world, [b"bad %d %d" % (step, i) for i in range(rng.randint(0, 2))])
        trouble = rng.random()
        if trouble < 0.1:
            for name in world.broker.members("p"):
                world.broker.lose("p", name)
                break
        elif trouble < 0.2 and runners:
            rng.choice(list(runners.values())).stop()
        elif trouble < 0.3:
            world.broker.reachable = world.store.reachable = False
            time.sleep(0.03)
            world.broker.reachable = world.store.reachable = True
        time.sleep(0.01)

    def complete() -> bool:
        dead = {letter.value for letter in world.broker.records(DEAD)}
        return bool(failures) or (world.delivered(kind).keys() >= set(good) and dead >= set(bad))

    until(complete, 60)
    over.set()
    for runner in list(runners.values()):
        runner.stop()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert not failures, failures
    assert taken >= 5
    assert world.delivered(kind) == Counter(good)
    assert len({v for v, _ in world.stamped(kind)}) >= 3, "the records went several ways"
    if kind == "transactional":
        assert Counter(letter.value for letter in world.broker.records(DEAD)) == Counter(bad)
