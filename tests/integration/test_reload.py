"""``prism run`` whose files change while it runs, on embedded storage: no servers are needed, and nothing is restarted."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from prism_embedded import EmbeddedLog
from prismlib.contracts.directory import DirectoryRegistry
from tests.integration.harness import ORDER, Worker, exactly_once, setup, wait_until, workers
from tests.integration.test_embedded import Shop as OrdersShop

PIPELINE = """
name = "shop"
owner = "shop"
contact = "shop@example.org"
start = "earliest"
[source]
type = "embedded"
session_timeout = "2s"
[[route]]
topic = "orders"
decode = { type = "json", subject = "orders-value", validate = "never" }
normalize = "mappings/orders.toml"
[[route]]
topic = "returns"
decode = { type = "json", subject = "orders-value", validate = "never" }
normalize = "mappings/returns.toml"
[sink]
type = "embedded"
topic = "events"
encode = { type = "json", subject = "events-value" }
commit_interval = "100ms"
"""
MAPPING = '[event]\nid = "id"\nstamp = { const = "%s" }\n'
"""How a reader of this test tells which mapping made an event."""
OPEN = {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}


class Shop:
    """A project with two topics of JSON."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "prism.toml").write_text('[registry]\nurl = "schemas"\n')
        for subject in ("orders-value", "events-value"):
            home = folder / "schemas" / subject
            home.mkdir(parents=True)
            text = 'format = "jsonschema"\ncompatibility = "NONE"\nowner = "shop"\ncontact = "shop@example.org"\n'
            (home / "subject.toml").write_text(text)
            (home / "v1.json").write_text(json.dumps(OPEN))
        (folder / "mappings").mkdir()
        self.pipeline = folder / "shop.toml"
        self.pipeline.write_text(PIPELINE)
        self.write("orders", "one")
        self.write("returns", "one")
        setup(self.pipeline)
        self.log = EmbeddedLog(folder / ".prism")
        self.sent = 0

    def write(self, topic: str, stamp: str) -> None:
        (self.folder / "mappings" / f"{topic}.toml").write_text(MAPPING % stamp)

    def publish(self, topic: str, count: int = 1, version: int = 1, **more: object) -> None:
        header = b"\x00" + DirectoryRegistry(self.folder / "schemas").version("orders-value", version).id.to_bytes(4)
        for _ in range(count):
            self.sent += 1
            self.log.append(topic, [(None, header + json.dumps({"id": f"{topic}-{self.sent}", **more}).encode())])

    def events(self) -> list[dict[str, str]]:
        batches = self.log.read("events")
        return [json.loads(value[5:]) for batch in batches for value in batch.values if value is not None]

    def stamps(self, topic: str) -> list[str]:
        return [event["stamp"] for event in self.events() if event["id"].startswith(topic)]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path)
    yield made
    made.log.close()


def said(worker: Worker, what: str, count: int = 1) -> None:
    wait_until(lambda: worker.log.read_text().count(what) >= count, 30, what, [worker], 0.05)


def arrived(shop: Shop, *running: Worker) -> None:
    wait_until(lambda: len(shop.events()) >= shop.sent, 30, "all events", running, 0.05)


def hang_up(worker: Worker) -> None:
    assert worker.process is not None
    worker.process.send_signal(signal.SIGHUP)


def test_mappings_change_while_records_flow_and_each_record_is_there_once(shop: Shop) -> None:
    worker = Worker(shop.pipeline)
    with workers(worker):
        shop.publish("orders", 20)
        arrived(shop, worker)
        for n, stamp in enumerate(["two", "three", "four"], 1):
            shop.write("orders", stamp)
            while worker.log.read_text().count("new routes in use") < n:
                shop.publish("orders")
                time.sleep(0.02)
                assert worker.running(), worker.tail()
        shop.publish("orders", 20)
        arrived(shop, worker)
        assert worker.stop() == 0
    stamps = shop.stamps("orders")
    assert set(stamps) == {"one", "two", "three", "four"}
    assert len({event["id"] for event in shop.events()}) == len(stamps) == shop.sent
    assert "reloads=3" in worker.log.read_text()


def test_a_paused_topic_goes_on_at_once_when_its_mapping_is_mended(tmp_path: Path) -> None:
    shop = OrdersShop(tmp_path)
    worker = Worker(shop.one)
    mapping = tmp_path / "mappings" / "orders.toml"
    with workers(worker):
        shop.publish(0, 10)
        wait_until(lambda: shop.log.count("events") == 10, 30, "the first records", [worker])
        fields = [{"name": "id", "type": "string"}, {"name": "at", "type": "string"}, *ORDER["fields"][2:]]
        (tmp_path / "schemas" / "orders-value" / "v2.avsc").write_text(json.dumps({**ORDER, "fields": fields}))
        for n in range(3):
            body = {"id": f"d{n}", "at": "2023-11-14T22:13:20Z", "amount": None, "note": ""}
            shop.log.append("orders", [(b"d%d" % n, shop.encode(body, version=2))])
        said(worker, "route paused, nothing is skipped")
        said(worker, "route still paused", 4)  # so the next probe is far away
        waits = float(worker.log.read_text().rpartition("probe_in_seconds=")[2].split()[0])
        paused = time.monotonic()
        assert shop.log.count("events") == 10
        mapping.write_text(mapping.read_text().replace("epoch_ms", "iso8601"))
        wait_until(lambda: shop.log.count("events") == 13, 30, "the records of the new schema", [worker], 0.05)
        took = time.monotonic() - paused
        assert worker.stop() == 0
    assert took < waits, f"it took {took:.1f} s, and the pause was {waits} s long"
    exactly_once(shop.topic_ids(), shop.acknowledged | {"d0", "d1", "d2"})
    assert shop.letters("shop") == []
    assert worker.log.read_text().count("worker started") == 1
    shop.close()


def test_a_wrong_file_and_one_that_needs_a_restart_are_said_and_change_nothing(shop: Shop) -> None:
    worker = Worker(shop.pipeline)
    mapping = shop.folder / "mappings" / "orders.toml"
    with workers(worker):
        shop.publish("orders")
        arrived(shop, worker)
        mapping.write_text('[event]\nid = { from = "id", cst = "int" }\n')
        said(worker, "changed files cannot be used, the worker goes on with what it read before")
        mapping.unlink()
        said(worker, "mappings/orders.toml: no such file")
        shop.publish("orders")
        arrived(shop, worker)
        shop.write("orders", "two")
        said(worker, "new routes in use")
        shop.pipeline.write_text(PIPELINE.replace('topic = "events"', 'topic = "elsewhere"'))
        shop.write("orders", "three")
        said(worker, "a change needs a restart, the worker goes on with everything as it was")
        shop.publish("orders")
        arrived(shop, worker)
        assert worker.stop() == 0
    log = worker.log.read_text()
    assert "event.id: unknown key 'cst'" in log
    assert f"{shop.pipeline}: only a restart can change [sink] topic" in log
    assert shop.stamps("orders") == ["one", "one", "two"]
    assert "Traceback" not in log


def test_hangups_at_any_moment_lose_nothing(shop: Shop) -> None:
    """While it starts, decides where to begin, has a transaction open, and stops."""
    worker = Worker(shop.pipeline)
    shop.publish("orders", 50)
    with workers(worker):
        said(worker, "worker started")
        for _ in range(40):
            hang_up(worker)
            shop.publish("orders")
            time.sleep(0.01)
        arrived(shop, worker)
        assert worker.process is not None
        worker.process.terminate()
        while worker.running():
            hang_up(worker)
            time.sleep(0.001)
        # The very end of the process has no handler any more.
        assert worker.process.returncode in {0, -signal.SIGHUP}
    assert len(shop.stamps("orders")) == shop.sent
    assert "new routes in use changed=nothing" in worker.log.read_text()


def test_a_hangup_reaches_all_workers_even_those_that_are_starting(shop: Shop) -> None:
    group = Worker(shop.pipeline, "1", "--workers", "2")
    with workers(group):
        wait_until(lambda: len(children(group)) == 2, 30, "both workers are processes", [group], 0.01)
        hang_up(group)  # they import Prism now, and would end by the signal if it were not held back
        said(group, "new routes in use", 2)
        shop.publish("orders", 10)
        shop.publish("returns", 10)
        arrived(shop, group)
        hang_up(group)
        said(group, "new routes in use", 4)
        assert group.stop() == 0


def children(worker: Worker) -> list[str]:
    assert worker.process is not None
    pid = worker.process.pid
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
