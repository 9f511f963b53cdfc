"""``prism status`` on real servers: what it says of a pipeline's life, and that the times it names come true."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from prism_devservers import Kafka
from tests.integration.harness import (
    QUIET,
    Project,
    Publisher,
    Worker,
    create_topic,
    prism,
    setup,
    wait_until,
    workers,
)

pytestmark = [pytest.mark.real]

HOUR = 3_600_000


def status(*arguments: object, code: int | None = None) -> dict[str, Any]:
    done = prism("status", "--json", *map(str, arguments))
    assert done.returncode == code or (code is None and done.returncode in {0, 1}), done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout)


def one(pipeline: Path, code: int) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """All of it, its only topic, and the kinds of its findings."""
    (found,) = status(pipeline, code=code)["pipelines"]
    (topic,) = found["topics"]
    return found, topic, [finding["kind"] for finding in found["findings"]]


def run(pipeline: Path) -> None:
    done = prism("run", pipeline, "--until-idle", "2")
    assert done.returncode == 0, done.stderr


def publish(project: Project, numbers: range, ago_ms: int = 0) -> int:
    """Write orders to partition 0; returns the time of the first."""
    at, publisher = time.time_ns() // 1_000_000 - ago_ms, Publisher(project)
    for number in numbers:
        event_id, value = project.order(number)
        publisher.raw(value, event_id, partition=0, timestamp=at + number - numbers.start)
    publisher.finish()
    return at


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_life_of_two_pipelines(project: Project) -> None:
    project.create_topics(2, retention_ms=str(6 * HOUR))
    first, second = project.worker_1(), project.worker_2()
    setup(first, second)
    publish(project, range(20))
    found, topic, kinds = one(first, 1)
    assert (topic["state"], topic["lag"], kinds) == ("never_read", None, ["nobody_runs"])
    assert found["offset_expiry"]["state"] == "nothing_committed"
    assert found["last_progress_ms"] is None

    run(first)
    found, topic, kinds = one(first, 0)
    assert (topic["state"], topic["lag"], topic["lag_seconds"], kinds) == ("ok", 0, 0, [])
    assert topic["data_loss"]["state"] == "nothing_unread"
    assert found["offset_expiry"] == {"state": "at", "at_ms": found["last_progress_ms"] + 7 * 24 * HOUR}
    assert found["dead_letters"] == {"topic": f"{project.name}-1.dead-letters", "open": 0, "at_most": 0}

    # An hour old, then four: by then more than half of the six hours that the topic keeps its records has passed.
    at = publish(project, range(20, 30), HOUR)
    _, topic, kinds = one(first, 1)
    assert (topic["state"], topic["lag"], kinds) == ("nobody_reads", 10, ["nobody_runs"])
    assert topic["data_loss"]["at_ms"] == at + 6 * HOUR
    assert abs(topic["lag_seconds"] - 3600) < 60
    run(first)
    at = publish(project, range(30, 33), 4 * HOUR)
    found, topic, kinds = one(first, 1)
    assert (topic["state"], kinds) == ("at_risk", ["data_loss", "nobody_runs"])
    assert topic["data_loss"]["at_ms"] == at + 6 * HOUR

    with workers(worker := Worker(first, "blue")):
        wait_until(lambda: len(status(first)["pipelines"][0]["members"]) == 1, 60, "it joins", [worker])
        wait_until(lambda: status(first)["pipelines"][0]["topics"][0]["lag"] == 0, 60, "it reads", [worker])
        found, topic, kinds = one(first, 0)
        assert found["members"][0].startswith("worker blue at 127.0.0.1")
        assert (found["offset_expiry"]["state"], kinds) == ("while_a_worker_runs", [])
        assert worker.stop() == 0

    # The output has marks of transactions: offsets without a record. They make a lag, and nothing that waits.
    run(second)
    found, topic, kinds = one(second, 0)
    assert (topic["state"], topic["lag_seconds"], kinds) == ("ok", 0, [])
    assert topic["lag"] > 0

    publish(project, range(40, 45))
    run(first)
    away = project.worker_2(url="http://127.0.0.1:9")
    found, topic, kinds = one(away, 3)
    assert (topic["state"], kinds) == ("nobody_reads", ["nobody_runs"])
    (sentence,) = found["not_known"]
    assert sentence.startswith("the ledger does not answer, so this is what the broker alone knows: Elasticsearch at")
    shown = prism("status", first, away, project.folder / "none.toml", cwd=project.folder)
    assert shown.returncode == 2
    assert "none.toml" in shown.stderr
    assert shown.stdout.index(f"{project.name}-1  ") < shown.stdout.index(f"{project.name}-2  ")
    assert shown.stdout.splitlines()[-1].startswith("alerts         nobody will be told: ")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_route_is_paused_until_its_worker_or_the_ledger_says_that_it_is_not(project: Project) -> None:
    project.create_topics(1)
    pipeline = project.worker_1()
    setup(pipeline)
    publish(project, range(5))
    publisher = Publisher(project)
    for number in range(20):  # more than broken records are: somebody's schemas are in another registry
        publisher.raw(b"\0\x7f\0\0\1" + project.order(number)[1][5:])
    publisher.finish()
    with workers(worker := Worker(pipeline, "blue")):
        wait_until(lambda: status(pipeline)["pipelines"][0]["paused"], 60, "the pause is told", [worker])
        found, topic, kinds = one(pipeline, 1)
        (paused,) = found["paused"]
        assert (topic["state"], topic["lag"], kinds) == ("paused", 20, ["paused"])
        assert paused["topic"] == project.input
        assert "have schema ids that the registry does not know" in paused["why"]
        assert 0 <= found["at_ms"] - paused["since_ms"] < 60_000
        worker.kill()
    # Its successor sends them to the dead letters, has no pause to end, and says nothing of one.
    pipeline.write_text(f'on_drift = "dead_letter"\n{pipeline.read_text()}')
    run(pipeline)
    found, topic, kinds = one(pipeline, 0)
    assert (found["paused"], topic["state"], kinds) == ([], "ok", [])
    assert found["dead_letters"]["open"] == 20


def test_a_broker_that_is_away_is_one_sentence(project: Project) -> None:
    path = project.worker_1(servers="127.0.0.1:9")
    done = prism("status", path)
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert "no Kafka broker at 127.0.0.1:9 answered within" in done.stderr


FORGETFUL = {
    "offsets.retention.minutes": 1,
    "offsets.retention.check.interval.ms": 500,
    "log.retention.check.interval.ms": 500,
    "log.initial.task.delay.ms": 500,
}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_times_that_are_told_come_true(make_project: Callable[[Any, Any], Project], elasticsearch: Any) -> None:
    with Kafka(FORGETFUL) as kafka:
        project = make_project(kafka, elasticsearch)
        create_topic(project.servers, project.input, 1, **{"retention.ms": "25000"})
        pipeline = project.worker_1()
        setup(pipeline)
        publish(project, range(5))
        run(pipeline)
        published = publish(project, range(5, 10))
        found, topic, _ = one(pipeline, 1)
        lost_at = topic["data_loss"]["at_ms"]
        assert lost_at == published + 25_000
        assert found["offset_expiry"]["at_ms"] == found["last_progress_ms"] + 60_000  # tests/incident see it come true
        consumer = Consumer({"bootstrap.servers": project.servers, "group.id": f"{project.name}-1", **QUIET})
        place = TopicPartition(project.input, 0)

        def start() -> int:
            return consumer.get_watermark_offsets(place, timeout=10)[0]

        def seconds_after(at_ms: int, done: Callable[[], bool]) -> float:
            deadline = time.monotonic() + 120
            while not done():
                assert time.monotonic() < deadline
                time.sleep(0.1)
            return time.time() - at_ms / 1000

        assert start() < 10
        # A segment goes as a whole, once the newest record in it is old enough.
        assert 0 <= seconds_after(lost_at, lambda: start() == 10) < 10
        found, topic, kinds = one(pipeline, 1)
        assert (topic["state"], topic["data_loss"]["state"], kinds) == ("refuses", "lost", ["refusal"])
        assert topic["problem"] == f"{project.input}[0]: data is lost: offsets 5 to 9 are gone"
        refused = prism("run", pipeline, "--until-idle", "1")
        assert refused.returncode == 3, "which is what was told"
        consumer.close()
