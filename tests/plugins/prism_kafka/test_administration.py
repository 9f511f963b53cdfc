"""What ``prism setup`` and ``prism check`` do on brokers."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka.admin import ConfigResource

from prism_kafka.administration import KafkaAdministration
from tests.plugins.prism_kafka.broker import Broker, fresh_name

pytestmark = pytest.mark.real


def source_side(broker: Broker, name: str, *topics: str) -> KafkaAdministration:
    return broker.administration(role="source", pipeline=name, sources=topics, dead_letter_topic=f"{name}.dead-letters")


def sink_side(broker: Broker, name: str, *topics: str, **arguments: Any) -> KafkaAdministration:
    return broker.administration(role="sink", pipeline=name, sources=topics, topic=f"{name}-out", **arguments)


def settings(broker: Broker, topic: str) -> dict[str, str]:
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    return {k: v.value for k, v in broker.admin.describe_configs([resource])[resource].result(20).items()}


def states(administration: KafkaAdministration) -> dict[str, str]:
    return {check.what: check.state for check in administration.preflight()}


def test_setup_creates_what_the_source_side_lacks_and_nothing_twice(broker: Broker) -> None:
    name, topic = fresh_name(), broker.create_topic(partitions=3, max_message_bytes=3_000_000)
    side = source_side(broker, name, topic)
    assert states(side)[f"dead letter topic {name}.dead-letters"] == "wrong"
    have, lack = side.plan()
    assert (have.what, have.exists, have.problem) == (f"topic {topic} (3 partitions)", True, "")
    assert (lack.what, lack.exists, lack.problem) == (f"dead letter topic {name}.dead-letters (1 partition)", False, "")
    lack.apply()
    assert [step.exists for step in side.plan()] == [True, True]
    made = settings(broker, f"{name}.dead-letters")
    assert int(made["max.message.bytes"]) == 3_000_000 + 64 * 1024
    assert (made["cleanup.policy"], made["retention.ms"]) == ("delete", "-1")
    assert set(states(side).values()) == {"ok"}
    side.close()
    side.close()


def test_setup_creates_output_and_ledger_with_as_many_partitions_as_the_largest_source(broker: Broker) -> None:
    name = fresh_name()
    topics = [broker.create_topic(partitions=n) for n in (2, 5)]
    side = sink_side(broker, name, *topics)
    for step in side.plan():
        assert not step.exists
        step.apply()
    assert [step.what for step in side.plan()] == [
        f"topic {name}-out (5 partitions)",
        f"ledger topic prism.ledger.{name} (1 partition)",
    ]
    assert settings(broker, f"prism.ledger.{name}")["cleanup.policy"] == "compact"
    assert set(states(side).values()) == {"ok"}
    assert sink_side(broker, name, *topics, partitions=7).plan()[0].problem.startswith(f"{name}-out has 5 partitions")


def test_the_pipeline_file_says_how_many_partitions(broker: Broker) -> None:
    name = fresh_name()
    step = sink_side(broker, name, broker.create_topic(partitions=2), partitions=4).plan()[0]
    assert step.what == f"topic {name}-out (4 partitions)"


def test_topics_that_exist_and_are_wrong_are_a_problem_and_stay_as_they_are(broker: Broker) -> None:
    name, topic = fresh_name(), broker.create_topic()
    broker.create_topic(f"{name}.dead-letters")
    broker.create_topic(f"prism.ledger.{name}")
    letters = source_side(broker, name, topic).plan()[1]
    ledger = sink_side(broker, name, topic).plan()[1]
    assert not letters.exists
    assert "64 KiB more than its source" in letters.problem
    assert not ledger.exists
    assert "cleanup.policy=compact" in ledger.problem
    letters.apply()
    ledger.apply()
    assert settings(broker, f"prism.ledger.{name}")["cleanup.policy"] == "delete"
    broker.alter_topic(f"{name}.dead-letters", "cleanup.policy", "compact")
    assert "is compacted" in source_side(broker, name, topic).plan()[1].problem


def test_a_source_topic_is_not_made_up(broker: Broker) -> None:
    name, missing = fresh_name(), fresh_name()
    side = source_side(broker, name, missing)
    step = side.plan()[0]
    assert not step.exists
    assert f"topic {missing} does not exist" in step.problem
    assert states(side)[f"topic {missing}"] == "wrong"


def test_a_broker_that_does_not_answer_is_a_check_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prism_kafka.cluster.Cluster.connect.__defaults__", (1.0,))
    (check,) = sink_side(Broker("127.0.0.1:9"), "p", "t").preflight()
    assert (check.what, check.state) == ("Kafka at 127.0.0.1:9", "unreachable")
