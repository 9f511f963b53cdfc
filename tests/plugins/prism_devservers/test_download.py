"""Fetching: from a repository on loopback, with files of a few bytes."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from prism_devservers import download
from prism_devservers.artifacts import Artifact, is_intact, locked
from prism_devservers.download import fetch, repository_url
from prism_devservers.ports import LEASES
from prismlib.errors import ConfigError, UnreachableError

GENUINE = {"one-1.0.jar": b"first" * 100, "two-2.0.jar": b"second" * 100}


def artifact(name: str, version: str) -> Artifact:
    content = GENUINE[f"{name}-{version}.jar"]
    return Artifact.parse(f"kafka org.example:{name}:{version} {hashlib.sha256(content).hexdigest()} {len(content)}")


class Repository:
    """Serves ``files`` by name; counts requests."""

    def __init__(self) -> None:
        self.files = dict(GENUINE)
        self.requests: Counter[str] = Counter()
        repository = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.rpartition("/")[2]
                repository.requests[name] += 1
                content = repository.files.get(name)
                self.send_response(200 if content is not None else 404)
                self.send_header("content-length", str(len(content or b"")))
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/maven"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    served = Repository()
    thread = threading.Thread(target=served.server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv("PRISM_MAVEN_URL", served.url)
    monkeypatch.setenv("PRISM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(download, "locked", lambda *_: [artifact("one", "1.0"), artifact("two", "2.0")])
    monkeypatch.setattr(download.time, "sleep", lambda _: None)
    yield served
    served.server.shutdown()
    thread.join()
    served.server.server_close()


def test_the_lock_file_pins_every_server_and_no_file_name_twice() -> None:
    names = [a.file_name for a in locked("kafka", "es", "es-http", "registry", "s3", "build")]
    assert len(names) == len(set(names))
    for name in ("kafka", "es", "es-http", "registry", "s3", "build"):
        assert locked(name)
        assert all(len(a.sha256) == 64 and a.size > 0 for a in locked(name))


def test_a_lock_line_with_classifier_and_extension_gives_the_path_in_a_repository() -> None:
    parsed = Artifact.parse("registry org.example.app:app:3.1:all@tar.gz " + "0" * 64 + " 7")
    assert parsed.repository_path == "org/example/app/app/3.1/app-3.1-all.tar.gz"
    assert parsed.file_name == "app-3.1-all.tar.gz"


def test_files_are_fetched_once_and_then_come_from_the_cache(repository: Repository) -> None:
    paths = fetch("kafka")
    assert {name: path.read_bytes() for name, path in paths.items()} == GENUINE
    assert fetch("kafka") == paths
    assert repository.requests == {"one-1.0.jar": 1, "two-2.0.jar": 1}


def test_a_damaged_file_of_the_cache_is_fetched_again(repository: Repository) -> None:
    path = fetch("kafka")["one-1.0.jar"]
    path.write_bytes(b"FIRST" * 100)  # of the same length
    assert fetch("kafka")["one-1.0.jar"].read_bytes() == GENUINE["one-1.0.jar"]
    assert repository.requests == {"one-1.0.jar": 2, "two-2.0.jar": 1}


def test_a_file_that_is_not_the_pinned_one_is_refused_and_not_kept(repository: Repository, tmp_path: Path) -> None:
    repository.files["two-2.0.jar"] = b"SECOND" * 100
    with pytest.raises(ConfigError, match=r"two-2\.0\.jar from 127\.0\.0\.1 has another SHA-256.*PRISM_MAVEN_URL"):
        fetch("kafka")
    assert not is_intact(artifact("two", "2.0"), tmp_path / "cache" / "jars" / "two-2.0.jar")
    assert not (tmp_path / "cache" / "jars" / "two-2.0.jar").exists()


def test_a_cut_off_download_is_tried_again_and_then_named(repository: Repository) -> None:
    repository.files["one-1.0.jar"] = b"first"
    with pytest.raises(
        UnreachableError, match=r"could not fetch one-1\.0\.jar from 127\.0\.0\.1 \(5 of 500 bytes came\)"
    ):
        fetch("kafka")
    assert repository.requests["one-1.0.jar"] == 3


def test_without_network_there_is_one_sentence(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    (port,) = LEASES.take(1)
    monkeypatch.setenv("PRISM_MAVEN_URL", f"http://127.0.0.1:{port}")
    with pytest.raises(UnreachableError) as caught:
        fetch("kafka")
    LEASES.release([port])
    assert "check the network, or name a Maven repository that answers in PRISM_MAVEN_URL" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_fetching_at_the_same_time_downloads_each_file_once(repository: Repository) -> None:
    with ThreadPoolExecutor(4) as executor:
        results = list(executor.map(lambda _: fetch("kafka"), range(4)))
    assert all(result == results[0] for result in results)
    assert repository.requests == {"one-1.0.jar": 1, "two-2.0.jar": 1}


def test_the_local_maven_repository_is_used_when_its_file_is_the_pinned_one(
    repository: Repository, tmp_path: Path
) -> None:
    for name, content in (("one-1.0", GENUINE["one-1.0.jar"]), ("two-2.0", b"SECOND" * 100)):
        base, _, version = name.partition("-")
        local = tmp_path / ".m2" / "repository" / "org" / "example" / base / version / f"{name}.jar"
        local.parent.mkdir(parents=True)
        local.write_bytes(content)
    assert {name: path.read_bytes() for name, path in fetch("kafka").items()} == GENUINE
    assert repository.requests == {"two-2.0.jar": 1}


def test_a_mirror_of_central_in_the_maven_settings_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRISM_MAVEN_URL", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".m2").mkdir()
    settings = tmp_path / ".m2" / "settings.xml"
    settings.write_text(
        "<settings xmlns='urn:any'><mirrors>"
        "<mirror><mirrorOf>other</mirrorOf><url>https://other.example</url></mirror>"
        "<mirror><mirrorOf>x,central</mirrorOf><url> https://mirror.example/maven/ </url></mirror>"
        "</mirrors></settings>"
    )
    assert repository_url() == "https://mirror.example/maven"
    settings.write_text("<settings>")
    with pytest.raises(ConfigError, match=r"settings\.xml is not valid XML"):
        repository_url()


def test_a_repository_that_is_no_web_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRISM_MAVEN_URL", "/srv/maven")
    with pytest.raises(ConfigError, match="change PRISM_MAVEN_URL"):
        repository_url()
