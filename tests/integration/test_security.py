"""SASL_SSL with ACLs on the broker, and TLS with basic auth in front of Elasticsearch."""

from __future__ import annotations

import base64
import json
import re
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from prism_devservers import Kafka
from tests.integration.harness import (
    QUIET,
    Index,
    Project,
    Publisher,
    Worker,
    event_ids,
    exactly_once,
    guarded_broker,
    prism,
    read_topic,
    setup,
    wait_until,
    workers,
)
from tests.integration.proxy import Proxy
from tests.integration.test_zombies import Events

pytestmark = [pytest.mark.real, pytest.mark.slow]

PASSWORD = "wonder-of-prisms"


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[tuple[Kafka, Path]]:
    """A broker that authorizes: alice has what her ACLs say, the plain loopback listener belongs to the tests."""
    with guarded_broker(tmp_path / "tls", PASSWORD, "alice") as kafka:
        yield kafka, tmp_path / "tls" / "ca.pem"


def allow(kafka: Kafka, kind: ResourceType, name: str, *operations: AclOperation) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap, **QUIET})
    bindings = [
        AclBinding(kind, name, ResourcePatternType.PREFIXED, "User:alice", "*", operation, AclPermissionType.ALLOW)
        for operation in operations
    ]
    for future in admin.create_acls(bindings).values():
        future.result(20)


def options(ca: Path) -> str:
    return (
        '"security.protocol" = "SASL_SSL"\n"sasl.mechanism" = "SCRAM-SHA-256"\n"sasl.username" = "alice"\n'
        '"sasl.password" = { env = "SHOP_KAFKA_PASSWORD" }\n'
        f'"ssl.ca.location" = "{ca}"\n"session.timeout.ms" = 3000'
    )


def test_the_road_over_tls_with_passwords_and_least_rights(
    guarded: tuple[Kafka, Path],
    elasticsearch: Any,
    make_project: Callable[[Any, Any], Project],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kafka, ca = guarded
    project = make_project(kafka, elasticsearch)
    project.create_topics(partitions=2)
    monkeypatch.setenv("SHOP_KAFKA_PASSWORD", PASSWORD)
    one_file = project.worker_1(options=options(ca), servers=kafka.secure_bootstrap)

    denied = prism("run", one_file)
    assert denied.returncode in (2, 3)
    assert "Traceback" not in denied.stderr
    assert "uthoriz" in denied.stderr
    assert PASSWORD not in denied.stderr + denied.stdout

    allow(kafka, ResourceType.TOPIC, project.name, AclOperation.READ, AclOperation.WRITE, AclOperation.DESCRIBE)
    allow(kafka, ResourceType.TOPIC, project.name, AclOperation.CREATE, AclOperation.DESCRIBE_CONFIGS)
    ledger = f"prism.ledger.{project.name}"
    allow(kafka, ResourceType.TOPIC, ledger, AclOperation.READ, AclOperation.WRITE, AclOperation.DESCRIBE)
    allow(kafka, ResourceType.TOPIC, ledger, AclOperation.CREATE, AclOperation.DESCRIBE_CONFIGS)
    allow(kafka, ResourceType.GROUP, project.name, AclOperation.READ, AclOperation.DESCRIBE)
    allow(kafka, ResourceType.GROUP, f"prism.ledger.{project.name}", AclOperation.READ, AclOperation.DESCRIBE)
    transactions = f"prism-{project.name}"
    allow(kafka, ResourceType.TRANSACTIONAL_ID, transactions, AclOperation.WRITE, AclOperation.DESCRIBE)

    seen: list[str] = []
    certificate = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.load_cert_chain(ca.parent / "server.pem")
    expected = "Basic " + base64.b64encode(f"shop:{PASSWORD}".encode()).decode()

    def guard(_method: str, _path: str, _body: bytes, headers: dict[str, str]) -> Any:
        seen.append(headers.get("authorization", ""))
        return None if seen[-1] == expected else (401, {"www-authenticate": "Basic"}, b'{"error":"who are you"}')

    with Proxy(elasticsearch.url, certificate) as proxy:
        proxy.fault = guard
        sink = f'username = "shop"\npassword = {{ env = "SHOP_KAFKA_PASSWORD" }}\nca_certs = "{ca}"'
        two_file = project.worker_2(url=proxy.url, sink=sink)
        setup(one_file, two_file)
        for file in (one_file, two_file):
            checked = prism("check", file)
            assert checked.returncode == 0, checked.stdout + checked.stderr
        publisher = Publisher(project)
        publisher.publish(0, 2_000)
        one, two = Worker(one_file), Worker(two_file)
        index = Index(elasticsearch.url, project.name)
        with workers(one, two):
            wait_until(lambda: index.count() == 2_000, 60, "all records in the index", [one, two])
            assert [one.stop(), two.stop()] == [0, 0]
        exactly_once(event_ids(project.servers, project.output), publisher.acknowledged)
        exactly_once(index.event_ids(), publisher.acknowledged)
        assert set(seen) == {expected}
        # What a worker may ask for is enough, but for one thing, which is said.
        shown = prism("status", "--json", one_file)
        assert shown.returncode == 0, shown.stdout + shown.stderr
        (found,) = json.loads(shown.stdout)["pipelines"]
        assert [line["state"] for line in found["topics"]] == ["ok"]
        assert found["offset_expiry"]["state"] == "unknown"
        (sentence,) = found["not_known"]
        assert sentence.startswith("when offsets are forgotten is not known: the Kafka broker at ")
        assert PASSWORD not in shown.stdout

        monkeypatch.setenv("SHOP_KAFKA_PASSWORD", "not-the-password")
        for file in (one_file, two_file):
            wrong = prism("run", file)
            assert wrong.returncode in (2, 3)
            assert "Traceback" not in wrong.stderr
            assert "not-the-password" not in wrong.stderr + wrong.stdout
    for worker in (one, two):
        assert PASSWORD not in worker.log.read_text()


READ, WRITE, DESCRIBE = AclOperation.READ, AclOperation.WRITE, AclOperation.DESCRIBE
CREATE, CONFIGS = AclOperation.CREATE, AclOperation.DESCRIBE_CONFIGS


def deny(kafka: Kafka, kind: ResourceType, name: str, operation: AclOperation) -> None:
    """Stronger than whatever is allowed."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap, **QUIET})
    pattern, who = ResourcePatternType.LITERAL, "User:alice"
    binding = AclBinding(kind, name, pattern, who, "*", operation, AclPermissionType.DENY)
    admin.create_acls([binding])[binding].result(20)


@pytest.fixture(scope="module")
def guarded_by_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Kafka, str]]:
    """The same broker for many projects, and the options to use it as alice."""
    folder = tmp_path_factory.mktemp("guarded") / "tls"
    with guarded_broker(folder, PASSWORD, "alice") as kafka:
        yield kafka, options(folder / "ca.pem")


@pytest.fixture
def pipelines(
    guarded_by_all: tuple[Kafka, str],
    elasticsearch: Any,
    make_project: Callable[[Any, Any], Project],
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[Kafka, Project, Path, Path]:
    """Both pipelines of a project of its own, set up; alice has all rights on what begins with its names."""
    kafka, given = guarded_by_all
    monkeypatch.setenv("SHOP_KAFKA_PASSWORD", PASSWORD)
    project = make_project(kafka, elasticsearch)
    project.create_topics(partitions=1)
    one = project.worker_1(options=given, servers=kafka.secure_bootstrap)
    two = project.worker_2(options=given, topic=project.input, servers=kafka.secure_bootstrap)
    for name in (project.name, f"prism.ledger.{project.name}"):
        allow(kafka, ResourceType.TOPIC, name, READ, WRITE, DESCRIBE, CREATE, CONFIGS)
        allow(kafka, ResourceType.GROUP, name, READ, DESCRIBE)
    allow(kafka, ResourceType.TRANSACTIONAL_ID, f"prism-{project.name}", WRITE)
    setup(one, two)
    for pipeline in (one, two):
        checked = prism("check", pipeline)
        assert checked.returncode == 0, checked.stdout
    return kafka, project, one, two


@pytest.mark.parametrize(
    ("kind", "name", "operation", "checked", "said"),
    [
        (ResourceType.TOPIC, "{p}-1.dead-letters", WRITE, "may not WRITE it", "may not write topic {p}-1.dead-letters"),
        (ResourceType.GROUP, "{p}-1", READ, "consumer group {p}-1 .* may not READ it", "grant it the right"),
        (
            ResourceType.GROUP,
            "prism.ledger.{p}-1.reader",
            DESCRIBE,
            "may not DESCRIBE it",
            "prism.ledger.{p}-1 cannot be read",
        ),
        (
            ResourceType.TRANSACTIONAL_ID,
            "prism-{p}-1-1",
            WRITE,
            "",
            "transactions of prism-{p}-1-1 cannot begin: .*grant",
        ),
        (
            ResourceType.TRANSACTIONAL_ID,
            "prism-{p}-1-_check",
            WRITE,
            "transactional ids prism-{p}-1-.* cannot begin: ",
            "",
        ),
    ],
)
def test_a_right_that_a_topic_pipeline_lacks_is_seen_by_check_and_named_by_run(
    pipelines: tuple[Kafka, Project, Path, Path],
    kind: ResourceType,
    name: str,
    operation: AclOperation,
    checked: str,
    said: str,
) -> None:
    kafka, project, one, _ = pipelines
    lacks(kafka, project, one, kind, name, operation, checked, said)


@pytest.mark.parametrize(
    ("kind", "name", "operation", "checked", "said"),
    [
        (ResourceType.TOPIC, "{p}-2.dead-letters", WRITE, "may not WRITE it", "may not write topic {p}-2.dead-letters"),
        (ResourceType.GROUP, "{p}-2", READ, "consumer group {p}-2 .* may not READ it", "grant it the right"),
    ],
)
def test_a_right_that_an_index_pipeline_lacks_is_seen_by_check_and_named_by_run(
    pipelines: tuple[Kafka, Project, Path, Path],
    kind: ResourceType,
    name: str,
    operation: AclOperation,
    checked: str,
    said: str,
) -> None:
    kafka, project, _, two = pipelines
    lacks(kafka, project, two, kind, name, operation, checked, said)


def lacks(
    kafka: Kafka,
    project: Project,
    pipeline: Path,
    kind: ResourceType,
    name: str,
    operation: AclOperation,
    checked: str,
    said: str,
) -> None:
    deny(kafka, kind, name.format(p=project.name), operation)
    if checked:
        check = prism("check", pipeline)
        assert check.returncode == 2, check.stdout
        (wrong,) = [line for line in check.stdout.splitlines() if " wrong " in line]
        assert re.search(checked.format(p=project.name), wrong), wrong
    if said:
        run = prism("run", pipeline, "--until-idle", "5")
        assert run.returncode in (2, 3), run.stderr
        assert re.search(f"error: .*{said.format(p=project.name)}", run.stderr), run.stderr
        assert "internal error" not in run.stderr


@pytest.mark.parametrize("worker", [1, 2])
def test_a_right_that_is_taken_away_under_a_worker_stops_it_and_nothing_is_skipped(
    pipelines: tuple[Kafka, Project, Path, Path], worker: int
) -> None:
    kafka, project, one, two = pipelines
    publisher = Publisher(project) if worker == 1 else Events(project)
    running = Worker(one if worker == 1 else two)
    with workers(running):
        publisher.publish(0, 100)
        index = Index(project.url, project.name)
        arrived = (lambda: event_ids(project.servers, project.output).total()) if worker == 1 else index.count
        wait_until(lambda: arrived() == 100, 60, "the first records", [running])
        deny(kafka, ResourceType.TOPIC, f"{project.name}-{worker}.dead-letters", WRITE)
        publisher.raw(b"poison")
        publisher.publish(100, 10)
        assert running.process is not None
        assert running.process.wait(60) == 3
    assert re.search(rf"error: .*{project.name}-{worker}.dead-letters.* cannot be written: .*uthoriz", running.tail())
    assert "internal error" not in running.tail(10_000)
    assert read_topic(project.servers, f"{project.name}-{worker}.dead-letters") == []
