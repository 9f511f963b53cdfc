"""What the tests on real servers share: a project on disk, producers that remember what was acknowledged, workers to kill.

The oracle is what the brokers acknowledged to the producers, kept in this process. Nothing here asks Prism what it did.
"""

from __future__ import annotations

import json
import os
import random
import signal
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import urllib3
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from prism_devservers import Kafka, make_tls
from prismlib.contracts.directory import DirectoryRegistry

QUIET = {"log_level": 0, "error_cb": lambda _: None}

ORDER = {
    "type": "record",
    "name": "Order",
    "namespace": "shop",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "amount", "type": ["null", "double"], "default": None},
        {"name": "note", "type": "string", "default": ""},
    ],
}
EVENT = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "kind": {"type": "string"},
        "time": {"type": "string", "format": "date-time"},
    },
    "required": ["id", "kind", "time"],
}

SUBJECT = """
format = "{format}"
compatibility = "BACKWARD"
owner = "shop"
contact = "shop@example.org"
"""

MAPPING = """
[event]
id = "id"
kind = { const = "order" }
time = { from = "at", parse = "epoch_ms" }
[event.measures]
amount = "amount"
[event.attributes]
note = "note"
"""

WORKER_1 = """
name = "{name}"
owner = "shop"
contact = "shop@example.org"
start = "earliest"
[source]
type = "kafka"
servers = "{servers}"
[source.options]
{options}
[[route]]
topic = "{topic}"
decode = {{ type = "avro", subject = "orders-value" }}
normalize = "mappings/orders.toml"
[sink]
type = "kafka"
topic = "{output}"
encode = {{ type = "json", subject = "events-value" }}
commit_interval = "{interval}"
"""

WORKER_2 = """
name = "{name}"
owner = "shop"
contact = "shop@example.org"
start = "earliest"
{extra}
[source]
type = "kafka"
servers = "{servers}"
[source.options]
{options}
[[route]]
topic = "{topic}"
decode = {{ type = "json", subject = "events-value", validate = "{validate}" }}
[sink]
type = "elasticsearch"
url = "{url}"
alias = "{alias}"
time_field = "time"
commit_interval = "{interval}"
{sink}
"""

FAST_GROUP = '"session.timeout.ms" = 3000\n"heartbeat.interval.ms" = 500'


def write_project(folder: Path) -> None:
    """Schemas and mapping of orders, as a user would have them."""
    for subject, fmt, file, schema in (
        ("orders-value", "avro", "v1.avsc", ORDER),
        ("events-value", "jsonschema", "v1.json", EVENT),
    ):
        home = folder / "schemas" / subject
        home.mkdir(parents=True)
        (home / "subject.toml").write_text(SUBJECT.format(format=fmt))
        (home / file).write_text(json.dumps(schema))
    (folder / "prism.toml").write_text('[registry]\nurl = "schemas"\n')
    (folder / "mappings").mkdir()
    (folder / "pipelines").mkdir()
    (folder / "mappings" / "orders.toml").write_text(MAPPING)


class Project:
    """A folder as a user would have it: schemas, mapping, pipelines."""

    def __init__(self, folder: Path, servers: str, url: str, name: str) -> None:
        self.folder, self.servers, self.url, self.name = folder, servers, url, name
        self.input, self.output = f"{name}-orders", f"{name}-events"
        write_project(folder)
        self.registry = DirectoryRegistry(folder / "schemas")
        self.framing = struct.pack(">bI", 0, self.registry.latest("orders-value").id)

    def worker_1(self, *, options: str = FAST_GROUP, interval: str = "500ms", servers: str | None = None) -> Path:
        text = WORKER_1.format(
            name=f"{self.name}-1",
            servers=servers or self.servers,
            topic=self.input,
            output=self.output,
            options=options,
            interval=interval,
        )
        # Beside the mapping's own folder, as in the sample: paths are relative to the pipeline file's project.
        return self._pipeline("one", text)

    def worker_2(
        self,
        *,
        options: str = FAST_GROUP,
        interval: str = "500ms",
        url: str | None = None,
        extra: str = "",
        sink: str = "",
        topic: str | None = None,
        validate: str = "always",
        servers: str | None = None,
    ) -> Path:
        text = WORKER_2.format(
            name=f"{self.name}-2",
            servers=servers or self.servers,
            topic=topic or self.output,
            url=url or self.url,
            alias=self.name,
            options=options,
            interval=interval,
            extra=extra,
            sink=sink,
            validate=validate,
        )
        return self._pipeline("two", text)

    def _pipeline(self, name: str, text: str) -> Path:
        path = self.folder / "pipelines" / f"{name}.toml"
        path.write_text(text)
        return path

    def create_topics(self, partitions: int = 3, **config: str) -> None:
        create_topic(self.servers, self.input, partitions, **config)

    def order(self, number: int, prefix: str = "o") -> tuple[str, bytes]:
        event_id = f"{prefix}{number:07d}"
        out = BytesIO()
        body = {"id": event_id, "at": 1_700_000_000_000 + number, "amount": number / 4, "note": "n" * (number % 40)}
        fastavro.schemaless_writer(out, ORDER, body)
        return event_id, self.framing + out.getvalue()


def create_topic(servers: str, topic: str, partitions: int = 1, **config: str) -> None:
    admin = AdminClient({"bootstrap.servers": servers, **QUIET})
    names = {key.replace("_", "."): value for key, value in config.items()}
    admin.create_topics([NewTopic(topic, partitions, 1, config=names)])[topic].result(20)


@contextmanager
def guarded_broker(folder: Path, password: str, *users: str, administrators: Sequence[str] = ()) -> Iterator[Kafka]:
    """A broker with SASL_SSL that gives its users what ACLs say, and administrators all.

    Its plain listener belongs to the test. The certificates to trust are in ``ca.pem`` of ``folder``, which is made.
    """
    folder.mkdir()
    make_tls(folder)
    config = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": ";".join(f"User:{name}" for name in ("ANONYMOUS", *administrators)),
    }
    passwords = dict.fromkeys((*users, *administrators), password)
    with Kafka(config, security="SASL_SSL", users=passwords, tls=folder) as kafka:
        yield kafka


class Publisher:
    """Publishes orders and remembers those that the broker acknowledged."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.acknowledged: set[str] = set()
        conf = {"bootstrap.servers": project.servers, "enable.idempotence": True, "linger.ms": 5, **QUIET}
        self._producer = Producer(conf)

    def publish(self, start: int, count: int, *, rate: float | None = None, prefix: str = "o") -> None:
        """``rate`` is in records a second; None is as fast as it goes."""
        began = time.monotonic()
        for i in range(count):
            event_id, value = self.project.order(start + i, prefix)
            self.raw(value, event_id)
            if rate is not None and i % 100 == 0:
                time.sleep(max(0.0, i / rate - (time.monotonic() - began)))
        self.finish()

    def raw(self, value: bytes | None, event_id: str | None = None, key: bytes | None = None, **where: Any) -> None:
        def delivered(error: KafkaError | None, _: object) -> None:
            if error is None and event_id is not None:
                self.acknowledged.add(event_id)

        while True:
            try:
                self._producer.produce(self.project.input, value, key, on_delivery=delivered, **where)
                break
            except BufferError:
                self._producer.poll(0.1)
        self._producer.poll(0)

    def finish(self) -> None:
        assert self._producer.flush(120) == 0

    @contextmanager
    def flowing(self, count: int, rate: float) -> Iterator[threading.Thread]:
        """Publish in the background; joined at the end of the block."""
        thread = threading.Thread(target=self.publish, args=(0, count), kwargs={"rate": rate})
        thread.start()
        try:
            yield thread
        finally:
            thread.join()


class Worker:
    """One ``prism run`` process."""

    def __init__(self, pipeline: Path, name: str = "1", *arguments: str) -> None:
        self.pipeline, self.name, self.arguments = pipeline, name, arguments
        self.log = pipeline.with_suffix(f".{name}.log")
        self.process: subprocess.Popen[bytes] | None = None
        self._begin = 0  # of this process in the log, which its predecessors have written to

    def start(self) -> Worker:
        command = [sys.executable, "-m", "prismlib.cli.main", "run", str(self.pipeline), "--worker", self.name]
        with self.log.open("ab") as log:
            self._begin = log.tell()
            self.process = subprocess.Popen(
                [*command, *self.arguments], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        return self

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        assert self.process.poll() is None, f"the worker ended by itself with {self.process.returncode}:\n{self.tail()}"
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self, timeout: float = 60) -> int:
        """SIGTERM, once it listens: before that the signal ends any process at once."""
        assert self.process is not None
        deadline = time.monotonic() + timeout
        while self.running() and b"worker started" not in self.log.read_bytes()[self._begin :]:
            assert time.monotonic() < deadline, f"the worker did not start:\n{self.tail()}"
            time.sleep(0.05)
        if self.running():
            self.process.terminate()
        return self.process.wait(timeout)

    def tail(self, lines: int = 60) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None


@contextmanager
def workers(*all_of_them: Worker) -> Iterator[None]:
    """Start them; end whatever still runs, and print the logs when the block failed."""
    try:
        for worker in all_of_them:
            worker.start()
        yield
    except BaseException:
        for worker in all_of_them:
            print(f"--- {worker.log}\n{worker.tail()}")
        raise
    finally:
        for worker in all_of_them:
            if worker.running():
                assert worker.process is not None
                worker.process.kill()
                worker.process.wait()


def prism(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a ``prism`` command to its end."""
    command = [sys.executable, "-m", "prismlib.cli.main", *map(str, arguments)]
    env = {**os.environ, "COLUMNS": "160"}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120, check=False, env=env)


def setup(*pipelines: Path) -> None:
    for pipeline in pipelines:
        done = prism("setup", pipeline, "--yes")
        assert done.returncode == 0, done.stdout + done.stderr


def read_topic(servers: str, topic: str) -> list[tuple[bytes | None, bytes | None, dict[str, bytes | None]]]:
    """Everything committed in a topic, as (key, value, headers)."""
    conf = {
        "bootstrap.servers": servers,
        "group.id": f"oracle-{time.time_ns()}",
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "earliest",
        **QUIET,
    }
    consumer = Consumer(conf)
    try:
        metadata = consumer.list_topics(topic, timeout=20).topics[topic]
        if metadata.error is not None:
            return []
        partitions = set(metadata.partitions)
        consumer.assign([TopicPartition(topic, p, 0) for p in partitions])
        found: list[tuple[bytes | None, bytes | None, dict[str, bytes | None]]] = []
        deadline = time.monotonic() + 60
        while partitions:
            assert time.monotonic() < deadline, f"cannot read {topic} to its end: partitions {partitions} are left"
            for message in consumer.consume(5000, 0.5):
                error = message.error()
                if error is None:
                    found.append((message.key(), message.value(), dict(message.headers() or ())))
                elif error.code() == KafkaError._PARTITION_EOF:
                    partitions.discard(message.partition())
                else:
                    raise AssertionError(str(error))
        return found
    finally:
        consumer.close()


def event_ids(servers: str, topic: str) -> Counter[str]:
    """How often each event stands in a topic of standard events."""
    return Counter(json.loads(value[5:])["id"] for _, value, _ in read_topic(servers, topic) if value is not None)


class Tail:
    """Counts the committed records of a topic as they come, also over restarts of its broker."""

    def __init__(self, servers: str, topic: str) -> None:
        conf = {"bootstrap.servers": servers, "group.id": "tail", "isolation.level": "read_committed", **QUIET}
        self._consumer = Consumer(conf)
        partitions = self._consumer.list_topics(topic, timeout=20).topics[topic].partitions
        self._consumer.assign([TopicPartition(topic, p, 0) for p in partitions])
        self._count = 0

    def count(self) -> int:
        self._count += sum(message.error() is None for message in self._consumer.consume(5000, 0.02))
        return self._count

    def close(self) -> None:
        self._consumer.close()


class Index:
    """Reads an index through plain HTTP."""

    def __init__(self, url: str, alias: str) -> None:
        self.url, self.alias = url, alias
        self._http = urllib3.PoolManager(retries=urllib3.Retry(3, backoff_factor=0.3))

    def get(self, path: str, body: Any = None, method: str = "GET") -> Any:
        answer = self._http.request(method, f"{self.url}/{path}", json=body, timeout=30)
        assert answer.status == 200, f"{path}: {answer.status} {answer.data[:500]!r}"
        return answer.json()

    def count(self) -> int:
        self.get(f"{self.alias}/_refresh", method="POST")
        return int(self.get(f"{self.alias}/_count")["count"])

    def event_ids(self) -> Counter[str]:
        """How often each event stands in the index."""
        self.get(f"{self.alias}/_refresh", method="POST")
        found: Counter[str] = Counter()
        after: list[Any] | None = None
        while True:
            body: dict[str, Any] = {"size": 10_000, "_source": ["id"], "sort": ["_origin.p", "_origin.o"]}
            if after is not None:
                body["search_after"] = after
            hits = self.get(f"{self.alias}/_search", body)["hits"]["hits"]
            if not hits:
                return found
            found.update(hit["_source"]["id"] for hit in hits)
            after = hits[-1]["sort"]


def wait_until(
    question: Callable[[], bool], timeout: float, what: str, watched: Sequence[Worker] = (), pause: float = 0.5
) -> None:
    """Ask again and again; says which worker died meanwhile."""
    deadline = time.monotonic() + timeout
    while not question():
        for worker in watched:
            assert worker.running(), f"the worker ended by itself:\n{worker.tail()}"
        assert time.monotonic() < deadline, f"not after {timeout} s: {what}"
        time.sleep(pause)


def exactly_once(found: Counter[str], expected: set[str]) -> None:
    missing = expected - found.keys()
    extra = found.keys() - expected
    twice = [event for event, n in found.items() if n > 1]
    assert not missing, f"{len(missing)} of {len(expected)} records are missing, such as {sorted(missing)[:5]}"
    assert not twice, f"{len(twice)} records are there twice or more, such as {sorted(twice)[:5]}"
    assert not extra, f"{len(extra)} records that nobody published, such as {sorted(extra)[:5]}"


def random_pause(rng: random.Random, shortest: float, longest: float) -> None:
    time.sleep(rng.uniform(shortest, longest))
