"""The generated pages are those that the code gives, and the generator refuses what is not documented."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from types import ModuleType

import click
import pytest

from prismlib.config.model import Model
from prismlib.contracts.core_rules import CORE_RULES
from prismlib.contracts.formats import installed_formats, load_format
from prismlib.contracts.rules import Rule
from prismlib.plugin.hookspecs import StageSpec
from prismlib.plugin.manager import LoadedPlugin, Plugins, load_plugins
from scripts.reference import COMMAND, FOLDER, PAGES, render, stale
from scripts.reference.commands import render_commands
from scripts.reference.configuration import render_configuration
from scripts.reference.docstrings import UndocumentedError
from scripts.reference.rules import rule_pages


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_up_to_date(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == render()[name], f"docs/reference/{name} is old; run {COMMAND}"


def test_the_pages_of_rules_are_up_to_date_and_there_are_no_others() -> None:
    pages = render()
    for name in pages.keys() - PAGES.keys():
        path = FOLDER / name
        assert path.exists(), f"docs/reference/{name} is missing; run {COMMAND}"
        assert path.read_text(encoding="utf-8") == pages[name], f"docs/reference/{name} is old; run {COMMAND}"
    assert not stale(pages), f"run {COMMAND}, which removes them"


def test_every_rule_of_every_installed_format_has_a_page_and_a_line_in_the_index() -> None:
    pages = render()
    rules = [*CORE_RULES.values(), *(rule for name in installed_formats() for rule in load_format(name).rules.values())]
    assert {f"rules/{rule.id}-{rule.name}.md" for rule in rules} == {*pages} - {*PAGES, "rules/README.md"}
    for rule in rules:
        line = re.search(rf"^\| \[{rule.id} .*$", pages["rules/README.md"], re.MULTILINE)
        assert line
        assert line[0].count("| fails") == len(rule.fails)


def test_the_pages_do_not_depend_on_what_else_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = render()
    info = tmp_path / "stranger-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[prismlib]\nstranger = site_stranger\nbroken = site_no_such_module\n"
        "[prismlib.formats]\nstranger = site_no_such_module:Format\n"
    )
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


def test_the_gate_is_on_the_page_with_its_exit_codes() -> None:
    page = render_commands(plugins())
    assert "| [`prism-check-schema`](#prism-check-schema) | Check proposed schemas" in page
    section = page.partition("## prism-check-schema\n")[2].partition("\n## ")[0]
    assert "`prism-check-schema [OPTIONS] [SCHEMA]`" in section
    assert "```\n\nExit codes: 0 compatible, 1 a finding" in section


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


# --- rules -------------------------------------------------------------------------------------------------------------


def planted_rules(folder: Path, name: str, docstring: str, *, id_: str = "PLT001") -> ModuleType:
    """A package of one rule."""
    package = folder / name
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "planted.py").write_text(
        f'"""{docstring}"""\n'
        "from prismlib.contracts.rules import Rule\n"
        f"RULE = Rule({id_!r}, 'planted', 'Do not.', frozenset({{'wire'}}))\n"
    )
    return import_module(name)


RULE = Rule("PLT001", "planted", "Do not.", frozenset({"wire"}))


def test_a_rule_is_what_its_docstring_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    says = """A thing was
planted.

What:
    A ``thing``, as in ``{
    "a": 1}``.

    And more.

Why: it grows to 2
- 1.

- a list
- of two

Example: planted `one`.

Instead: nothing.
"""
    package = planted_rules(tmp_path, "site_rules_whole", says)
    (page,) = rule_pages({RULE.id: RULE}, package, "Planted", ["Why", "Example", "Instead"])
    assert page.file == "PLT001-planted.md"
    assert page.summary == "A thing was\nplanted."
    assert page.sections == {
        "What": 'A `thing`, as in `{\n"a": 1}`.\n\nAnd more.',
        "Why": "It grows to 2\n\\- 1.\n\n- a list\n- of two",
        "Example": "Planted `one`.",
        "Instead": "Nothing.",
    }


@pytest.mark.parametrize(
    ("name", "docstring", "says"),
    [
        ("why", "A thing.\n\nExample: one\n\nInstead: none\n", r"planted\.py: the docstring lacks .* `Why:`"),
        ("empty", "A thing.\n\nWhy:\n\nExample: one\n\nInstead: none\n", r"planted\.py: .* lacks .* `Why:`"),
        ("first", "Why: it grows\n\nExample: one\n\nInstead: none\n", r"planted\.py: .* must begin with a sentence"),
        (
            "other",
            "A thing.\n\nWhen: always\n",
            r"planted\.py: a section 'When'; known are What, Why, Example, Instead",
        ),
        ("role", "A thing.\n\nWhy: :func:`f`\n", r"planted\.py: .* without a reference to code"),
    ],
)
def test_a_rule_without_words_is_refused(
    name: str, docstring: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    package = planted_rules(tmp_path, f"site_rules_{name}", docstring)
    with pytest.raises(UndocumentedError, match=says):
        rule_pages({RULE.id: RULE}, package, "Planted", ["Why", "Example", "Instead"])


def test_a_rule_without_a_module_is_refused_and_a_module_without_a_rule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    package = planted_rules(tmp_path, "site_rules_others", "A thing.", id_="PLT002")
    with pytest.raises(UndocumentedError, match=r"site_rules_others: .* not so PLT001, PLT002"):
        rule_pages({RULE.id: RULE}, package, "Planted", [])
