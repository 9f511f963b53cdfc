"""What an installation pulls in: a schema check in CI must not wait for a Kafka client."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.packaging.conftest import Environment

pytestmark = pytest.mark.slow

CORE = {
    "annotated-types", "click", "markdown-it-py", "mdurl", "orjson", "pluggy", "prism-pipeline", "pydantic", "pydantic-core",
    "pygments", "rich", "typing-extensions", "typing-inspection",
}  # fmt: skip
PIPELINE = """
name = "p"
owner = "o"
contact = "c"
start = "earliest"
[source]
type = "kafka"
servers = "127.0.0.1:1"
[[route]]
topic = "t"
decode = { type = "json", wire = "bare" }
[sink]
type = "elasticsearch"
url = "http://127.0.0.1:1"
alias = "a"
"""


@pytest.fixture(scope="module")
def environment(make_environment: Callable[[str], Environment], wheels: dict[str, Path]) -> Environment:
    made = make_environment("avro")
    made.install(f"{wheels['prism-pipeline']}[avro]")
    return made


def test_avro_alone_pulls_in_neither_kafka_nor_elasticsearch_nor_web_libraries(environment: Environment) -> None:
    installed = {row["name"].lower().replace("_", "-") for row in json.loads(environment.pip("list", "--format=json"))}
    assert installed - {"pip", "setuptools"} == CORE


def test_the_command_works_there(environment: Environment, tmp_path: Path) -> None:
    for arguments in (["--help"], ["plugins"], ["run", "--help"]):
        done = environment.run("prism", *arguments, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(environment.run("prism", "plugins", "--json", cwd=tmp_path).stdout)
    assert found["failed"] == []
    assert {"avro", "kafka", "elasticsearch", "mapping"} <= {one["name"] for one in found["loaded"]}


def test_a_library_that_is_not_installed_is_one_sentence(environment: Environment, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(PIPELINE)
    for command in ("run", "check"):
        done = environment.run("prism", command, "p.toml", cwd=tmp_path)
        assert done.returncode == 2, done.stdout + done.stderr
        assert "install prism-pipeline[kafka]" in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


def test_the_library_works_there(environment: Environment, tmp_path: Path) -> None:
    code = "import prismlib; [getattr(prismlib, name) for name in prismlib.__all__]; import prismlib.testing.memory"
    done = environment.run("python", "-W", "error", "-c", code, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_gate_works_there_and_names_the_extra_of_another_format(environment: Environment, tmp_path: Path) -> None:
    subject = tmp_path / "schemas" / "orders-value"
    subject.mkdir(parents=True)
    about = 'compatibility = "BACKWARD"\nowner = "shop"\ncontact = "shop@example.org"\n'
    (subject / "subject.toml").write_text(f'format = "avro"\n{about}')
    record = '{"type": "record", "name": "Order", "fields": [%s]}'
    (subject / "v1.avsc").write_text(record % "")
    for field, code in (('"default": ""', 0), ('"doc": "none"', 1)):
        (subject / "next.avsc").write_text(record % f'{{"name": "id", "type": "string", {field}}}')
        done = environment.run("prism-check-schema", cwd=tmp_path)
        assert (done.returncode, done.stderr) == (code, ""), done.stdout
    other = tmp_path / "schemas" / "weather-value"
    other.mkdir()
    (other / "subject.toml").write_text(f'format = "protobuf"\n{about}')
    (other / "next.proto").write_text('syntax = "proto3"; message Weather {}')
    done = environment.run("prism-check-schema", "--subject", "weather-value", cwd=tmp_path)
    assert done.returncode == 2
    assert "install prism-pipeline[protobuf]" in done.stderr
