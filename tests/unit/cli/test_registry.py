"""Commands and a schema registry over HTTP: which one, whether it answers, and what is wrong with its settings."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.http_server import Answer, HttpServer, Reply, Seen
from tests.plugins.prism_confluent_registry.client import says
from tests.unit.cli.conftest import Result, Site


def registry(seen: Seen) -> Answer:
    if seen.headers.get("authorization") != "Bearer hush":
        return Reply(401)
    if seen.path == "/subjects":
        return Reply(200, ["words-value"])
    if seen.path == "/subjects/words-value/versions/latest":
        return Reply(200, {"subject": "words-value", "version": 3, "id": 7, "schema": '"string"'})
    return says(404, 40401, "Subject not found")


@pytest.fixture
def server(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpServer]:
    monkeypatch.setenv("PRISM_PLUGINS", "tape,confluent_registry")
    monkeypatch.setenv("REGISTRY_TOKEN", "hush")
    site.edit('type = "plain"', 'type = "plain", subject = "words-value"')
    with HttpServer(registry) as server:
        configure(site, f'url = "{server.url}"\ntoken = {{ env = "REGISTRY_TOKEN" }}\ntimeout = "2s"')
        yield server


def configure(site: Site, table: str) -> None:
    (site.folder / "prism.toml").write_text(f"[registry]\n{table}\n")


def found(result: Result) -> list[tuple[str, str, str]]:
    assert "hush" not in result.out + result.err
    return [(check["what"], check["state"], check["detail"]) for check in json.loads(result.out)]


def test_check_names_the_registry_and_finds_the_subjects_in_it(site: Site, server: HttpServer) -> None:
    result = site.prism("check", site.path, "--json")
    checks = found(result)
    assert ("registry", "ok", f"{server.url}: 1 subject") in checks
    assert ("subject words-value", "ok", "version 3, avro, id 7") in checks
    assert result.code == 0
    site.edit("words-value", "other-value")
    result = site.prism("check", site.path, "--json")
    (wrong,) = (check for check in found(result) if check[1] == "wrong")
    assert wrong[0] == "subject other-value"
    assert "Subject not found" in wrong[2]
    assert result.code == 2


def test_check_says_once_that_the_registry_is_away(site: Site, server: HttpServer) -> None:
    server.reply = lambda _: Reply(503)
    result = site.prism("check", site.path, "--json")
    (unreachable,) = (check for check in found(result) if check[1] != "ok" and check[0] != "alerts")
    assert unreachable[:2] == ("registry", "unreachable")
    assert f"{server.url} answers 503" in unreachable[2]
    assert result.code == 3


def test_a_refused_token_is_named(site: Site, server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRISM_REGISTRY_TOKEN", "hush-another")
    result = site.prism("check", site.path, "--json")
    (refused,) = (check for check in found(result) if check[1] == "unreachable")
    assert "does not accept the credentials (status 401); check token" in refused[2]
    assert result.code == 3


def test_the_environment_comes_before_the_file(site: Site, server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(site, 'url = "http://127.0.0.1:1"\ntoken = "hush-of-the-file"')
    monkeypatch.setenv("PRISM_REGISTRY_URL", server.url)
    monkeypatch.setenv("PRISM_REGISTRY_TOKEN", "hush")
    assert ("registry", "ok", f"{server.url}: 1 subject") in found(site.prism("check", site.path, "--json"))


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('url = "http://h"\ntoken = "hush"', "[registry]: token would travel unencrypted to http://h"),
        ('url = "http://u:hush@h"', "[registry]: url must not hold credentials"),
        ('url = "https://h"\ntokem = "hush"', "[registry]: unknown key 'tokem'; did you mean 'token'?"),
        ('url = "ftp://h"', "[registry]: url begins with 'ftp:', and no installed plugin offers the registry 'ftp'"),
    ],
)
def test_wrong_settings_are_told_once_with_the_file(site: Site, server: HttpServer, table: str, said: str) -> None:
    configure(site, table)
    result = site.prism("run", site.path)
    assert result.code == 2
    assert f"error: {site.folder / 'prism.toml'}: {said}" in result.err
    assert "hush" not in result.err
    checks = found(site.prism("check", site.path, "--json"))
    assert [what for what, state, _ in checks if state == "wrong"] == ["project"]


def test_plugins_lists_the_registry(site: Site, server: HttpServer) -> None:
    assert "registry confluent" in site.prism("plugins").out
