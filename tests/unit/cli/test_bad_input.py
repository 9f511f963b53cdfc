"""A user's mistake ends with 2 and one message that names file, key and the next step; never with a traceback."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from prismlib.cli.main import execute
from tests.unit.cli.conftest import Site


@pytest.mark.parametrize("command", [["run", "--until-idle", "1"], ["setup"], ["check"]])
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("servers", "severs", "p.toml: [source]: unknown key 'severs'; did you mean 'servers'?"),
        ('"memory"', "7", "p.toml: [source]: 'servers': must be a valid string"),
        (
            '"memory"',
            '{ env = "PRISM_TEST_NOT_SET" }',
            "p.toml: source.servers: the environment variable PRISM_TEST_NOT",
        ),
        ('"memory"', '{ file = "secret.txt" }', "p.toml: source.servers: the secret file secret.txt cannot be read"),
        (
            'type = "shelf"',
            'type = "shelve"',
            "[sink]: no installed plugin offers the sink 'shelve'; did you mean 'shelf'?",
        ),
        (
            'type = "plain"',
            'type = "plane"',
            "[[route]] words: decode: no installed plugin offers the decoder 'plane';",
        ),
        ('type = "plain"', 'type = "plain", a = 1', "[[route]] words: decode: unknown key 'a'; known are subject"),
        ('name = "p"', 'nane = "p"', "unknown key 'nane'; did you mean 'name'?"),
        ('name = "p"', "name =", "not valid TOML"),
    ],
)
def test_a_wrong_pipeline_file(site: Site, command: list[str], old: str, new: str, message: str) -> None:
    site.edit(old, new)
    result = site.prism(command[0], site.path, *command[1:])
    shown = result.out if command == ["check"] else result.err
    assert result.code == 2
    assert sum(message in line for line in shown.splitlines()) == 1
    assert str(site.path) in shown


@pytest.mark.parametrize("command", ["run", "setup", "check"])
def test_a_file_that_is_not_there(site: Site, command: str) -> None:
    result = site.prism(command, site.folder / "nowhere.toml")
    assert result.code == 2
    assert f"{site.folder / 'nowhere.toml'}: no such file" in result.out + result.err


def test_a_broken_plugin_is_quoted_when_its_stage_is_asked_for(site: Site, broken: Callable[[str], None]) -> None:
    broken("import no_such_library")
    site.edit('type = "shelf"', 'type = "broken"')
    result = site.prism("run", site.path)
    assert result.code == 2
    assert result.err.count("\n") == 1
    assert (
        "[sink]: there is no sink 'broken', because the plugin 'broken' (of prism-broken 1.0) failed to load:"
        " ModuleNotFoundError: No module named 'no_such_library'"
    ) in result.err


def test_a_broken_plugin_does_not_disturb_others_and_is_listed(site: Site, broken: Callable[[str], None]) -> None:
    broken("import no_such_library")
    assert site.prism("check", site.path).code == 0
    listed = site.prism("plugins")
    assert listed.code == 0
    assert "failed to load: ModuleNotFoundError: No module named 'no_such_library'" in listed.out
    assert "broken" in site.prism("--help").out


@pytest.mark.parametrize(
    ("servers", "message"),
    [("none", "[source]: servers: there are no servers"), ("bug", "could not be made: ZeroDivisionError: a bug")],
)
def test_a_factory_that_fails_is_named_with_its_table(site: Site, servers: str, message: str) -> None:
    site.edit('"memory"', f'"{servers}"')
    result = site.prism("run", site.path)
    assert result.code == 2
    assert message in result.err
    assert str(site.path) in result.err


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'type = "shelf"',
            'type = "hole"',
            "the sink 'hole' of the plugin 'tape' (of prism-tape 1.0) has no method open",
        ),
        (
            "[sink]",
            'normalize = { type = "broken" }\n[sink]\nencode = { type = "compact" }',
            "the normalizer 'broken' of the plugin 'tape'",
        ),
    ],
)
def test_a_stage_without_its_methods_is_refused_before_anything_runs(
    site: Site, old: str, new: str, message: str
) -> None:
    site.edit(old, new)
    result = site.prism("run", site.path)
    assert result.code == 3
    assert message in result.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rum"], "There is no command 'rum'; did you mean 'run'?"),
        (["run"], "Missing argument 'PIPELINE.toml'"),
        (["run", "p.toml", "--workers", "0"], "0 is not in the range"),
        (["run", "p.toml", "--worker", "../x"], "letters, digits"),
        (["run", "p.toml", "--log-level", "loud"], "'loud' is not one of"),
        (["run", "p.toml", "--accept-loss", "words:1-2"], "write TOPIC[PARTITION]:FIRST-END, as the refusal shows it"),
        (["run", "p.toml", "--accept-loss", "words[0]:2-2"], "END is the offset after the last record"),
        (["--verbos"], "No such option"),
    ],
)
def test_wrong_usage(site: Site, arguments: list[str], message: str) -> None:
    result = site.prism(*arguments)
    assert result.code == 2
    assert message in result.err


@pytest.mark.parametrize("workers", [[], ["--workers", "2"]])
@pytest.mark.parametrize("option", [["--accept-recreated", "wards"], ["--accept-loss", "wards[0]:1-2"]])
def test_a_topic_that_no_route_reads_cannot_be_accepted(site: Site, option: list[str], workers: list[str]) -> None:
    result = site.prism("run", site.path, *option, *workers)
    assert result.code == 2
    assert "has no route for the topic 'wards'; did you mean 'words'?" in result.err


def test_a_restriction_to_a_plugin_that_is_not_there(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRISM_PLUGINS", "tapes")
    result = site.prism("plugins")
    assert result.code == 2
    assert "PRISM_PLUGINS: no plugin 'tapes' is installed; did you mean 'tape'?" in result.err


def test_an_internal_error_is_one_sentence_and_the_traceback_is_for_debug(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("prismlib.plugin.manager.load_plugins", fail)
    result = site.prism("plugins")
    assert result.code == 3
    assert result.err == (
        "error: internal error, please report it: ZeroDivisionError: a bug; `prism --debug ...` shows where\n"
    )
    assert execute(["--debug", "plugins"]) == 3
    assert "Traceback" in capsys.readouterr().err


def test_events_without_an_encoder_are_refused_where_the_sink_needs_one(site: Site) -> None:
    site.edit("[sink]", 'normalize = { type = "upper" }\n[sink]\ntopic = "out"')
    site.edit('type = "shelf"', 'type = "tape"')
    result = site.prism("run", site.path)
    assert result.code == 2
    assert "[sink]: encode is missing, and the route 'words' makes events that must become bytes" in result.err
