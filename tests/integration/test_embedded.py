"""``prism run`` on embedded storage: killed, locked out, on a full disk, with bad records. No servers are needed."""

from __future__ import annotations

import json
import random
import resource
import signal
import sqlite3
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import fastavro
import pytest

from prism_embedded import EmbeddedDocuments, EmbeddedLog
from prismlib.contracts.directory import DirectoryRegistry
from tests.integration.harness import ORDER, Worker, exactly_once, setup, wait_until, workers, write_project

ONE = """
name = "shop"
owner = "shop"
contact = "shop@example.org"
start = "earliest"
[source]
type = "embedded"
session_timeout = "2s"
{routes}
[sink]
type = "embedded"
topic = "events"
encode = {{ type = "json", subject = "events-value" }}
commit_interval = "300ms"
"""
ROUTE = """
[[route]]
topic = "{topic}"
decode = {{ type = "avro", subject = "orders-value" }}
normalize = "mappings/orders.toml"
"""
TWO = """
name = "shop-index"
owner = "shop"
contact = "shop@example.org"
start = "earliest"
[source]
type = "embedded"
session_timeout = "2s"
[[route]]
topic = "events"
# so that the sink meets what its own check must find
decode = { type = "json", subject = "events-value", validate = "never" }
[sink]
type = "embedded"
alias = "events"
commit_interval = "300ms"
"""


class Shop:
    """A project on embedded storage, and its producer: what ``append`` took is what must arrive."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        write_project(folder)
        self.one = self.pipeline("one", ["orders"])
        self.two = folder / "two.toml"
        self.two.write_text(TWO)
        setup(self.one, self.two)
        self.log = EmbeddedLog(folder / ".prism")
        self.documents = EmbeddedDocuments(folder / ".prism")
        self.acknowledged: set[str] = set()

    def pipeline(self, name: str, topics: list[str]) -> Path:
        path = self.folder / f"{name}.toml"
        path.write_text(ONE.format(routes="".join(ROUTE.format(topic=topic) for topic in topics)))
        return path

    def encode(self, body: dict[str, object], version: int = 1) -> bytes:
        schema = json.loads((self.folder / "schemas" / "orders-value" / f"v{version}.avsc").read_text())
        registry = DirectoryRegistry(self.folder / "schemas")
        out = BytesIO(struct.pack(">bI", 0, registry.version("orders-value", version).id))
        out.seek(5)
        fastavro.schemaless_writer(out, schema, body)
        return out.getvalue()

    def publish(self, start: int, count: int, topic: str = "orders", *, rate: float | None = None) -> None:
        """``rate`` is in records a second; None is as fast as it goes."""
        prefix = self.encode({"id": "", "at": 0, "amount": None, "note": ""})[:5]
        began = time.monotonic()
        for first in range(start, start + count, 100):
            chunk = []
            for n in range(first, min(first + 100, start + count)):
                out = BytesIO(prefix)
                out.seek(5)
                body = {"id": f"o{n:07d}", "at": 1_700_000_000_000 + n, "amount": n / 4, "note": "n" * (n % 40)}
                fastavro.schemaless_writer(out, ORDER, body)
                chunk.append((b"o%07d" % n, out.getvalue()))
            self.log.append(topic, chunk)
            self.acknowledged |= {key.decode() for key, _ in chunk}
            if rate is not None:
                time.sleep(max(0.0, (first - start) / rate - (time.monotonic() - began)))

    @contextmanager
    def flowing(self, count: int, rate: float) -> Iterator[threading.Thread]:
        thread = threading.Thread(target=self.publish, args=(0, count), kwargs={"rate": rate})
        thread.start()
        try:
            yield thread
        finally:
            thread.join()

    def topic_ids(self, topic: str = "events") -> Counter[str]:
        return Counter(
            json.loads(value[5:])["id"] for batch in self.log.read(topic) for value in batch.values if value is not None
        )

    def index_ids(self) -> Counter[str]:
        return Counter(document["id"] for _, document in self.documents.all("events"))

    def everything_once(self) -> None:
        exactly_once(self.topic_ids(), self.acknowledged)
        exactly_once(self.index_ids(), self.acknowledged)

    def indexed(self) -> bool:
        return self.documents.count("events") >= len(self.acknowledged)

    def letters(self, pipeline: str) -> list[tuple[bytes | None, bytes | None, dict[str, bytes | None]]]:
        return [
            (key, value, dict(headers or ()))
            for batch in self.log.read(f"{pipeline}.dead-letters")
            for key, value, headers in zip(batch.keys, batch.values, batch.headers, strict=True)
        ]

    def owners(self) -> int:
        """How many workers of the first pipeline have partitions."""
        rows = self.log._database.query("SELECT count(DISTINCT owner) FROM leases WHERE group_name = 'shop'")
        return int(rows[0][0])

    def put_to_sleep(self, worker: Worker) -> None:
        """Stop it, but not inside a transaction: its lock would keep everybody waiting, and no one could be fenced."""
        assert worker.process is not None
        for _ in range(100):
            worker.process.send_signal(signal.SIGSTOP)
            other = sqlite3.connect(self.log.path, isolation_level=None, timeout=1.0)
            try:
                other.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                worker.process.send_signal(signal.SIGCONT)
            else:
                return
            finally:
                other.close()
        raise AssertionError("it always holds the write lock")

    def close(self) -> None:
        self.log.close()
        self.documents.close()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path)
    yield made
    made.close()


KILLS = 10


def is_up(worker: Worker, since: int) -> bool:
    """Behind this place of its log it was given partitions, so its signal handlers are there."""
    return b"start partition=" in worker.log.read_bytes()[since:]


@pytest.mark.slow
def test_every_record_is_there_exactly_once_after_ten_kills_of_two_workers_of_one_group_and_their_successor(
    shop: Shop,
) -> None:
    rng = random.Random(20130101)
    group = [Worker(shop.one, "1"), Worker(shop.one, "2")]
    index = Worker(shop.two)
    since = dict.fromkeys((*group, index), 0)
    with workers(*group, index), shop.flowing(30_000, rate=2_000) as flow:
        for kill in range(KILLS):
            victim = rng.choice([*group, *group, index])
            time.sleep(rng.uniform(0.3, 1.5))
            victim.kill()
            if kill % 3 == 0:
                time.sleep(rng.uniform(1.0, 4.0))  # around the session time-out: the other takes over, or not yet
            since[victim] = victim.log.stat().st_size
            victim.start()
        flow.join()
        wait_until(shop.indexed, 60, "all records in the index", [*group, index])
        everybody_up = "who was killed last is up again"
        wait_until(lambda: all(is_up(*each) for each in since.items()), 30, everybody_up, [*group, index])
        assert [worker.stop() for worker in (*group, index)] == [0, 0, 0]
    assert len(shop.acknowledged) == 30_000
    shop.everything_once()
    assert "Traceback" not in "".join(worker.tail(10_000) for worker in (*group, index))


@pytest.mark.slow
def test_a_worker_that_sleeps_longer_than_its_session_wakes_as_a_zombie_and_doubles_nothing(shop: Shop) -> None:
    group = [Worker(shop.one, "1"), Worker(shop.one, "2")]
    with workers(*group):
        with shop.flowing(12_000, rate=2_000):
            for victim in (group[0], group[1], group[0]):
                other = group[1 - group.index(victim)]
                wait_until(lambda: shop.owners() == 2, 30, "both have partitions", group)
                lost = other.log.read_text().count("gave no sign of life")
                shop.put_to_sleep(victim)
                wait_until(
                    lambda o=other, n=lost: o.log.read_text().count("gave no sign of life") > n, 30, "it noticed"
                )
                assert victim.process is not None
                victim.process.send_signal(signal.SIGCONT)
        wait_until(lambda: shop.log.count("events") >= 12_000, 60, "all records", group)
        assert [worker.stop() for worker in group] == [0, 0]
    exactly_once(shop.topic_ids(), shop.acknowledged)
    assert "partitions lost to another member" in group[0].log.read_text()


def test_a_full_disk_loses_nothing_and_both_workers_go_on_when_there_is_room(shop: Shop) -> None:
    """A limit on file sizes, set on the running workers, stands for the disk: SQLite gets the error from the same write."""
    one, two = Worker(shop.one), Worker(shop.two)
    with workers(one, two):
        shop.publish(0, 500)
        wait_until(shop.indexed, 30, "the first records", [one, two])
        for worker in (one, two):
            limit_file_size(worker, 1 << 16)
        shop.publish(500, 5_000)
        for worker in (one, two):
            wait_until(lambda w=worker: "cannot be written" in w.log.read_text(), 30, "the limit was met", [one, two])
        said = one.log.read_text()
        assert "its disk is full, or a limit on file sizes is reached; make room there" in said
        for worker in (one, two):
            limit_file_size(worker, resource.RLIM_INFINITY)
        wait_until(shop.indexed, 60, "all records in the index", [one, two])
        assert [one.stop(), two.stop()] == [0, 0]
    shop.everything_once()
    assert "Traceback" not in one.tail(10_000) + two.tail(10_000)


def limit_file_size(worker: Worker, size: int) -> None:
    assert worker.process is not None
    resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_a_locked_file_is_waited_for(shop: Shop) -> None:
    one, two = Worker(shop.one), Worker(shop.two)
    with workers(one, two):
        shop.publish(0, 500)
        wait_until(shop.indexed, 30, "the first records", [one, two])
        shop.publish(500, 500)
        shell = sqlite3.connect(shop.log.path, isolation_level=None, timeout=30)
        shell.execute("BEGIN IMMEDIATE")
        for worker in (one, two):
            wait_until(lambda w=worker: "is locked" in w.log.read_text(), 30, "the lock was met", [one, two])
        shell.execute("ROLLBACK")
        shell.close()
        shop.publish(1_000, 500)
        wait_until(shop.indexed, 60, "all records in the index", [one, two])
        assert [one.stop(), two.stop()] == [0, 0]
    shop.everything_once()
    said = one.log.read_text()
    assert f"{shop.log.path} is locked: another process has held its write lock for more than 5 s" in said
    assert "gave no sign of life" not in said + two.log.read_text(), "nobody is taken for dead while nobody can write"


def test_bad_records_are_dead_letters_and_their_neighbours_are_delivered(shop: Shop) -> None:
    good = shop.encode({"id": "o1", "at": 1, "amount": None, "note": ""})
    bad = {
        b"poison": b"this is no Avro at all",
        b"truncated": good[:-3],
        b"unknown-schema": good[:1] + b"\x00\x00\x00\x01" + good[5:],
        b"empty": b"",
        b"trailing": good + b"\x00",
    }
    shop.publish(0, 40)
    shop.log.append("orders", [(key, value, [("trace", b"t")]) for key, value in bad.items()])
    shop.publish(40, 40)
    header = struct.pack(">bI", 0, DirectoryRegistry(shop.folder / "schemas").latest("events-value").id)
    refused = {b"two": b'{"id": "x"}\n{"id": "y"}', b"list": b'["x"]', b"cut": b'{"id": "x'}
    shop.log.append("events", [(key, header + body) for key, body in refused.items()])
    one, two = Worker(shop.one), Worker(shop.two)
    with workers(one, two):
        wait_until(shop.indexed, 30, "all good records in the index", [one, two])
        wait_until(lambda: len(shop.letters("shop-index")) >= 3, 30, "the dead letters", [one, two])
        assert [one.stop(), two.stop()] == [0, 0]
    exactly_once(shop.index_ids(), shop.acknowledged)
    letters = {key: (value, headers) for key, value, headers in shop.letters("shop")}
    assert len(shop.letters("shop")) == len(letters) == len(bad)
    for key, (value, headers) in letters.items():
        assert key is not None
        assert value == bad[key]
        assert headers["trace"] == b"t"
        assert (headers["prism.stage"], headers["prism.topic"]) == (b"decode", b"orders")
        assert headers["prism.reason"]
    assert {key: headers["prism.stage"] for key, _, headers in shop.letters("shop-index")} == dict.fromkeys(
        refused, b"write"
    )


def test_a_schema_that_cannot_be_read_pauses_its_topic_alone_and_nothing_is_skipped(shop: Shop) -> None:
    pipeline = shop.pipeline("both", ["orders", "returns"])
    setup(pipeline)
    shop.publish(0, 10)
    worker = Worker(pipeline)
    with workers(worker):
        wait_until(lambda: shop.log.count("events") == 10, 30, "the first records", [worker])
        fields = [{"name": "id", "type": "string"}, {"name": "at", "type": "string"}, *ORDER["fields"][2:]]
        (shop.folder / "schemas" / "orders-value" / "v2.avsc").write_text(json.dumps({**ORDER, "fields": fields}))
        for n in range(3):
            body = {"id": f"d{n}", "at": "2023-11-14T22:13:20Z", "amount": None, "note": ""}
            shop.log.append("orders", [(b"d%d" % n, shop.encode(body, version=2))])
        shop.publish(1_000, 20, "returns")
        wait_until(lambda: "route paused, nothing is skipped" in worker.log.read_text(), 30, "the pause", [worker])
        shop.publish(2_000, 20, "returns")
        wait_until(lambda: shop.log.count("events") == 50, 30, "the other topic goes on", [worker])
        assert worker.stop() == 0
    assert shop.letters("shop") == []
    mapping = shop.folder / "mappings" / "orders.toml"
    mapping.write_text(mapping.read_text().replace("epoch_ms", "iso8601"))
    again = Worker(pipeline, "1", "--until-idle", "0.5")
    with workers(again):
        assert again.process is not None
        assert again.process.wait(60) == 0
    exactly_once(shop.topic_ids(), shop.acknowledged | {"d0", "d1", "d2"})
    assert shop.letters("shop") == []
