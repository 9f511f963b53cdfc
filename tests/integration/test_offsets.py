"""``prism offsets`` on real servers: a worker starts where an operator said, whichever of ledger and broker wins otherwise.

What was read again is counted by the servers: records in the output topic, sequence numbers of the index.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from prism_kafka.cluster import Cluster
from prism_kafka.group import KafkaGroup
from prismlib.records import Partition
from tests.integration.harness import (
    FAST_GROUP,
    QUIET,
    Index,
    Project,
    Worker,
    create_topic,
    prism,
    read_topic,
    setup,
    wait_until,
    workers,
)

pytestmark = [pytest.mark.real, pytest.mark.slow]

T = 1_700_000_000_000
MINUTE = 60_000
COUNT = 40


def offsets(command: str, pipeline: Path, *options: object, code: int = 0) -> dict[str, Any]:
    done = prism("offsets", command, pipeline, "--json", *map(str, options))
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return {**json.loads(done.stdout), "stderr": done.stderr}


def ends(pipeline: Path) -> tuple[int | None, int | None, int]:
    """Next offset in the ledger and with the broker, and the ledger's epoch."""
    (one,) = offsets("show", pipeline)["partitions"]
    ledger, broker = one["ledger"] or {}, one["broker"] or {}
    return ledger.get("next_offset"), broker.get("next_offset"), ledger.get("ledger_epoch", -1)


class Pipeline:
    """One that has read everything, and a count of what it has written since the last look."""

    def __init__(self, project: Project, path: Path, topic: str, written: Callable[[], int]) -> None:
        self.project, self.path, self.topic = project, path, topic
        self._written = written
        self._before = 0

    def run(self) -> int:
        done = prism("run", self.path, "--until-idle", "2")
        assert done.returncode == 0, done.stderr
        now = self._written()
        new, self._before = now - self._before, now
        return new

    def alter_broker(self, to: int) -> None:
        """As another tool does, or a reset that crashed before it came to the ledger."""
        name = f"{self.project.name}-{1 if self.path.name == 'one.toml' else 2}"
        group = KafkaGroup(self.project.servers, {}, group=name)
        group.open()
        group.alter({Partition(self.topic, 0): to})
        group.close()


@pytest.fixture(params=["kafka", "elasticsearch"])
def pipeline(request: pytest.FixtureRequest, project: Project) -> Pipeline:
    producer = Producer({"bootstrap.servers": project.servers, **QUIET})
    if request.param == "kafka":
        topic, path = project.input, project.worker_1()
        values = [project.order(n)[1] for n in range(COUNT)]
    else:
        topic, path = project.output, project.worker_2(validate="never")
        framing = b"\0" + project.registry.latest("events-value").id.to_bytes(4, "big")
        event = {"kind": "order", "time": "2023-11-14T22:13:20Z"}
        values = [framing + json.dumps({"id": f"o{n}", **event}).encode() for n in range(COUNT)]
    create_topic(project.servers, topic, **{"retention.ms": "-1"})  # the records are years old
    setup(path)
    for n, value in enumerate(values):
        producer.produce(topic, value, b"k%d" % n, 0, timestamp=T + n * MINUTE)
    assert producer.flush(30) == 0
    index = Index(project.url, project.name)

    def rewritten() -> int:
        """How often anything was written to the one shard of the index, counted by its sequence numbers."""
        index.get(f"{project.name}/_refresh", method="POST")
        body = {"size": COUNT, "seq_no_primary_term": True}
        hits = index.get(f"{project.name}/_search", body)["hits"]["hits"]
        return 1 + max(hit["_seq_no"] for hit in hits) if hits else 0

    def produced() -> int:
        return len(read_topic(project.servers, project.output))

    made = Pipeline(project, path, topic, produced if request.param == "kafka" else rewritten)
    assert made.run() == COUNT
    return made


def test_a_worker_starts_where_it_was_told_after_each_kind_of_reset(pipeline: Pipeline) -> None:
    fresh = ends(pipeline.path)[2]
    assert ends(pipeline.path) == (COUNT, COUNT, fresh)
    shown = offsets("show", pipeline.path)
    (one,) = shown["partitions"]
    assert (one["state"], one["lag"], one["ledger"]["last_settled_ms"]) == ("equal", 0, T + (COUNT - 1) * MINUTE)
    assert shown["members"] == shown["notes"] == []
    targets: list[tuple[list[object], int]] = [
        (["--to", "earliest"], 0),
        (["--to-offset", 25], 25),
        (["--to-time", "2023-11-14T22:20:20Z"], 7),
    ]
    for number, (target, to) in enumerate(targets, 1):
        plan = offsets("reset", pipeline.path, *target)
        assert (plan["done"], plan["moves"][0]["to"]) == (False, to)
        assert plan["moves"][0]["record_ms"] == T + to * MINUTE
        assert plan["moves"][0]["effect"] == f"reads {COUNT - to} again"
        assert ends(pipeline.path) == (COUNT, COUNT, fresh + number - 1)
        assert offsets("reset", pipeline.path, *target, "--yes")["done"]
        assert ends(pipeline.path) == (to, to, fresh + number)
        assert pipeline.run() == COUNT - to
        assert ends(pipeline.path) == (COUNT, COUNT, fresh + number)
    # forward: from 10, a reset to the end skips what lies between
    offsets("reset", pipeline.path, "--to-offset", 10, "--yes")
    assert offsets("reset", pipeline.path, "--to", "latest", "--yes")["moves"][0]["effect"] == f"skips {COUNT - 10}"
    assert ends(pipeline.path) == (COUNT, COUNT, fresh + 5)
    assert pipeline.run() == 0
    notes = offsets("show", pipeline.path)["notes"]
    assert [(note["kind"], note["first"], note["end"]) for note in notes] == [
        ("reset", 0, COUNT),
        ("reset", 25, COUNT),
        ("reset", 7, COUNT),
        ("reset", 10, COUNT),
        ("reset", 10, COUNT),
    ]


def test_a_crash_between_broker_and_ledger_skips_nothing_and_is_mended(pipeline: Pipeline) -> None:
    # Backward: the broker's word counts, in both kinds.
    pipeline.alter_broker(30)
    assert offsets("show", pipeline.path)["partitions"][0]["state"] == "ledger_ahead"
    assert pipeline.run() == COUNT - 30
    # Forward: where the ledger is not written with the offsets, it wins, and all is read again; doing it again ends it.
    offsets("reset", pipeline.path, "--to-offset", 10, "--yes")
    pipeline.alter_broker(35)
    assert offsets("show", pipeline.path)["partitions"][0]["state"] == "broker_ahead"
    done = offsets("reset", pipeline.path, "--to-offset", 35, "--yes")
    assert (done["done"], done["moves"][0]["effect"]) == (True, "skips 25")
    assert ends(pipeline.path)[:2] == (35, 35)
    assert pipeline.run() == COUNT - 35
    again = offsets("reset", pipeline.path, "--to", "latest", "--yes")
    assert (again["done"], again["moves"][0]["needed"]) == (False, False)
    # And the broker alone, from the ledger.
    pipeline.alter_broker(3)
    assert offsets("restore", pipeline.path, "--yes")["moves"][0]["effect"] == "from 3 back to the ledger's"
    assert ends(pipeline.path)[:2] == (COUNT, COUNT)
    assert pipeline.run() == 0


def test_live_workers_are_named_and_a_killed_one_counts_until_its_session_ends(pipeline: Pipeline) -> None:
    worker = Worker(pipeline.path, "blue")
    with workers(worker):
        wait_until(lambda: len(offsets("show", pipeline.path)["members"]) == 1, 60, "the worker joins", [worker])
        (member,) = offsets("show", pipeline.path)["members"]
        assert member.startswith("worker blue at 127.0.0.1")
        for command in (["reset", "--to", "earliest"], ["restore"]):
            refused = offsets(command[0], pipeline.path, *command[1:], "--yes", code=3)
            assert refused["done"] is False
            assert f"the group has live members, and nothing was changed: {member}" in refused["stderr"]
        before = ends(pipeline.path)
        assert before[:2] == (COUNT, COUNT)
        worker.kill()
        began = time.monotonic()
        while prism("offsets", "reset", pipeline.path, "--to-offset", "30", "--yes").returncode == 3:
            assert time.monotonic() - began < 30
            time.sleep(0.5)
    assert ends(pipeline.path)[:2] == (30, 30)
    assert pipeline.run() == COUNT - 30


def test_a_worker_killed_inside_a_transaction_is_waited_for(project: Project) -> None:
    """Its offsets are in doubt until the broker has ended the transaction, and are not taken for none meanwhile."""
    options = f'{FAST_GROUP}\n"transaction.timeout.ms" = 8000'
    path = project.worker_1(options=options, interval="60s")
    create_topic(project.servers, project.input)
    setup(path)
    producer = Producer({"bootstrap.servers": project.servers, **QUIET})
    for n in range(COUNT):
        producer.produce(project.input, project.order(n)[1], b"k%d" % n, 0)
    assert producer.flush(30) == 0
    worker = Worker(path)
    with workers(worker):
        wait_until(lambda: unfinished(project.servers, project.output), 60, "a transaction is open", [worker])
        worker.kill()
        # Asked at once: the answer waits, and is the right one.
        (one,) = offsets("show", path)["partitions"]
        assert (one["ledger"]["next_offset"], one["broker"], one["state"]) == (0, None, "no_broker_offset")
        deadline = time.monotonic() + 30
        while prism("offsets", "reset", path, "--to-offset", "30", "--yes").returncode == 3:
            assert time.monotonic() < deadline
            time.sleep(0.5)
    assert ends(path)[:2] == (30, 30)
    done = prism("run", project.worker_1(options=options), "--until-idle", "2")
    assert done.returncode == 0
    assert len(read_topic(project.servers, project.output)) == COUNT - 30, done.stderr


def unfinished(servers: str, topic: str) -> bool:
    """Whether a transaction is open on the topic."""
    cluster, place = Cluster(servers, {}, client="test"), Partition(topic, 0)
    return cluster.ends([place], stable=True) != cluster.ends([place])


def test_servers_that_are_away_are_one_sentence(project: Project) -> None:
    path = project.worker_2(url="http://127.0.0.1:9")
    create_topic(project.servers, project.output)
    for command in ("show", "restore"):
        done = prism("offsets", command, path)
        assert done.returncode == 3
        assert done.stderr.startswith("error: Elasticsearch at http://127.0.0.1:9 does not answer")
    path = project.worker_1(servers="127.0.0.1:9")
    done = prism("offsets", "reset", path, "--to", "latest", "--yes")
    assert done.returncode == 3
    assert "no Kafka broker at 127.0.0.1:9 answered within" in done.stderr
