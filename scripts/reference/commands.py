"""``commands.md``: every command, from click."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from prismlib.cli.app import App
from prismlib.cli.check_schema import command as check_schema
from prismlib.cli.main import COMMANDS, prism
from prismlib.plugin.manager import Plugins
from scripts.reference.docstrings import UndocumentedError, markdown
from scripts.reference.tables import table

_INTRODUCTION = """\
<!-- Written by scripts/docs from the commands themselves. Do not edit it. -->

# Commands

Every command of `prism`, as this repository brings it, and `prism-check-schema`. Plugins of others can add more to `prism`;
`prism --help` lists all of them. Every command has `--help`. What an exit code means, and what the environment can say, is
[the same for all](command-line.md).
"""
_DEFAULT = re.compile(r"\s*\[default: (?P<text>.+)\]$")


def render_commands(plugins: Plugins) -> str:
    """The whole page. Raises UndocumentedError for a command without example, or an option without help."""
    context = click.Context(prism, info_name="prism", obj=_App(plugins))
    names = sorted({*COMMANDS, *plugins.commands()})
    found = {name: command for name in names if (command := prism.get_command(context, name))}
    leaves = dict(_leaves(found, context))
    leaves |= _leaves({"prism-check-schema": check_schema}, None)
    lines = [_INTRODUCTION]
    lines += table(
        ["command", "does"],
        ([f"[`{path}`](#{_anchor(path)})", _summary(one.command)] for path, one in leaves.items()),
    )
    lines += ["## prism", "", *_options(context)]
    for path, one in leaves.items():
        lines += _section(path, one)
    return "\n".join(lines).rstrip() + "\n"


class _App(App):
    """An application with the plugins of this repository only."""

    def __init__(self, plugins: Plugins) -> None:
        super().__init__()
        self.__dict__["plugins"] = plugins


def _leaves(commands: Mapping[str, click.Command], parent: click.Context | None) -> Iterator[tuple[str, click.Context]]:
    for name, command in commands.items():
        context = click.Context(command, info_name=name, parent=parent)
        if isinstance(command, click.Group):
            below = {
                sub: found for sub in command.list_commands(context) if (found := command.get_command(context, sub))
            }
            yield from _leaves(below, context)
        elif not command.hidden:
            yield context.command_path, context


def _section(path: str, context: click.Context) -> Iterator[str]:
    command = context.command
    yield f"## {path}"
    yield ""
    yield f"`{' '.join([path, *command.collect_usage_pieces(context)])}`"
    yield ""
    yield _help(command, path)
    yield ""
    yield from _options(context)
    examples, more = _epilog(command, path)
    yield "```sh"
    yield from examples
    yield "```"
    yield ""
    for text in more:
        yield markdown(text, path)
        yield ""


def _options(context: click.Context) -> Iterator[str]:
    path = context.command_path
    options = [one for one in context.command.get_params(context) if isinstance(one, click.Option) and not one.hidden]
    rows = [_option(one, context, path) for one in options if "--help" not in one.opts]
    yield from table(["option", "default", "means"], rows)


def _option(option: click.Option, context: click.Context, path: str) -> list[str]:
    written = ", ".join([*option.opts, *option.secondary_opts])
    if not option.is_flag:
        written += f" {_value(option, context)}"
    if not option.help:
        raise UndocumentedError(f"{path}: the option {written} has no help")
    said = _DEFAULT.search(option.help)
    text = _DEFAULT.sub("", option.help)
    if option.multiple:
        text += " May be given several times."
    return [f"`{written}`", said["text"] if said else _default(option, context), markdown(text, path)]


def _value(option: click.Option, context: click.Context) -> str:
    kind = option.type
    if option.metavar is None and isinstance(kind, click.IntRange | click.FloatRange):
        if kind.min is not None and kind.max is not None:
            return f"{kind.min}..{kind.max}"
        return "NUMBER"
    return option.make_metavar(context)


def _default(option: click.Option, context: click.Context) -> str:
    default = option.get_default(context, call=False)
    if option.is_flag or option.multiple or not isinstance(default, str | int | float | Path):
        return ""  # click has a sentinel for options without default
    return f"`{default}`"


def _summary(command: click.Command) -> str:
    return markdown(command.get_short_help_str(limit=200), command.name or "")


def _help(command: click.Command, path: str) -> str:
    text = inspect.cleandoc(command.help or "").partition("\f")[0].replace("\b\n", "").strip()
    if not text:
        raise UndocumentedError(f"{path} has no docstring, which is its help")
    return markdown(text, path)


def _epilog(command: click.Command, path: str) -> tuple[list[str], list[str]]:
    """The example command lines, and the paragraphs after them, which click keeps apart by a backspace."""
    first, *more = inspect.cleandoc(command.epilog or "").removeprefix("\b\n").split("\b\n")
    head, colon, text = first.partition(":")
    if not colon or head not in {"Example", "Examples"}:
        raise UndocumentedError(f'{path}: its epilog must be "Example: " and a command line')
    return [line.strip() for line in text.strip().splitlines()], [one.strip() for one in more]


def _anchor(path: str) -> str:
    return path.replace(" ", "-")
