"""What the commands do when all is well, and how they end."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import ModuleType

import pytest

from prismlib.plugin.hookspecs import Check
from tests.unit.cli.conftest import Site


def test_plugins_as_json(site: Site) -> None:
    found = json.loads(site.prism("plugins", "--json").out)
    (tape,) = (plugin for plugin in found["loaded"] if plugin["name"] == "tape")
    assert tape["distribution"] == "prism-tape"
    assert {"kind": "source", "name": "tape", "summary": "in memory"} in tape["stages"]
    assert "avro" in found["left_out"]


def test_every_command_shows_an_example(site: Site) -> None:
    for command in ("run", "setup", "check", "plugins"):
        result = site.prism(command, "--help")
        assert result.code == 0
        assert f"Example: prism {command}" in result.out


def test_commands_of_plugins_are_added(site: Site, broken: Callable[[str], None]) -> None:
    broken(
        "import click\n"
        "from prismlib.plugin.hookspecs import hookimpl\n"
        "@hookimpl\n"
        "def prism_commands():\n"
        "    return [click.Command('rewind', callback=lambda: 1, help='Go back.')]\n"
    )
    assert "rewind" in site.prism("--help").out
    assert site.prism("rewind").code == 1


def test_setup_shows_the_plan_and_creates_with_yes(site: Site, memory: ModuleType) -> None:
    dry = site.prism("setup", site.path)
    assert dry.code == 0
    assert "to create" in dry.out
    assert "dry run" in dry.err
    assert not memory.BROKER.has_topic("words")
    assert json.loads(site.prism("setup", site.path, "--yes", "--json").out) == [
        {"what": "topic words", "state": "created", "problem": ""}
    ]
    assert memory.BROKER.has_topic("words")
    assert json.loads(site.prism("setup", site.path, "--json").out)[0]["state"] == "exists"


def test_setup_creates_nothing_beside_a_problem(site: Site, memory: ModuleType) -> None:
    site.edit("[sink]", '[[route]]\ntopic = "odd"\ndecode = { type = "plain" }\n[sink]')
    result = site.prism("setup", site.path, "--yes")
    assert result.code == 2
    assert "has 0 partitions; delete it" in result.out
    assert not memory.BROKER.has_topic("words")


def test_a_file_that_leaves_a_stage_to_code_is_set_up_and_checked_but_not_run(site: Site, memory: ModuleType) -> None:
    site.edit('[sink]\ntype = "shelf"\n', "")
    memory.CHECKS[:] = [Check("broker", "ok", "4.1.0")]
    missing = f"{site.path}: the table [sink] with its key 'type' is missing; add it, or run the pipeline from code"
    assert site.prism("setup", site.path, "--yes").code == 0
    assert memory.BROKER.has_topic("words")
    for workers in ("1", "2"):
        result = site.prism("run", site.path, "--workers", workers)
        assert result.code == 2
        assert missing in result.err
    result = site.prism("check", site.path, "--json")
    assert result.code == 2
    found = {(check["what"], check["state"]): check["detail"] for check in json.loads(result.out)}
    assert found["stages", "ok"] == "source tape, decoder plain"
    assert found["stages", "wrong"].startswith(missing)
    assert ("broker", "ok") in found


def test_check_lists_everything_and_warns_when_nobody_will_be_told(site: Site, memory: ModuleType) -> None:
    memory.CHECKS[:] = [Check("broker", "ok", "4.1.0")]
    result = site.prism("check", site.path, "--json")
    assert result.code == 0
    states = {check["what"]: check["state"] for check in json.loads(result.out)}
    assert states["alerts"] == "warning"
    assert states["broker"] == "ok"
    (site.folder / "prism.toml").write_text('[alerts]\nto = ["mailto://example.org"]\n')
    states = {check["what"]: check["state"] for check in json.loads(site.prism("check", site.path, "--json").out)}
    assert states["alerts"] == "warning", "addresses are given, and nothing is sent to them"


@pytest.mark.parametrize(
    ("states", "code"), [(["ok", "unreachable"], 3), (["unreachable", "wrong"], 2), (["warning"], 0)]
)
def test_check_ends_with_what_the_servers_said(site: Site, memory: ModuleType, states: list[str], code: int) -> None:
    memory.CHECKS[:] = [Check(f"server {n}", state, "") for n, state in enumerate(states)]  # type: ignore[arg-type]
    assert site.prism("check", site.path).code == code


def test_check_tells_several_things_at_once(site: Site) -> None:
    site.edit('type = "plain"', 'type = "plane"')
    site.edit('servers = "memory"', "")
    (site.folder / "prism.toml").write_text("[registri]\n")
    found = json.loads(site.prism("check", site.path, "--json").out)
    assert [check["what"] for check in found if check["state"] == "wrong"] == ["project", "stages", "stages"]


def test_check_looks_for_the_subjects_that_stages_name(site: Site) -> None:
    site.edit('type = "plain"', 'type = "plain", subject = "words-value"')
    subject = site.folder / "schemas" / "other-value"
    subject.mkdir(parents=True)
    (subject / "subject.toml").write_text('format = "avro"\ncompatibility = "NONE"\nowner = "o"\ncontact = "c"\n')
    (subject / "v1.avsc").write_text('"string"')
    result = site.prism("check", site.path, "--json")
    assert result.code == 2
    (wrong,) = (check for check in json.loads(result.out) if check["state"] == "wrong")
    assert wrong["what"] == "subject words-value"
    assert "[[route]] words: decode" in wrong["detail"]
    site.edit("words-value", "other-value")
    assert site.prism("check", site.path).code == 0


def test_the_environment_comes_before_the_file_where_a_stage_has_the_key(
    site: Site, memory: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRISM_SOURCE_SERVERS", "none")
    assert "there are no servers" in site.prism("run", site.path).err
    monkeypatch.setenv("PRISM_SOURCE_SERVERS", "memory")
    monkeypatch.setenv("PRISM_SINK_ULR", "http://127.0.0.1:1")
    found = [c for c in json.loads(site.prism("check", site.path, "--json").out) if c["what"] == "environment"]
    assert [(check["state"], check["detail"].split()[0]) for check in found] == [
        ("ok", "PRISM_SOURCE_SERVERS"),
        ("warning", "PRISM_SINK_ULR"),
    ]


def test_run_reads_until_idle_and_ends_with_0(site: Site, memory: ModuleType) -> None:
    memory.BROKER.create_topic("words")
    memory.BROKER.create_topic("p.dead-letters")
    for number in range(5):
        memory.BROKER.append("words", None, b'{"n":%d}' % number)
    result = site.prism("run", site.path, "--until-idle", "0.2", "--log-format", "json", "--worker", "w1")
    assert result.code == 0
    assert len(memory.STORE.documents) == 5
    last = json.loads(result.err.splitlines()[-1])
    assert (last["event"], last["worker"], last["delivered"]) == ("worker ended", "w1", 5)


def test_run_stops_gracefully_on_a_signal(site: Site) -> None:
    site.edit('"memory"', '"signal"')
    site.edit('type = "shelf"', 'type = "tape"\ntopic = "words-out"')
    (site.folder / "site_memory.py").write_text(
        (site.folder / "site_memory.py").read_text() + '\nBROKER.create_topic("words-out")\n'
    )
    process = site.start("run", site.path)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "stopping: finishing what is open" in err
    assert "worker ended" in err
    assert out == ""


def test_workers_are_stopped_together_when_one_is_killed(site: Site) -> None:
    site.edit('"memory"', '"kill"')
    (site.folder / "site_memory.py").write_text(
        (site.folder / "site_memory.py").read_text() + '\nBROKER.create_topic("p.dead-letters")\n'
    )
    process = site.start("run", site.path, "--workers", "2")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "worker ended, stopping the others ended=2 exit_code=-9" in err
    assert "[1] worker ended" in err


def test_the_reader_of_a_pipe_may_leave_early(site: Site) -> None:
    with site.start("plugins", "--json") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert (process.stderr.read(), process.wait(timeout=60)) == ("", 0)


def test_no_colour_where_the_output_is_no_terminal(site: Site) -> None:
    assert "\x1b" not in site.prism("check", site.path).out
    site.path.unlink()
    assert "\x1b" not in site.prism("run", site.path).err
