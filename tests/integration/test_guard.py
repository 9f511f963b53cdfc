"""Refusals on real servers, as the person on call meets them: what `prism run` says, and what its command then does."""

from __future__ import annotations

import shlex

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from tests.integration.harness import (
    QUIET,
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

pytestmark = [pytest.mark.real]

QUICKLY = "--until-idle=3"


def delete_before(project: Project, topic: str, offsets: dict[int, int]) -> None:
    admin = AdminClient({"bootstrap.servers": project.servers, **QUIET})
    for future in admin.delete_records([TopicPartition(topic, p, o) for p, o in offsets.items()]).values():
        future.result(20)


def recreate(project: Project, topic: str, partitions: int) -> None:
    admin = AdminClient({"bootstrap.servers": project.servers, **QUIET})
    admin.delete_topics([topic])[topic].result(20)
    wait_until(lambda: topic not in admin.list_topics(timeout=10).topics, 30, "the topic is gone")
    project.create_topics(partitions)


def command_of(output: str) -> list[str]:
    """The command that a refusal ends with, as a shell would take it."""
    line = output.strip().splitlines()[-1].removeprefix("error: ")
    command = shlex.split(line)
    assert command[:2] == ["prism", "run"], output
    return command[1:]


@pytest.mark.timeout(300)
def test_lost_records_are_refused_by_name_and_the_command_goes_on_without_them(project: Project) -> None:
    project.create_topics(partitions=2)
    pipeline = project.worker_1()
    setup(pipeline)
    publisher = Publisher(project)
    for number in range(40):
        event_id, value = project.order(number)
        publisher.raw(value, event_id, partition=number % 2)
    publisher.finish()
    done = prism("run", pipeline, QUICKLY)
    assert done.returncode == 0, done.stderr
    for number in range(40, 80):
        event_id, value = project.order(number)
        publisher.raw(value, event_id, partition=number % 2)
    publisher.finish()
    delete_before(project, project.input, {0: 27, 1: 33})
    refused = prism("run", pipeline, QUICKLY)
    assert refused.returncode == 3
    assert f"{project.input}[0]: data is lost: the next record to read has offset 20" in refused.stderr
    assert "at most 7 records, written between 20" in refused.stderr
    assert "in all at most 20 records are gone" in refused.stderr
    command = command_of(refused.stderr)
    assert command[-4:] == [
        "--accept-loss",
        f"{project.input}[0]:20-27",
        "--accept-loss",
        f"{project.input}[1]:20-33",
    ]
    assert event_ids(project.servers, project.output).total() == 40, "nothing was read"
    again = prism(*command, QUICKLY)
    assert again.returncode == 0, again.stderr
    lost = {project.order(n)[0] for n in range(40, 80) if n // 2 < (27 if n % 2 == 0 else 33)}
    exactly_once(event_ids(project.servers, project.output), publisher.acknowledged - lost)
    assert prism("run", pipeline, QUICKLY).returncode == 0


@pytest.mark.timeout(300)
def test_a_topic_that_is_created_again_while_it_is_read_stops_the_worker(project: Project) -> None:
    """Kafka says nothing: the consumer reads on at its old position in the new topic (observed)."""
    project.create_topics(partitions=1)
    pipeline = project.worker_1()
    setup(pipeline)
    publisher = Publisher(project)
    worker = Worker(pipeline)
    with workers(worker):
        publisher.publish(0, 100)
        wait_until(lambda: event_ids(project.servers, project.output).total() == 100, 60, "the first records", [worker])
        recreate(project, project.input, 1)
        publisher.publish(1000, 300)
        assert worker.process is not None
        assert worker.process.wait(60) == 3
    said = worker.tail()
    assert "created again while it was read" in said or "was deleted" in said, said
    refused = prism("run", pipeline, QUICKLY)
    assert refused.returncode == 3
    assert command_of(refused.stderr)[-2:] == ["--accept-recreated", project.input]
    again = prism(*command_of(refused.stderr), QUICKLY)
    assert again.returncode == 0, again.stderr
    found = event_ids(project.servers, project.output)
    assert set(found) == publisher.acknowledged
    assert set(found.values()) == {1}
