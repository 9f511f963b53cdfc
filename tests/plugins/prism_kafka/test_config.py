"""What may stand in a pipeline file, and what becomes of it. No broker is needed."""

from __future__ import annotations

import pytest

from prism_kafka.config import REFUSED, KafkaSinkConfig, KafkaSourceConfig, option_text
from prism_kafka.settings import (
    admin_settings,
    consumer_settings,
    producer_settings,
    rebalances_incrementally,
    transactional_settings,
)
from prism_kafka.source import KafkaSource
from prismlib.config.model import Secret, validate
from prismlib.errors import ConfigError


@pytest.mark.parametrize("option", sorted(REFUSED))
def test_options_that_would_break_a_promise_are_refused_with_the_reason(option: str) -> None:
    for model, table in ((KafkaSourceConfig, {"servers": "a:1"}), (KafkaSinkConfig, {"topic": "t"})):
        with pytest.raises(ConfigError, match=f"p.toml.*{option} is refused: "):
            validate(model, table | {"options": {option: "x"}}, "p.toml")


@pytest.mark.parametrize(
    ("option", "value"),
    [("acks", "1"), ("acks", 0), ("request.required.acks", 1), ("enable.idempotence", False)],
)
def test_weaker_guarantees_of_the_producer_are_refused(option: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"{option} must be "):
        validate(KafkaSourceConfig, {"servers": "a:1", "options": {option: value}}, "p.toml")


@pytest.mark.parametrize(("option", "value"), [("acks", "all"), ("acks", -1), ("enable.idempotence", True)])
def test_saying_what_holds_anyway_is_allowed(option: str, value: object) -> None:
    config = validate(KafkaSourceConfig, {"servers": "a:1", "options": {option: value}}, "p.toml")
    assert config.options == {option: value}


def test_a_secret_stays_one_until_the_client_gets_it() -> None:
    options = {"sasl.password": Secret("wonder")}
    config = validate(KafkaSourceConfig, {"servers": "a:1", "options": options}, "p.toml")
    assert "wonder" not in repr(config)
    assert "wonder" not in str(config.options)
    assert admin_settings("a:1", config.options, client="c")["sasl.password"] == "wonder"


def test_values_are_written_as_librdkafka_reads_them() -> None:
    assert [option_text(v) for v in (True, False, 3, 1.5, "x")] == ["true", "false", "3", "1.5", "x"]


def test_an_unknown_option_is_one_sentence() -> None:
    with pytest.raises(ConfigError, match=r'No such configuration property: "fetch\.queue"'):
        KafkaSource("127.0.0.1:1", {"fetch.queue": 1}, group="g", worker="1", topics=["t"])


def test_no_option_can_make_the_consumer_commit_or_reset_by_itself() -> None:
    settings = consumer_settings("a:1", {"session.timeout.ms": 6000, "linger.ms": 5}, group="pipeline", worker="2")
    assert settings["group.id"] == "pipeline"
    assert settings["auto.offset.reset"] == "error"
    assert settings["enable.auto.commit"] == "false"
    assert settings["isolation.level"] == "read_committed"
    assert settings["session.timeout.ms"] == "6000"
    assert "linger.ms" not in settings
    assert "group.instance.id" not in settings


@pytest.mark.parametrize(
    ("options", "heartbeat"),
    [
        ({"session.timeout.ms": 3000}, 1000),
        ({"session.timeout.ms": 45000}, 3000),
        ({"session.timeout.ms": 3000, "heartbeat.interval.ms": 700}, "700"),
        ({"session.timeout.ms": "soon"}, None),
        ({}, None),
    ],
)
def test_heartbeats_are_more_frequent_than_a_session_is_long(options: dict[str, object], heartbeat: object) -> None:
    """The client does not see to it: with a session of 3 s and its own 3 s between heartbeats no worker stays in its group."""
    settings = consumer_settings("a:1", options, group="p", worker="1")  # type: ignore[arg-type]  # as in a file
    assert settings.get("heartbeat.interval.ms") == heartbeat


def test_every_worker_gets_a_static_member_id_of_its_own() -> None:
    settings = consumer_settings("a:1", {"group.instance.id": "host"}, group="p", worker="2")
    assert settings["group.instance.id"] == "host-2"


@pytest.mark.parametrize(
    ("options", "incremental"),
    [
        ({}, True),
        ({"group.protocol": "consumer"}, True),
        ({"partition.assignment.strategy": "range"}, False),
        ({"partition.assignment.strategy": "roundrobin"}, False),
    ],
)
def test_the_way_of_assigning_follows_from_the_protocol(options: dict[str, str], *, incremental: bool) -> None:
    settings = consumer_settings("a:1", options, group="p", worker="1")
    assert rebalances_incrementally(settings) is incremental
    assert ("partition.assignment.strategy" in settings) == (options.get("group.protocol") is None)


def test_a_dead_letter_fits_and_a_batch_fits_the_smallest_topic() -> None:
    settings = producer_settings("a:1", {"acks": "all"}, client="c", limits=[2_000_000, 50_000])
    assert settings["message.max.bytes"] == 2_000_000
    assert settings["batch.size"] < 50_000
    assert settings["enable.idempotence"] == "true"


def test_the_transactional_id_names_pipeline_and_worker() -> None:
    settings = transactional_settings(
        "a:1", {"transaction.timeout.ms": 9000}, pipeline="air-traffic", worker="3", limits=[1]
    )
    assert settings["transactional.id"] == "prism-air-traffic-3"
    assert settings["transaction.timeout.ms"] == "9000"


@pytest.mark.parametrize("servers", ["", "  "])
def test_servers_must_name_a_broker(servers: str) -> None:
    with pytest.raises(ConfigError, match="'servers': must name at least one broker"):
        validate(KafkaSourceConfig, {"servers": servers}, "p.toml")


def test_options_without_quotes_are_the_same_options() -> None:
    nested = {"sasl": {"mechanism": "PLAIN", "username": "a"}, "client.id": "x"}
    expected = {"sasl.mechanism": "PLAIN", "sasl.username": "a", "client.id": "x"}
    assert KafkaSourceConfig(servers="h:1", options=nested).options == expected
    assert KafkaSinkConfig(topic="t", options=nested).options == expected
