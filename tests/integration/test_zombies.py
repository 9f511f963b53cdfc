"""Two processes with one worker name: the earlier one ends fenced, whenever it wakes; nothing is overwritten or doubled."""

from __future__ import annotations

import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import IsolationLevel, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from tests.integration.harness import (
    QUIET,
    Index,
    Project,
    Publisher,
    Worker,
    event_ids,
    exactly_once,
    setup,
    wait_until,
    workers,
)
from tests.integration.proxy import Proxy
from tests.integration.test_embedded import Shop

pytestmark = [pytest.mark.slow]
real = pytest.mark.real

FENCED = 3


def named(pipeline: Path, role: str) -> Worker:
    """Worker 1, with a log of its own."""
    worker = Worker(pipeline, "1")
    worker.log = pipeline.with_suffix(f".{role}.log")
    return worker


def send(worker: Worker, number: signal.Signals) -> None:
    assert worker.process is not None
    worker.process.send_signal(number)


def ends_fenced(worker: Worker, timeout: float = 30) -> None:
    assert worker.process is not None
    code = worker.process.wait(timeout)
    said = worker.tail(5)
    assert code == FENCED, f"ended with {code}:\n{worker.tail()}"
    assert "another process" in said, said
    assert "Traceback" not in worker.tail(10_000)


# --- nobody sleeps -----------------------------------------------------------------------------------------------------


@real
@pytest.mark.parametrize("partitions", [1, 3])
def test_a_second_worker_1_of_a_kafka_pipeline_ends_the_first_even_when_nothing_flows(
    project: Project, partitions: int
) -> None:
    project.create_topics(partitions=partitions)
    pipeline = project.worker_1()
    setup(pipeline)
    publisher = Publisher(project)
    publisher.publish(0, 200)
    first, second = named(pipeline, "first"), named(pipeline, "second")

    def arrived(count: int) -> bool:
        return len(event_ids(project.servers, project.output)) == count

    with workers(first):
        wait_until(lambda: arrived(200), 60, "the first records", [first])
        with workers(second):
            ends_fenced(first)
            publisher.publish(200, 200)
            wait_until(lambda: arrived(400), 60, "the rest, from the second worker", [second])
            assert second.stop() == 0
    exactly_once(event_ids(project.servers, project.output), publisher.acknowledged)


@real
@pytest.mark.parametrize("partitions", [1, 3])
def test_a_second_worker_1_of_an_index_pipeline_ends_the_first_even_when_nothing_flows(
    project: Project, partitions: int
) -> None:
    source = publish_events(project, partitions)
    first, second = named(source.pipeline, "first"), named(source.pipeline, "second")
    source.publish(0, 200)
    index = Index(project.url, project.name)
    with workers(first):
        wait_until(lambda: index.count() == 200, 60, "the first records", [first])
        with workers(second):
            ends_fenced(first)
            source.publish(200, 200)
            wait_until(lambda: index.count() == 400, 60, "the rest, from the second worker", [second])
            assert second.stop() == 0
    exactly_once(index.event_ids(), source.acknowledged)


class Events(Publisher):
    """Standard events straight into the topic that worker 2 reads."""

    pipeline: Path

    def publish(self, start: int, count: int, *, rate: float | None = None, prefix: str = "o") -> None:
        began = time.monotonic()
        for number in range(start, start + count):
            event_id = f"{prefix}{number:07d}"
            body = b'{"id":"%s","kind":"order","time":"2023-11-14T22:13:20Z"}' % event_id.encode()
            self.raw(self.header + body, event_id, event_id.encode())
            if rate is not None and number % 20 == 0:
                time.sleep(max(0.0, (number - start) / rate - (time.monotonic() - began)))
        self.finish()

    @property
    def header(self) -> bytes:
        return b"\x00" + self.project.registry.latest("events-value").id.to_bytes(4, "big")


def publish_events(project: Project, partitions: int, **pipeline: Any) -> Events:
    """The topic, the index and a publisher for worker 2 alone; the pipeline file is the publisher's."""
    project.create_topics(partitions=partitions)
    events = Events(project)
    events.pipeline = project.worker_2(topic=project.input, **pipeline)
    setup(events.pipeline)
    return events


# --- a zombie wakes ----------------------------------------------------------------------------------------------------


def in_transaction(servers: str, topic: str, partitions: int) -> bool:
    """Whether readers of committed records are held back before the end of one partition."""
    admin = AdminClient({"bootstrap.servers": servers, **QUIET})
    places = {TopicPartition(topic, index): OffsetSpec.latest() for index in range(partitions)}
    ends = [
        {place.partition: future.result(20).offset for place, future in found.items()}
        for found in (
            admin.list_offsets(places, isolation_level=IsolationLevel.READ_UNCOMMITTED),
            admin.list_offsets(places, isolation_level=IsolationLevel.READ_COMMITTED),
        )
    ]
    return ends[0] != ends[1]


@real
def test_a_kafka_zombie_that_slept_inside_a_transaction_wakes_fenced_and_doubles_nothing(project: Project) -> None:
    project.create_topics(partitions=3)
    pipeline = project.worker_1(interval="1s")
    setup(pipeline)
    publisher = Publisher(project)
    zombie, successor = named(pipeline, "zombie"), named(pipeline, "successor")
    with workers(zombie), publisher.flowing(12_000, rate=1_000) as flow:
        wait_until(lambda: in_transaction(project.servers, project.output, 3), 60, "records", [zombie], pause=0.1)
        for _ in range(100):
            send(zombie, signal.SIGSTOP)
            time.sleep(0.2)  # what it had handed over to its sockets arrives
            if in_transaction(project.servers, project.output, 3):
                break
            send(zombie, signal.SIGCONT)
            time.sleep(0.15)
        else:
            raise AssertionError("it was never stopped inside a transaction")
        with workers(successor):
            flow.join()
            everything = len(publisher.acknowledged)
            wait_until(
                lambda: len(event_ids(project.servers, project.output)) >= everything, 60, "all records", [successor]
            )
            send(zombie, signal.SIGCONT)
            ends_fenced(zombie)
            publisher.publish(12_000, 200)
            wait_until(
                lambda: len(event_ids(project.servers, project.output)) >= everything + 200,
                60,
                "the successor goes on",
                [successor],
            )
            assert successor.stop() == 0
    exactly_once(event_ids(project.servers, project.output), publisher.acknowledged)


class Held:
    """A proxy's fault: holds bulk requests to the alias back until they are let through."""

    def __init__(self, alias: str) -> None:
        self._path = f"/{alias}/_bulk"
        self.holding = False
        self.bodies: list[bytes] = []
        self.go = threading.Event()

    def __call__(self, _method: str, path: str, body: bytes, _headers: dict[str, str]) -> None:
        if self.holding and path.startswith(self._path):
            self.bodies.append(body)
            assert self.go.wait(120)


@real
def test_an_elasticsearch_zombie_with_a_bulk_in_flight_wakes_fenced_and_overwrites_nothing(project: Project) -> None:
    with Proxy(project.url) as proxy:
        held = Held(project.name)
        proxy.fault = held
        events = publish_events(project, 3, url=proxy.url, sink='request_timeout = "60s"')
        slow = events.pipeline.rename(events.pipeline.with_name("slow.toml"))
        direct = project.worker_2(topic=project.input)
        zombie, successor = named(slow, "zombie"), named(direct, "successor")
        index = Index(project.url, project.name)
        with workers(zombie):
            events.publish(0, 500)
            wait_until(lambda: index.count() == 500, 60, "the first records", [zombie])
            held.holding = True
            events.publish(500, 500)
            wait_until(lambda: bool(held.bodies), 30, "a bulk in flight", [zombie], pause=0.05)
            send(zombie, signal.SIGSTOP)
            with workers(successor):
                wait_until(lambda: index.count() == 1_000, 60, "all records, by the successor", [successor])
                events.publish(1_000, 500)
                wait_until(lambda: index.count() == 1_500, 60, "and what came later", [successor])
                late = held.bodies[0].split(b'"_id":"')[1].split(b'"')[0].decode()
                version = index.get(f"{project.name}/_doc/{late}")["_version"]
                newer = f"{project.name}-000001/_doc/{late}?version={version + 1}&version_type=external"
                index.get(newer, {"id": "newer", "kind": "order", "time": None}, method="PUT")
                before = ledger(index, project)
                held.go.set()  # the late bulk arrives now
                send(zombie, signal.SIGCONT)
                ends_fenced(zombie)
                assert index.get(f"{project.name}/_doc/{late}")["_source"]["id"] == "newer"
                assert ledger(index, project) == before
                events.publish(1_500, 100)
                wait_until(lambda: index.count() == 1_600, 60, "the successor goes on", [successor])
                assert successor.stop() == 0
        found = index.event_ids()
        assert found.pop("newer") == 1
        missing = events.acknowledged - found.keys()
        assert len(missing) == 1
        exactly_once(found, events.acknowledged - missing)


def ledger(index: Index, project: Project) -> dict[str, Any]:
    index.get("prism-ledger/_refresh", method="POST")
    query = {"size": 1_000, "query": {"term": {"pipeline": f"{project.name}-2"}}}
    return {hit["_id"]: hit["_source"] for hit in index.get("prism-ledger/_search", query)["hits"]["hits"]}


# --- embedded storage --------------------------------------------------------------------------------------------------


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path)
    yield made
    made.close()


def test_an_embedded_zombie_of_either_pipeline_wakes_fenced_and_doubles_nothing(shop: Shop) -> None:
    zombies = named(shop.one, "zombie"), named(shop.two, "zombie")
    successors = named(shop.one, "successor"), named(shop.two, "successor")
    with workers(*zombies), shop.flowing(4_000, rate=1_000):
        wait_until(lambda: shop.documents.count("events") > 500, 30, "the first records", zombies, pause=0.1)
        for zombie in zombies:
            shop.put_to_sleep(zombie)
        with workers(*successors):
            wait_until(lambda: shop.documents.count("events") >= 4_000, 60, "all records", successors)
            for zombie in zombies:
                send(zombie, signal.SIGCONT)
            for zombie in zombies:
                ends_fenced(zombie)
            assert [successor.stop() for successor in successors] == [0, 0]
    shop.everything_once()


def test_a_worker_that_sleeps_inside_an_embedded_transaction_keeps_its_successor_out_and_doubles_nothing(
    shop: Shop,
) -> None:
    """SQLite's lock cannot be taken from a process that lives: it is named, and whoever wakes or is killed lets go of it."""
    zombie, refused, successor = (named(shop.one, role) for role in ("zombie", "refused", "successor"))
    shop.publish(0, 20_000)  # before, because the lock keeps out the producer too
    with workers(zombie):
        stop_inside_a_transaction(shop, zombie)
        with workers(refused):
            assert refused.process is not None
            assert refused.process.wait(60) == 3
        assert "is locked: another process has held its write lock" in refused.tail()
        with workers(successor):
            send(zombie, signal.SIGCONT)
            ends_fenced(zombie)
            wait_until(lambda: shop.log.count("events") >= 20_000, 60, "all records", [successor])
            assert successor.stop() == 0
    exactly_once(shop.topic_ids(), shop.acknowledged)


def stop_inside_a_transaction(shop: Shop, worker: Worker) -> None:
    wait_until(lambda: b"worker started" in worker.log.read_bytes(), 30, "it started", [worker], pause=0.01)
    for _ in range(2_000):
        send(worker, signal.SIGSTOP)
        other = sqlite3.connect(shop.log.path, isolation_level=None, timeout=0.2)
        try:
            other.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return
        else:
            other.execute("ROLLBACK")
            send(worker, signal.SIGCONT)
            time.sleep(0.003)
        finally:
            other.close()
    raise AssertionError("it was never stopped inside a transaction")
