"""The guide's pipelines, played on a broker with SASL_SSL and rights, and on https with an API key."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from prism_kafka.config import ONLY, REFUSED
from tests.docs.pages import DOCS, Block, blocks_of
from tests.docs.sessions import Session
from tests.integration.harness import QUIET, Index, guarded_broker
from tests.integration.proxy import Proxy

PAGE = DOCS / "how-to" / "tls-and-sasl.md"
TUTORIAL = DOCS / "tutorial" / "first-pipeline.md"
PASSWORD, API_KEY = "wonder-of-prisms", "cHJpc206d29uZGVy"
ADMINISTRATOR = "administrator"

RESOURCES = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactional id": ResourceType.TRANSACTIONAL_ID,
}
_RIGHT = re.compile(
    r"^\| (?P<kind>topic|group|transactional id) \| `(?P<name>.+)` \| (?P<operations>.+) \| (?P<pattern>\w+) \|$",
    re.MULTILINE,
)
OPERATIONS = {
    "Read": AclOperation.READ,
    "Write": AclOperation.WRITE,
    "Describe": AclOperation.DESCRIBE,
    "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS,
}


def rights(pipeline: str) -> list[AclBinding]:
    """What the page's table for a pipeline gives."""
    _, sentence, rest = PAGE.read_text(encoding="utf-8").partition(f"user of the pipeline `{pipeline}` needs")
    assert sentence
    return [
        AclBinding(
            RESOURCES[found["kind"]],
            found["name"],
            ResourcePatternType[found["pattern"].upper()],
            "User:prism",
            "*",
            OPERATIONS[operation],
            AclPermissionType.ALLOW,
        )
        for found in _RIGHT.finditer(rest.partition("The user of")[0])
        for operation in found["operations"].split(", ")
    ]


def _parts(one: AclBinding) -> tuple[Any, ...]:
    return one.restype, one.name, one.resource_pattern_type, one.principal, one.host, one.operation, one.permission_type


def files_of(page: Path) -> list[Block]:
    return [block for block in blocks_of(page) if block.file]


@contextmanager
def keyed(elasticsearch: Any, tls: Path) -> Iterator[Proxy]:
    """Elasticsearch behind https, for those who show the API key."""

    def guard(_method: str, _path: str, _body: bytes, headers: dict[str, str]) -> Any:
        return None if headers.get("authorization") == f"ApiKey {API_KEY}" else (401, {}, b'{"error":"who are you"}')

    certificate = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.load_cert_chain(tls / "server.pem")
    with Proxy(elasticsearch.url, certificate) as proxy:
        proxy.fault = guard
        yield proxy


@pytest.mark.real
@pytest.mark.slow
def test_the_pipelines_of_the_page_run_with_the_rights_of_the_page(elasticsearch: Any, tmp_path: Path) -> None:
    tls = tmp_path / "tls"
    shop = Session(tmp_path, tmp_path / "state.sh")
    broker = guarded_broker(tls, PASSWORD, "prism", administrators=[ADMINISTRATOR])
    with broker as kafka, keyed(elasticsearch, tls) as proxy:
        shop.addresses = {
            "kafka.example.org:9093": kafka.secure_bootstrap,
            "https://elasticsearch.example.org:9200": proxy.url,
            "/etc/prism/tls/ca.pem": str(tls / "ca.pem"),
            'alias = "shop"': 'alias = "guarded-shop"',
        }
        for block in [*files_of(TUTORIAL), *files_of(PAGE)]:
            shop.play(block)
        (tmp_path / "secrets").mkdir()
        (tmp_path / "secrets" / "api-key").write_text(f"{API_KEY}\n")
        printed = shop.run(f"PRISM_SOURCE_SERVERS={kafka.bootstrap} python produce.py", "produce.py")
        assert "published 3 orders" in printed
        shop.run(f"export KAFKA_PASSWORD={PASSWORD}", "the password")
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap, **QUIET})
        for name in ("orders", "shop-index"):
            pipeline = f"pipelines/{name}.toml"
            as_administrator = (tmp_path / pipeline).read_text().replace('"prism"', f'"{ADMINISTRATOR}"')
            (tmp_path / "pipelines" / "setup.toml").write_text(as_administrator)
            shop.run("prism setup pipelines/setup.toml --yes", pipeline)
            given = rights(name)
            for future in admin.create_acls(given).values():
                future.result(20)
            printed = shop.run(f"prism check {pipeline}", pipeline)
            printed += shop.run(f"prism run {pipeline} --until-idle 3", pipeline)
            assert "read=3 delivered=3" in printed
            assert PASSWORD not in printed
            assert API_KEY not in printed
            for future in admin.delete_acls([AclBindingFilter(*_parts(one)) for one in given]).values():
                future.result(20)
        assert proxy.refused_requests == 0
    assert Index(elasticsearch.url, "guarded-shop").count() == 3


def test_every_refused_option_is_on_the_page_with_its_reason() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for option, reason in REFUSED.items():
        assert f"| `{option}` | {reason} |" in page
    for option, (allowed, reason) in ONLY.items():
        assert f"| `{option}` | {' or '.join(f'`{one}`' for one in sorted(allowed))} | {reason} |" in page
