"""Loading and isolation of plugins. Plugins are installed for real: a dist-info folder and a module on sys.path."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from prismlib.errors import ConfigError, PluginLoadError, PluginNotFoundError
from prismlib.plugin.manager import load_plugins

GOOD = """
import click
from prismlib.config.model import Model
from prismlib.plugin.hookspecs import StageSpec, StoreSpec, hookimpl

class Config(Model):
    servers: str

@hookimpl
def prism_stages():
    return [StageSpec("source", "tape", "reads tapes", Config, lambda config, context: None)]

@hookimpl
def prism_stores():
    return [StoreSpec("administration", "tape", lambda config, context: None)]

@hookimpl
def prism_commands():
    return [click.Command("rewind")]
"""


class Site:
    """A folder of installed distributions."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, name: str, code: str, *, metadata: str | None = None) -> None:
        (self.folder / f"site_{name}.py").write_text(textwrap.dedent(code))
        info = self.folder / f"prism_{name}_plugin-1.2.dist-info"
        info.mkdir()
        text = f"Metadata-Version: 2.1\nName: prism-{name}-plugin\nVersion: 1.2\n" if metadata is None else metadata
        (info / "METADATA").write_text(text)
        (info / "entry_points.txt").write_text(f"[prismlib]\n{name} = site_{name}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("PRISM_PLUGINS", raising=False)
    yield Site(tmp_path)
    for name in [name for name in sys.modules if name.startswith("site_")]:
        del sys.modules[name]


def failure(name: str) -> str:
    (failed,) = (plugin for plugin in load_plugins().failed if plugin.name == name)
    return failed.reason


def test_a_plugin_of_somebody_else_is_loaded_with_its_distribution(site: Site) -> None:
    site.install("tapes", GOOD)
    plugins = load_plugins()
    (found,) = (plugin for plugin in plugins.loaded if plugin.name == "tapes")
    assert (found.distribution, found.version, found.module) == ("prism-tapes-plugin", "1.2", "site_tapes")
    assert plugins.stage("source", "tape").summary == "reads tapes"
    assert plugins.store("administration", "tape").name == "tape"
    assert plugins.commands()["rewind"].name == "rewind"
    assert plugins.owner(plugins.stage("source", "tape")) == "'tapes' (of prism-tapes-plugin 1.2)"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("raise SystemExit('bye')", "SystemExit: bye"),
        ("def broken(:", "SyntaxError"),
        ("x = 1", "implements none of the hooks prism_stages"),
        (
            "from prismlib.plugin.hookspecs import hookimpl\n@hookimpl\ndef prism_stages(): raise RuntimeError('no')",
            "RuntimeError: no",
        ),
        (
            "from prismlib.plugin.hookspecs import hookimpl\n@hookimpl\ndef prism_stagez(): return []",
            "unknown hook 'prism_stagez'",
        ),
        (
            "from prismlib.plugin.hookspecs import hookimpl\n@hookimpl\ndef prism_stages(): return ['kafka']",
            "hook prism_stages must return StageSpec only, not 'kafka'",
        ),
        (
            "from prismlib.plugin.hookspecs import hookimpl\n@hookimpl\ndef prism_stages(): return 7",
            "hook prism_stages must return a list of StageSpec, not 7",
        ),
        (GOOD.replace('"source", "tape"', '"sauce", "tape"'), "'tape' has the kind 'sauce'; known are source"),
        (GOOD.replace('"source", "tape"', '"source", ""'), "the name '' must be a string that is not empty"),
        (GOOD.replace("Config, lambda", "dict, lambda"), "config_model of the source 'tape' must be a subclass"),
        (
            GOOD.replace("Config, lambda config, context: None", "Config, None"),
            "the factory of 'tape' cannot be called",
        ),
        (GOOD.replace('click.Command("rewind")', "click.Command(None)"), "a command has no name"),
    ],
)
def test_a_broken_plugin_fails_alone_with_its_reason(site: Site, code: str, reason: str) -> None:
    site.install("broken", code)
    site.install("tapes", GOOD)
    assert reason in failure("broken")
    assert load_plugins().stage("source", "tape").name == "tape"


def test_a_damaged_installation_is_still_named(site: Site) -> None:
    site.install("tapes", GOOD, metadata="Metadata-Version: 2.1\n")
    (found,) = (plugin for plugin in load_plugins().loaded if plugin.name == "tapes")
    assert (found.distribution, found.version) == ("an unnamed distribution", "?")


def test_the_failure_is_quoted_when_the_stage_of_that_name_is_asked_for(site: Site) -> None:
    site.install("tapes", "import no_such_library")
    with pytest.raises(
        PluginLoadError,
        match=r"no source 'tapes', because the plugin 'tapes' \(of prism-tapes-plugin 1.2\)"
        r" failed to load: ModuleNotFoundError",
    ) as caught:
        load_plugins().stage("source", "tapes")
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_an_unknown_stage_is_answered_with_the_nearest_name_and_what_failed(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRISM_PLUGINS", "tapes,broken")
    site.install("tapes", GOOD)
    site.install("broken", "import no_such_library")
    with pytest.raises(
        PluginNotFoundError,
        match=r"offers the source 'tap'; did you mean 'tape'\?; the plugin 'broken' \(of prism-broken-plugin 1.2\)"
        r" failed to load and may offer it: ModuleNotFoundError",
    ):
        load_plugins().stage("source", "tap")
    site.install("worse", "import no_such_library")
    monkeypatch.setenv("PRISM_PLUGINS", "tapes,broken,worse")
    with pytest.raises(PluginNotFoundError, match="see `prism plugins`: broken, worse"):
        load_plugins().stage("source", "tap")


def test_an_unknown_stage_with_no_near_name_lists_what_is_installed(site: Site) -> None:
    site.install("tapes", GOOD)
    with pytest.raises(PluginNotFoundError, match=r"'quantum'; installed are .*tape"):
        load_plugins().stage("source", "quantum")


def test_two_plugins_with_one_stage_are_both_named_and_only_that_stage_is_lost(site: Site) -> None:
    site.install("tapes", GOOD)
    site.install("other", GOOD.replace('StoreSpec("administration", "tape"', 'StoreSpec("administration", "disk"'))
    plugins = load_plugins()
    with pytest.raises(PluginLoadError, match=r"'other' \(of prism-other-plugin 1.2\) and 'tapes'"):
        plugins.stage("source", "tape")
    with pytest.raises(PluginLoadError, match="command 'rewind'"):
        plugins.commands()
    assert plugins.store("administration", "disk").name == "disk"


def test_the_environment_restricts_loading_but_never_the_core(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.install("tapes", GOOD)
    site.install("broken", "import no_such_library")
    monkeypatch.setenv("PRISM_PLUGINS", " tapes ,")
    plugins = load_plugins()
    modules = {plugin.module for plugin in (*plugins.loaded, *plugins.failed)}
    assert {module for module in modules if not module.startswith("prismlib.")} == {"site_tapes"}
    assert any(module.startswith("prismlib.") for module in modules)
    assert "broken" in plugins.left_out
    with pytest.raises(PluginNotFoundError, match="'broken' is installed and left out by PRISM_PLUGINS"):
        plugins.stage("sink", "broken")


def test_a_restriction_to_what_is_not_installed_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.install("tapes", GOOD)
    monkeypatch.setenv("PRISM_PLUGINS", "tape")
    with pytest.raises(ConfigError, match=r"PRISM_PLUGINS: no plugin 'tape' is installed; did you mean 'tapes'\?"):
        load_plugins()
