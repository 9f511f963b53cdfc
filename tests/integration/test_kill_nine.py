"""kill -9 of both workers at random moments while records flow: every record exactly once, everywhere."""

from __future__ import annotations

import random
import time

import pytest

from tests.integration.harness import (
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

pytestmark = [pytest.mark.real, pytest.mark.slow]

RECORDS = 100_000
KILLS = 10  # of each worker


@pytest.mark.timeout(600)
def test_every_record_is_there_exactly_once_after_twenty_kills(project: Project) -> None:
    rng = random.Random(20130101)
    project.create_topics(partitions=3)
    one, two = Worker(project.worker_1()), Worker(project.worker_2())
    setup(one.pipeline, two.pipeline)
    publisher = Publisher(project)
    kills = {one: 0, two: 0}
    with workers(one, two), publisher.flowing(RECORDS, rate=1_800) as flow:
        while min(kills.values()) < KILLS:
            victim = rng.choice([worker for worker, n in kills.items() if n < KILLS])
            time.sleep(rng.uniform(0.3, 4.0))
            victim.kill()
            kills[victim] += 1
            victim.start()
        assert kills == {one: KILLS, two: KILLS}
        flow.join()
        index = Index(project.url, project.name)
        wait_until(lambda: index.count() >= len(publisher.acknowledged), 120, "all records in the index", [one, two])
        assert one.stop() == 0
        assert two.stop() == 0
    assert len(publisher.acknowledged) == RECORDS
    exactly_once(event_ids(project.servers, project.output), publisher.acknowledged)
    exactly_once(index.event_ids(), publisher.acknowledged)
