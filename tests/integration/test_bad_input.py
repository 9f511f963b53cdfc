"""Wrong files, missing topics, absent servers: one message that names what to change, and never half a pipeline."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.harness import Project, prism, setup

pytestmark = pytest.mark.real


def refused(exit_code: int, *arguments: str | Path) -> str:
    done = prism(*arguments)
    assert done.returncode == exit_code, f"exit code {done.returncode}:\n{done.stdout}{done.stderr}"
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def test_a_missing_topic(project: Project) -> None:
    pipeline = project.worker_1()
    said = refused(2, "run", pipeline)
    assert project.input in said
    said = refused(2, "check", pipeline)
    assert project.input in said


def test_a_missing_output_topic_names_the_command_that_creates_it(project: Project) -> None:
    project.create_topics()
    said = refused(2, "run", project.worker_1())
    assert project.output in said
    assert "prism setup" in said


def test_a_missing_alias_names_the_command_that_creates_it(project: Project) -> None:
    project.create_topics()
    setup(project.worker_1())
    said = refused(2, "run", project.worker_2())
    assert project.name in said
    assert "prism setup" in said


def test_an_unreachable_broker(project: Project) -> None:
    pipeline = project.worker_1(servers="127.0.0.1:1")
    for command in ("run", "check", "setup"):
        assert "127.0.0.1:1" in refused(3, command, pipeline)


def test_an_unreachable_elasticsearch(project: Project) -> None:
    project.create_topics()
    setup(project.worker_1(), project.worker_2())
    pipeline = project.worker_2(url="http://127.0.0.1:1")
    for command in ("run", "check", "setup"):
        assert "127.0.0.1:1" in refused(3, command, pipeline)


@contextmanager
def old_elasticsearch() -> Iterator[str]:
    body = json.dumps({"version": {"number": "8.17.0"}, "tagline": "You Know, for Search"}).encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("x-elastic-product", "Elasticsearch")
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_an_elasticsearch_of_the_wrong_major_version(project: Project) -> None:
    project.create_topics()
    setup(project.worker_1())
    with old_elasticsearch() as url:
        pipeline = project.worker_2(url=url)
        for command in ("run", "check"):
            said = refused(2, command, pipeline)
            assert "8.17.0" in said
            assert "9" in said


def test_a_mapping_that_reads_a_field_which_the_schema_does_not_have(project: Project) -> None:
    project.create_topics()
    pipeline = project.worker_1()
    setup(pipeline)
    mapping = project.folder / "mappings" / "orders.toml"
    mapping.write_text(mapping.read_text().replace('"amount"', '"amuont"'))
    for command in ("check", "run"):
        said = refused(2, command, pipeline)
        assert "amuont" in said
        assert "orders.toml" in said
        assert "amount" in said


@pytest.mark.parametrize(
    ("wrong", "right", "says"),
    [
        ("commit_intervall", "commit_interval", "did you mean"),
        ('start = "soon"', 'start = "earliest"', "start"),
        ("owner = 7", 'owner = "shop"', "owner"),
    ],
)
def test_a_wrong_pipeline_file(project: Project, wrong: str, right: str, says: str) -> None:
    pipeline = project.worker_1()
    pipeline.write_text(pipeline.read_text().replace(right, wrong))
    for command in ("run", "check", "setup"):
        said = refused(2, command, pipeline)
        assert says in said
        assert pipeline.name in said


def test_check_passes_once_everything_is_set_up_and_says_that_nobody_will_be_told(project: Project) -> None:
    project.create_topics()
    pipelines = [project.worker_1(), project.worker_2()]
    setup(*pipelines)
    for pipeline in pipelines:
        done = prism("check", pipeline)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "nobody will be told" in done.stdout + done.stderr


def test_setup_is_a_dry_run_until_it_is_told_to_and_can_be_repeated(project: Project) -> None:
    project.create_topics()
    pipeline = project.worker_1()
    assert prism("setup", pipeline).returncode == 0
    assert project.output in refused(2, "run", pipeline)
    setup(pipeline)
    setup(pipeline)
