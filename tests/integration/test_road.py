"""The road: from a real broker through both workers into a real Elasticsearch."""

from __future__ import annotations

import pytest

from tests.integration.harness import (
    Index,
    Project,
    Publisher,
    Worker,
    event_ids,
    exactly_once,
    prism,
    setup,
    wait_until,
    workers,
)

pytestmark = pytest.mark.real


def test_every_record_arrives_exactly_once(project: Project) -> None:
    project.create_topics(partitions=3)
    one, two = Worker(project.worker_1()), Worker(project.worker_2())
    setup(one.pipeline, two.pipeline)
    publisher = Publisher(project)
    publisher.publish(0, 5_000)
    index = Index(project.url, project.name)
    with workers(one, two):
        wait_until(lambda: index.count() == 5_000, 60, "all records in the index", [one, two])
        assert [one.stop(), two.stop()] == [0, 0]
    exactly_once(event_ids(project.servers, project.output), publisher.acknowledged)
    exactly_once(index.event_ids(), publisher.acknowledged)


def test_several_workers_of_one_group_share_the_partitions_and_end_when_idle(project: Project) -> None:
    project.create_topics(partitions=4)
    one, two = project.worker_1(), project.worker_2()
    setup(one, two)
    publisher = Publisher(project)
    publisher.publish(0, 2_000)
    for pipeline in (one, two):
        done = prism("run", pipeline, "--workers", "2", "--until-idle", "3")
        assert done.returncode == 0, done.stderr
    exactly_once(event_ids(project.servers, project.output), publisher.acknowledged)
    exactly_once(Index(project.url, project.name).event_ids(), publisher.acknowledged)
