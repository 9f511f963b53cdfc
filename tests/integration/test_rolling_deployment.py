"""Workers with the old and the new pipeline file run side by side while a route is added, and nothing is lost or doubled."""

from __future__ import annotations

import pytest

from tests.integration.harness import (
    Project,
    Publisher,
    Worker,
    create_topic,
    event_ids,
    exactly_once,
    setup,
    wait_until,
    workers,
)

pytestmark = [pytest.mark.real, pytest.mark.slow]


def test_a_route_is_added_one_worker_after_the_other(project: Project) -> None:
    project.create_topics(partitions=3)
    first = project.input
    second = f"{first}-more"
    create_topic(project.servers, second, 3)
    before = project.worker_1()
    route = f'[[route]]\ntopic = "{second}"\ndecode = {{ type = "avro", subject = "orders-value" }}\n'
    route += 'normalize = "mappings/orders.toml"\n[sink]'
    after = before.with_name("after.toml")
    after.write_text(before.read_text().replace("[sink]", route))
    setup(after)

    publisher = Publisher(project)
    publisher.publish(0, 500)
    project.input = second
    publisher.publish(500, 500)  # before anybody reads the topic

    def arrived(count: int) -> bool:
        return len(event_ids(project.servers, project.output)) == count

    one, two = Worker(before, "1"), Worker(before, "2")
    new_one, new_two = Worker(after, "1"), Worker(after, "2")
    with workers(one, two):
        wait_until(lambda: arrived(500), 60, "the first topic is delivered", [one, two])
        assert one.stop() == 0
        with workers(new_one):
            wait_until(lambda: arrived(1_000), 60, "the second topic too, beside an old worker", [two, new_one])
            project.input = first
            publisher.publish(1_000, 500)
            assert two.stop() == 0
            with workers(new_two):
                project.input = second
                publisher.publish(1_500, 500)
                wait_until(lambda: arrived(2_000), 60, "all of both topics", [new_one, new_two])
                assert [new_one.stop(), new_two.stop()] == [0, 0]
    exactly_once(event_ids(project.servers, project.output), publisher.acknowledged)
