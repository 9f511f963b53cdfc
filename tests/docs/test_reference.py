"""The generated pages are those that the code gives, and the generator refuses what is not documented."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from prismlib.config.model import Model
from prismlib.plugin.hookspecs import StageSpec
from prismlib.plugin.manager import LoadedPlugin, Plugins, load_plugins
from scripts.reference import COMMAND, FOLDER, PAGES, render
from scripts.reference.commands import render_commands
from scripts.reference.configuration import render_configuration
from scripts.reference.docstrings import UndocumentedError


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_up_to_date(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == render()[name], f"docs/reference/{name} is old; run {COMMAND}"


def test_the_pages_do_not_depend_on_what_else_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = render()
    info = tmp_path / "stranger-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[prismlib]\nstranger = site_stranger\nbroken = site_no_such_module\n")
    (tmp_path / "site_stranger.py").write_text(
        "import click\n"
        "from prismlib.plugin.hookspecs import hookimpl\n"
        "@hookimpl\n"
        "def prism_commands():\n"
        "    return [click.Command('stranger')]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert "stranger" in load_plugins().commands()
    monkeypatch.setenv("PRISM_PLUGINS", "stranger")
    monkeypatch.setenv("COLUMNS", "40")
    assert render() == before


def plugins(*, model: type[Model] | None = None, command: click.Command | None = None) -> Plugins:
    stages = (StageSpec("sink", "planted", "a sink", model, lambda _, __: None),) if model else ()
    commands = (command,) if command else ()
    return Plugins((LoadedPlugin("planted", "prism-pipeline", "1", "planted", stages=stages, commands=commands),))


def test_a_key_without_meaning_is_refused() -> None:
    class Silent(Model):
        """A sink.

        Attributes:
            colour: of the sink.
        """

        colour: str
        size: int

    with pytest.raises(UndocumentedError, match=r"the key 'size' has no meaning: .* under `Attributes:` of .*Silent"):
        render_configuration(plugins(model=Silent))


def test_a_new_key_is_on_the_page() -> None:
    class Inner(Model):
        """The inside.

        Attributes:
            depth: how deep it is,
                on two lines.
        """

        depth: int = 5

    class Outer(Model):
        """A sink.

        Attributes:
            inside: of ``it``; either | or.
        """

        inside: tuple[Inner, ...] = ()

    page = render_configuration(plugins(model=Outer))
    assert '### `[sink]` with `type = "planted"`\n\nA sink.\n' in page
    assert "| `inside` | list of tables |  | of `it`; either \\| or. |" in page
    assert "### [[inside]]\n\nThe inside.\n" in page
    assert "| `depth` | whole number | `5` | how deep it is, on two lines. |" in page


def test_a_new_command_is_on_the_page() -> None:
    @click.group()
    def letters() -> None:
        """Look at letters."""

    @letters.command(epilog="Example: prism letters show 7")
    @click.argument("number")
    @click.option("--size", type=click.IntRange(1), default=3, help="How large.")
    @click.option("--secret", hidden=True)
    def show(number: str) -> None:
        """Show one letter.

        And more about it.
        """

    page = render_commands(plugins(command=letters))
    assert "| [`prism letters show`](#prism-letters-show) | Show one letter. |" in page
    section = page.partition("## prism letters show\n")[2].partition("## ")[0]
    assert "`prism letters show [OPTIONS] NUMBER`" in section
    assert "Show one letter.\n\nAnd more about it." in section
    assert "| `--size NUMBER` | `3` | How large. |" in section
    assert "```sh\nprism letters show 7\n```" in section
    assert "secret" not in section


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (click.Command("odd", help="Odd.", epilog="See also: even"), "prism odd: its epilog must be"),
        (click.Command("odd", epilog="Example: prism odd"), "prism odd has no docstring"),
        (
            click.Command("odd", help="Odd.", epilog="Example: prism odd", params=[click.Option(["--size"])]),
            "prism odd: the option --size TEXT has no help",
        ),
    ],
)
def test_a_command_without_words_is_refused(command: click.Command, says: str) -> None:
    with pytest.raises(UndocumentedError, match=says):
        render_commands(plugins(command=command))
