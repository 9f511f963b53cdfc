"""Servers that go away, take nothing for a while, or refuse a part: nothing lost, nothing twice."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient

from prism_devservers import Elasticsearch, Kafka
from tests.integration.harness import (
    QUIET,
    Index,
    Project,
    Publisher,
    Tail,
    Worker,
    create_topic,
    event_ids,
    exactly_once,
    setup,
    wait_until,
    workers,
)
from tests.integration.proxy import Proxy, one_in

pytestmark = [pytest.mark.real, pytest.mark.slow]


def run_through(
    project: Project, one: Worker, two: Worker, trouble: Callable[[], None], *, count: int, rate: float
) -> None:
    """Both workers, records flowing, trouble meanwhile; then everything must be there exactly once."""
    publisher = Publisher(project)
    with workers(one, two):
        with publisher.flowing(count, rate):
            time.sleep(2)
            trouble()
        index = Index(project.url, project.name)
        wait_until(lambda: index.count() >= count, 120, "all records in the index", [one, two])
        assert one.stop() == 0
        assert two.stop() == 0
    assert len(publisher.acknowledged) == count
    exactly_once(event_ids(project.servers, project.output), publisher.acknowledged)
    exactly_once(index.event_ids(), publisher.acknowledged)


def test_a_broker_and_an_elasticsearch_that_restart(make_project: Callable[[Any, Any], Project]) -> None:
    with Kafka() as kafka, Elasticsearch() as elasticsearch:
        project = make_project(kafka, elasticsearch)
        project.create_topics(partitions=2)
        one, two = Worker(project.worker_1()), Worker(project.worker_2())
        setup(one.pipeline, two.pipeline)

        def trouble() -> None:
            kafka.kill()
            kafka.start()
            time.sleep(2)
            elasticsearch.kill()
            time.sleep(2)
            elasticsearch.start()

        run_through(project, one, two, trouble, count=20_000, rate=1_500)


def test_a_worker_goes_on_by_itself_when_its_broker_is_killed_twice_in_the_middle(tmp_path: Path) -> None:
    count = 60_000
    with Kafka() as kafka:
        project = Project(tmp_path, kafka.bootstrap, "", "shop")
        project.create_topics(partitions=2)
        worker = Worker(project.worker_1(interval="100ms"))  # so that transactions are open or ending all the time
        setup(worker.pipeline)
        publisher = Publisher(project)
        publisher.publish(0, count)
        with closing(Tail(project.servers, project.output)) as delivered, workers(worker):
            for under_way in (count // 10, count // 3):
                wait_until(lambda n=under_way: delivered.count() >= n, 60, f"{under_way} records", [worker], pause=0)  # type: ignore[misc]  # the default binds the loop's value
                kafka.kill()
                assert delivered.count() < count, "the broker was killed too late"
                kafka.start()
            wait_until(lambda: delivered.count() >= count, 60, f"all {count} records", [worker], pause=0)
            assert worker.stop() == 0
        assert len(publisher.acknowledged) == count
        exactly_once(event_ids(project.servers, project.output), publisher.acknowledged)


def test_an_elasticsearch_that_answers_429_for_a_while_and_refuses_one_item_in_a_hundred(project: Project) -> None:
    project.create_topics(partitions=2)
    with Proxy(project.url) as proxy:
        one, two = Worker(project.worker_1()), Worker(project.worker_2(url=proxy.url))
        setup(one.pipeline, two.pipeline)
        proxy.item_fault = one_in(1, random.Random(7))

        def trouble() -> None:
            def busy(method: str, path: str, _body: bytes, _headers: dict[str, str]) -> Any:
                return (429, {"retry-after": "1"}, b'{"error":"busy"}') if "_bulk" in path else None

            proxy.fault = busy
            time.sleep(6)
            proxy.fault = None

        run_through(project, one, two, trouble, count=20_000, rate=2_000)
        assert proxy.refused_requests > 0
        assert proxy.refused_items > 100


def test_an_answer_that_is_lost_after_the_write_does_not_double_anything(project: Project) -> None:
    project.create_topics(partitions=1)
    with Proxy(project.url) as proxy:
        one, two = Worker(project.worker_1()), Worker(project.worker_2(url=proxy.url))
        setup(one.pipeline, two.pipeline)
        rng = random.Random(3)

        def trouble() -> None:
            proxy.loses = lambda path: "_bulk" in path and rng.random() < 0.3
            time.sleep(5)
            proxy.loses = None

        run_through(project, one, two, trouble, count=10_000, rate=1_500)


def test_a_rebalance_storm(project: Project) -> None:
    rng = random.Random(42)
    project.create_topics(partitions=4)
    one, two = project.worker_1(), project.worker_2()
    setup(one, two)
    publisher = Publisher(project)
    steady = [Worker(one, "steady"), Worker(two, "steady")]
    guests: list[Worker] = []
    changes = 0
    with workers(*steady), publisher.flowing(40_000, rate=900):
        try:
            while changes < 20:
                time.sleep(rng.uniform(0.4, 2.0))
                if len(guests) < 2 or rng.random() < 0.4:
                    guests.append(Worker(rng.choice([one, two]), f"guest{changes}").start())
                else:
                    guest = guests.pop(rng.randrange(len(guests)))
                    if rng.random() < 0.3:
                        guest.kill()
                    else:
                        assert guest.stop() == 0, guest.tail()
                changes += 1
            wait_until(lambda: len(publisher.acknowledged) == 40_000, 120, "all records published", steady)
            index = Index(project.url, project.name)
            wait_until(lambda: index.count() >= 40_000, 120, "all records in the index", steady)
        finally:
            for guest in guests:
                guest.kill()
        assert [worker.stop() for worker in steady] == [0, 0]
    exactly_once(event_ids(project.servers, project.output), publisher.acknowledged)
    exactly_once(index.event_ids(), publisher.acknowledged)


def test_a_topic_that_is_created_again_with_the_same_keys_is_not_swallowed(project: Project) -> None:
    project.create_topics(partitions=2)
    one = Worker(project.worker_1())
    two = Worker(project.worker_2(extra="key_fixes_partition = true"))
    setup(one.pipeline, two.pipeline)
    publisher = Publisher(project)
    index = Index(project.url, project.name)
    with workers(one, two):
        publisher.publish(0, 500)
        wait_until(lambda: index.count() == 500, 60, "the first 500 records", [one, two])
        assert one.stop() == 0
        assert two.stop() == 0
    admin = AdminClient({"bootstrap.servers": project.servers, **QUIET})
    for topic in (project.input, project.output):
        admin.delete_topics([topic])[topic].result(20)
    time.sleep(1)
    create_topic(project.servers, project.input, 2)
    create_topic(project.servers, project.output, 2)
    again = Publisher(project)
    again.publish(0, 200)  # the same keys, at lower offsets than before
    again.publish(500, 100)

    refusing = Worker(one.pipeline)
    with workers(refusing):
        assert refusing.process is not None
        assert refusing.process.wait(60) == 3
    assert "--accept-recreated" in refusing.tail()
    assert "Traceback" not in refusing.tail()

    one = Worker(one.pipeline, "1", "--accept-recreated", project.input)
    two = Worker(two.pipeline, "1", "--accept-recreated", project.output)
    with workers(one, two):
        wait_until(lambda: index.count() == 600, 60, "the 100 new records beside the 500 old ones", [one, two])
        versions = index.get(f"{project.name}/_search?size=1000&version=true&q=id:o000000*")["hits"]["hits"]
        rewritten = [hit for hit in versions if hit["_version"] >> 44 == 1]
        assert len(rewritten) == 10, "records of the new topic were taken for stale ones"
        assert one.stop() == 0
        assert two.stop() == 0
