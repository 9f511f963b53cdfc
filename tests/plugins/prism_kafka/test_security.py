"""TLS and passwords, through options."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from prism_devservers.tls import make_tls
from prismlib.config.model import Secret
from prismlib.errors import ConfigError
from tests.plugins.prism_kafka.broker import Broker, Listener, documents, fresh_name, opened, read

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def secure_kafka(kafka: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Path]]:
    folder = make_tls(tmp_path_factory.mktemp("tls"))
    with type(kafka)(security="SASL_SSL", users={"alice": "wonderland"}, tls=folder) as server:
        yield server, folder


def options(folder: Path, **changed: object) -> dict[str, Any]:
    return {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-256",
        "sasl.username": "alice",
        "sasl.password": Secret("wonderland"),
        "ssl.ca.location": str(folder / "ca.pem"),
    } | {key.replace("_", "."): value for key, value in changed.items()}


def test_source_and_sink_work_over_tls_with_a_password(secure_kafka: tuple[Any, Path]) -> None:
    server, folder = secure_kafka
    topic = fresh_name()
    plain = Broker(server.bootstrap)
    plain.set_up_sink(topic, topic)
    secure = Broker(server.secure_bootstrap, options(folder))
    sink = secure.sink(topic, topic)
    sink.open()
    source = secure.source(topic, topic)
    opened(source)
    sink.begin()
    sink.write(documents(topic, [b"secret"]))
    sink.commit({}, source.member(), [])
    assert list(read(source, 1)[0].values) == [b"secret"]
    secure.close()


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"sasl_password": Secret("looking-glass")}, "authentication failed"),
        ({"ssl_ca_location": ""}, "certificate verify failed"),
    ],
)
def test_a_wrong_password_or_authority_is_one_sentence_without_the_secret(
    secure_kafka: tuple[Any, Path], changed: dict[str, object], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    server, folder = secure_kafka
    caplog.set_level(logging.DEBUG)
    broker = Broker(server.secure_bootstrap, {k: v for k, v in options(folder, **changed).items() if v != ""})
    source, sink = broker.source("t", fresh_name()), broker.sink("t", fresh_name())
    for attempt in (lambda: source.open(Listener(source)), sink.open):
        with pytest.raises(ConfigError, match=f"(?i)refuses the connection: .*{reason}") as raised:
            attempt()
        assert "looking-glass" not in str(raised.value)
    assert "looking-glass" not in caplog.text
    assert "wonderland" not in caplog.text
    broker.close()


def test_a_certificate_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    broker = Broker("127.0.0.1:9", options(tmp_path))
    with pytest.raises(ConfigError, match=r"options of the Kafka client: .*ssl\.ca\.location"):
        broker.source("t", "g")
