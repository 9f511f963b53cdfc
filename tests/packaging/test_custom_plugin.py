"""A stranger's distribution, from its wheel to records that arrive at its endpoint."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from tests.integration.harness import read_topic
from tests.packaging.conftest import PLUGIN, Environment

pytestmark = pytest.mark.slow

EVENT = """
def event(row):
    return {"id": row["id"], "total": row["total"]}
"""


@pytest.fixture(scope="module")
def environment(make_environment: Callable[[str], Environment], wheels: dict[str, Path]) -> Environment:
    made = make_environment("plugin")
    made.install(f"{wheels['prism-pipeline']}[kafka]", str(wheels["prism-example-webhook"]), "pytest")
    return made


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(PLUGIN / "tests")
    from endpoint import Endpoint  # noqa: PLC0415  # it belongs to the plugin's tests

    with Endpoint() as one:
        yield one
    del sys.modules["endpoint"]


def test_its_own_tests_pass_against_what_is_installed(environment: Environment, tmp_path: Path) -> None:
    shutil.copytree(PLUGIN / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PLUGIN / "pyproject.toml", tmp_path)
    done = environment.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed, 1 skipped", done.stdout)
    assert passed is not None, done.stdout
    assert int(passed[1]) > 60


def test_it_is_listed(environment: Environment, tmp_path: Path) -> None:
    found = json.loads(environment.run("prism", "plugins", "--json", cwd=tmp_path).stdout)
    (mine,) = [one for one in found["loaded"] if one["name"] == "webhook"]
    assert (mine["distribution"], mine["version"]) == ("prism-example-webhook", "1.0.0")
    assert [(stage["kind"], stage["name"]) for stage in mine["stages"]] == [("sink", "webhook"), ("decoder", "msgpack")]
    assert found["failed"] == []


@pytest.mark.real
def test_its_stages_carry_records_from_a_broker_to_an_endpoint(
    environment: Environment, kafka: Any, endpoint: Any, tmp_path: Path
) -> None:
    (pipeline,) = re.findall(r"```toml\n(.*?)```", (PLUGIN / "README.md").read_text(), flags=re.DOTALL)
    pipeline = pipeline.replace('"orders"', '"stranger-orders"').replace("orders-webhook", "stranger")
    (tmp_path / "stranger.toml").write_text(pipeline)
    (tmp_path / "orders.py").write_text(EVENT)
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.create_topics([NewTopic("stranger-orders", 3, 1)])["stranger-orders"].result(30)
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    orders = [{"id": f"o{number}", "total": number % 50, "note": "x"} for number in range(1_200)]
    values = [msgpack.packb(order) for order in orders]
    values += [b"\xc1", msgpack.packb({"id": "debt", "total": -1})]
    for value in values:
        producer.produce("stranger-orders", value)
    assert producer.flush(60) == 0

    def prism(*arguments: str) -> Any:
        secrets = {"PRISM_SOURCE_SERVERS": kafka.bootstrap, "ORDERS_WEBHOOK": endpoint.url}
        return environment.run("prism", *arguments, cwd=tmp_path, **secrets)

    done = prism("setup", "stranger.toml", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    done = prism("check", "stranger.toml")
    assert done.returncode == 0, done.stdout + done.stderr
    endpoint.too_many = 300  # it halves the first requests
    done = prism("run", "stranger.toml", "--until-idle", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "s3cret" not in done.stdout + done.stderr

    arrived = sorted(endpoint.living().values(), key=lambda body: body["id"])
    assert arrived == sorted(({"id": o["id"], "total": o["total"]} for o in orders), key=lambda body: str(body["id"]))
    letters = read_topic(kafka.bootstrap, "stranger.dead-letters")
    assert sorted(value for _, value, _ in letters if value) == sorted(values[-2:])
    assert {headers["prism.stage"] for _, _, headers in letters} == {b"decode", b"write"}
