"""Somebody is told, from the command line to a real server on loopback."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from tests.http_server import HttpServer, Reply, Seen, Wire
from tests.unit.cli.conftest import Site

HUSH = "hush-hush-4711"


class Hook:
    """A web hook that takes what comes to ``/a``, and answers everything else as it is told to."""

    def __init__(self) -> None:
        self.came: list[dict[str, Any]] = []
        self.other: Reply | Wire = Reply(404)
        self.server = HttpServer(self._reply)

    def _reply(self, seen: Seen) -> Reply | Wire:
        if not seen.path.startswith(f"/a/{HUSH}"):
            return self.other
        self.came.append(seen.json())
        return Reply(200)

    def url(self, path: str = "a") -> str:
        return f"json://me:{HUSH}@localhost:{self.server.port}/{path}/{HUSH}"

    @property
    def titles(self) -> list[str]:
        return [message["title"].removeprefix("Prism: ") for message in self.came]


@pytest.fixture
def hook() -> Iterator[Hook]:
    hook = Hook()
    with hook.server:
        yield hook


@pytest.fixture(autouse=True)
def there(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(site.folder)


def write(site: Site, *urls: str) -> None:
    (site.folder / "prism.toml").write_text(f"[alerts]\nto = {json.dumps(list(urls))}\n")


def check(site: Site, *options: str) -> tuple[int, list[tuple[str, str, str]]]:
    result = site.prism("check", site.path, "--json", *options)
    assert HUSH not in result.out + result.err
    found = [(one["what"], one["state"], one["detail"]) for one in json.loads(result.out)]
    return result.code, [one for one in found if one[0].startswith("alert")]


@pytest.fixture
def world(memory: ModuleType) -> ModuleType:
    memory.BROKER.create_topic("words")
    memory.BROKER.create_topic("p.dead-letters")
    return memory


@pytest.fixture
def lossy(world: ModuleType, site: Site) -> ModuleType:
    """Records that were not read are gone."""
    world.BROKER.append("words", None, b"a")
    assert site.prism("run", site.path, "--until-idle", "0.2").code == 0
    for _ in range(4):
        world.BROKER.append("words", None, b"b")
    world.BROKER.delete_before("words", 0, 3)
    return world


def test_a_refusal_is_delivered_before_the_end_with_3(site: Site, lossy: ModuleType, hook: Hook) -> None:
    write(site, hook.url())
    result = site.prism("run", site.path, "--worker", "w7")
    assert result.code == 3
    assert HUSH not in result.out + result.err
    test, refusal = hook.came
    assert test["title"] == "Prism: p can reach you here"
    assert refusal["title"] == "Prism: p refuses to go on: topic words"
    assert refusal["message"].startswith(
        "What happened: pipeline p does not start, and nothing was read:\n  words[0]: data is"
    )
    assert f"prism run {site.path} --accept-loss 'words[0]:1-3'" in refusal["message"]
    assert f"Run next: prism offsets show {site.path}" in refusal["message"]
    assert "worker w7" in refusal["message"]


def test_an_untested_address_is_tested_once_while_the_pipeline_runs(site: Site, world: ModuleType, hook: Hook) -> None:
    write(site, hook.url())
    first = site.prism("run", site.path, "--until-idle", "0.2")
    assert "nobody will be told until a test message is delivered" in first.err
    again = site.prism("run", site.path, "--until-idle", "0.2")
    assert (first.code, again.code) == (0, 0)
    assert "nobody will be told" not in again.err
    assert hook.titles == ["p can reach you here"]


def test_a_slow_address_delays_neither_a_record_nor_the_end_for_long(site: Site, world: ModuleType, hook: Hook) -> None:
    hook.other = Wire([b"H"] * 100, pause=0.5)
    write(site, hook.url("slow"))
    for _ in range(100):
        world.BROKER.append("words", None, b"a")
    began = time.monotonic()
    result = site.prism("run", site.path, "--until-idle", "0.2", "--log-format", "json")
    assert (result.code, len(world.STORE.documents)) == (0, 100)
    assert time.monotonic() - began < 40, "the address takes 50 s"
    lines = [json.loads(line) for line in result.err.splitlines()]
    (given_up,) = [line for line in lines if "given up" in line["event"]]
    assert (given_up["address"], given_up["alert"]) == ("[alerts] to[0] (json)", "Prism: p can reach you here")


def test_production_waits_for_the_test_and_goes_on(site: Site, world: ModuleType, hook: Hook) -> None:
    write(site, hook.url("nobody"), hook.url())
    result = site.prism("run", site.path, "--until-idle", "0.2", "--production")
    assert result.code == 0
    assert "[alerts] to[0] (json)" in result.err, "one that works is enough, and the other is named"
    assert hook.titles == ["p can reach you here"]
    assert site.prism("run", site.path, "--until-idle", "0.2", "--production").code == 0
    assert len(hook.came) == 1, "it is known to work"


@pytest.mark.parametrize(
    ("urls", "why", "workers"),
    [
        ([], "no prism.toml names an address in [alerts] to", "2"),
        (["nobody"], "[alerts] to[0] (json): its service answered with the status 404", "2"),
        (["nobody"], "[alerts] to[0] (json): its service answered with the status 404", "1"),
        (["wrong"], "[alerts] to[0] is no address that Apprise understands", "1"),
    ],
)
def test_production_without_an_address_that_works_ends_with_2(
    site: Site, world: ModuleType, hook: Hook, urls: list[str], why: str, workers: str
) -> None:
    write(site, *(HUSH if url == "wrong" else hook.url(url) for url in urls))
    result = site.prism("run", site.path, "--production", "--workers", workers)
    assert result.code == 2
    assert "error: nobody will be told, which --production refuses: " in result.err
    assert why in result.err
    assert HUSH not in result.out + result.err


def test_a_wrong_address_does_not_keep_a_pipeline_from_running(site: Site, world: ModuleType, hook: Hook) -> None:
    write(site, HUSH, hook.url())
    result = site.prism("run", site.path, "--until-idle", "0.2")
    assert result.code == 0
    assert "[alerts] to[0] is no address that Apprise understands" in result.err
    assert HUSH not in result.err
    assert hook.titles == ["p can reach you here"]


def test_what_is_wrong_before_a_runner_is_there_is_told_too(site: Site, hook: Hook) -> None:
    write(site, hook.url())
    site.edit('servers = "memory"', 'servers = "none"')
    assert site.prism("run", site.path).code == 2
    site.path.write_text("name = ")
    assert site.prism("run", site.path).code == 2
    assert hook.titles == ["p stopped: its topics", "p.toml stopped: its topics"]
    assert "there are no servers" in hook.came[0]["message"]
    assert f"Run next: prism check {site.path}" in hook.came[0]["message"]


def test_an_end_that_was_asked_for_is_not_told(site: Site, world: ModuleType, hook: Hook) -> None:
    write(site, hook.url())
    assert site.prism("run", site.path, "--until-idle", "0.2").code == 0
    assert hook.titles == ["p can reach you here"]


def test_the_supervisor_tells_of_a_worker_that_was_killed_once(site: Site, hook: Hook) -> None:
    write(site, hook.url())
    site.edit('"memory"', '"kill"')
    plugin = site.folder / "site_memory.py"
    plugin.write_text(plugin.read_text() + '\nBROKER.create_topic("p.dead-letters")\n')
    process = site.start("run", site.path, "--workers", "2")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    assert hook.titles == ["p can reach you here", "p stopped: worker 2"], "and one test message, not three"
    assert "worker 2 was killed by SIGKILL" in hook.came[1]["message"]
    assert "worker supervisor on" in hook.came[1]["message"]


def test_check_says_when_an_address_last_worked_and_sends_nothing(site: Site, world: ModuleType, hook: Hook) -> None:
    write(site, hook.url(), hook.url("nobody"))
    code, found = check(site)
    assert (code, [one[:2] for one in found]) == (
        0,
        [("alert address", "warning"), ("alert address", "warning"), ("alerts", "warning")],
    )
    assert "nobody will be told" in found[-1][2]
    assert check(site, "--production")[0] == 2
    assert hook.came == []
    assert not (site.folder / ".prism").exists()
    assert site.prism("alerts", "test").code == 3
    code, found = check(site, "--production")
    assert code == 0
    assert found[0][2].startswith("[alerts] to[0] (json): the last delivery that worked was at 20")
    assert found[-1] == ("alerts", "ok", "1 of 2 addresses are known to work")


def test_check_calls_a_wrong_address_wrong(site: Site) -> None:
    write(site, HUSH)
    code, found = check(site)
    assert (code, [one[:2] for one in found]) == (2, [("alert address", "wrong"), ("alerts", "warning")])


def test_check_without_addresses(site: Site) -> None:
    assert check(site) == (
        0,
        [("alerts", "warning", "nobody will be told when it stops: no prism.toml names an address in [alerts] to")],
    )
    assert check(site, "--production")[0] == 2


def test_alerts_test(site: Site, hook: Hook) -> None:
    write(site, hook.url())
    result = site.prism("alerts", "test", "--json")
    assert result.code == 0
    assert json.loads(result.out) == {
        "tested": [{"address": "[alerts] to[0]", "scheme": "json", "delivered": True, "why": None}],
        "wrong": [],
    }
    assert f"the pipelines of {site.folder / 'prism.toml'}" in hook.came[0]["message"]
    assert "delivered" in site.prism("alerts", "test").out


def test_alerts_test_that_fails_is_remembered(site: Site, world: ModuleType, hook: Hook) -> None:
    write(site, hook.url("x"))
    hook.other = Reply(200)
    assert site.prism("alerts", "test").code == 0
    assert check(site, "--production")[0] == 0
    hook.other = Reply(401)
    result = site.prism("alerts", "test")
    assert (result.code, "its service answered with the status 401" in result.out) == (3, True)
    assert check(site, "--production")[0] == 2


def test_alerts_test_says_when_its_result_cannot_be_kept(site: Site, hook: Hook) -> None:
    write(site, hook.url())
    (site.folder / ".prism").write_text("no folder")
    result = site.prism("alerts", "test")
    assert (result.code, len(hook.came)) == (3, 1)
    assert f"{site.folder / '.prism' / 'alerts.json'} cannot be written" in result.err


@pytest.mark.parametrize(("urls", "says"), [([], "names no address"), ([HUSH], "to[0] is no address")])
def test_alerts_test_without_an_address_ends_with_2(site: Site, urls: list[str], says: str) -> None:
    write(site, *urls)
    result = site.prism("alerts", "test")
    assert result.code == 2
    assert says in result.err
    assert HUSH not in result.err


def test_no_part_of_an_address_is_shown_by_any_process(site: Site, hook: Hook, world: ModuleType) -> None:
    write(site, hook.url("nobody"), f"slack://{HUSH}", f"https://example.org/{HUSH}")
    for command in (["alerts", "test"], ["check", str(site.path)], ["run", str(site.path), "--log-level", "debug"]):
        process = site.start("--debug", *command)
        out, err = process.communicate(timeout=60)
        assert process.returncode in {2, 3}, out + err
        assert "[alerts] to[" in out + err
        assert HUSH[:9] not in out + err
