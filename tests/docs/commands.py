"""Command lines on a page: those of Prism are parsed by the commands themselves, and not run."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import tomllib
from collections.abc import Iterator, Sequence

import click

from prismlib.cli.app import App
from prismlib.cli.check_schema import command as check_schema
from prismlib.cli.main import prism
from tests.docs.pages import ROOT, Block

PROGRAMS = {"prism": prism, "prism-check-schema": check_schema}
"""The commands of this repository; every other name that begins with "prism" is a mistake."""

OTHER_PROGRAMS = frozenset(
    {
        "cd",
        "curl",
        "docker",
        "echo",
        "export",
        "git",
        "kafka-transactions.sh",
        "kubectl",
        "mkdir",
        "openssl",
        "pip",
        "pytest",
        "python",
        "sqlite3",
    }
)
"""What pages may use besides: on every machine, or part of what the page is about."""

_OPERATORS = frozenset({"|", "||", "&", "&&", ";", "(", ")"})
_REDIRECTIONS = frozenset({">", ">>", "<", ">&"})
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_EXTRAS = re.compile(r"(?:prism-pipeline|\.|/src)\[([^]]*)\]")
_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def check_sh(block: Block) -> None:
    """Each line is a command; comments and continued lines as in a shell."""
    for command in joined(block.text.splitlines()):
        check_command(block.where, command)


def check_console(block: Block) -> None:
    """Each line after ``$ `` is a command, what follows it its output."""
    commands = [command for command, _ in session_of(block)]
    assert commands, f'{block.where}: a console block has commands, each after "$ "; other text is tagged text'
    for command in commands:
        check_command(block.where, command)


def session_of(block: Block) -> list[tuple[str, list[str]]]:
    """Commands and the lines that the page shows as their output."""
    session: list[tuple[str, list[str]]] = []
    unfinished = False
    for line in block.text.splitlines():
        if unfinished:
            command, shown = session.pop()
            session.append((f"{command}\n{line}", shown))
        elif line.startswith("$ "):
            session.append((line.removeprefix("$ "), []))
        else:
            assert session, f'{block.where}: the first line of a console block is a command after "$ "'
            session[-1][1].append(line)
        unfinished = (unfinished or line.startswith("$ ")) and line.endswith("\\")
    return session


def joined(lines: Sequence[str]) -> Iterator[str]:
    """Lines, with those that end in a backslash joined to the next."""
    text = ""
    for line in lines:
        text += line
        if line.endswith("\\"):
            text += "\n"
        else:
            yield text
            text = ""
    if text:
        yield text


def check_command(where: str, line: str) -> None:
    """One line, which may hold several commands joined by operators."""
    for words in _simple_commands(where, line):
        if words[0].startswith("prism"):
            assert words[0] in PROGRAMS, f"{where}: there is no command {words[0]}"
            parse(where, PROGRAMS[words[0]], words)
        elif words[0].startswith(("scripts/", "./scripts/")):
            assert (ROOT / words[0]).is_file(), f"{where}: there is no {words[0]}"
        else:
            program = words[0].rpartition("/")[2]
            assert program in OTHER_PROGRAMS, f"{where}: {words[0]} is none of the programs that pages use"
        if "install" in words:
            _check_extras(where, words)


def parse(where: str, command: click.Command, words: Sequence[str]) -> None:
    """Let click take a command line as far as it goes without running the command."""
    app = App()
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            context = command.make_context(words[0], list(words[1:]), obj=app)
            while isinstance(context.command, click.Group):
                # click before 9 keeps the subcommand's name apart from its arguments.
                rest = [*vars(context).get("_protected_args", ()), *context.args]
                name, found, arguments = context.command.resolve_command(context, rest)
                assert found is not None
                context = found.make_context(name, arguments, parent=context)
    except click.exceptions.Exit as end:  # --help and --version
        if end.exit_code:
            raise AssertionError(f"{where}: {shlex.join(words)}: ends with {end.exit_code}") from end
    except click.ClickException as error:
        raise AssertionError(f"{where}: {shlex.join(words)}: {error.format_message()}") from error


def check_dockerfile(block: Block) -> None:
    """Known instructions; what starts gets its signals itself, so it is no shell."""
    for line in joined(block.text.splitlines()):
        instruction, _, rest = line.partition(" ")
        if not line.strip() or line.startswith("#"):
            continue
        if instruction == "RUN":
            check_command(block.where, rest)
        elif instruction in {"ENTRYPOINT", "CMD"}:
            words = json.loads(rest) if rest.startswith("[") else None
            assert words, f'{block.where}: {instruction} must be a list, as in ["prism"]: a shell keeps signals back'
            check_command(block.where, shlex.join([*words, "--help"]))
        else:
            known = {"FROM", "COPY", "ENV", "USER", "WORKDIR", "LABEL"}
            assert instruction in known, f"{block.where}: {instruction} is none of {', '.join(sorted(known))}"


def _simple_commands(where: str, line: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        tokens = [token for token in lexer if token != "\n"]
    except ValueError as error:
        raise AssertionError(f"{where}: {line!r} is no shell command: {error}") from error
    words: list[str] = []
    redirected = False
    for token in [*tokens, ";"]:
        if token in _OPERATORS:
            if words:
                yield words
            words = []
        elif token in _REDIRECTIONS:
            redirected = True
        elif redirected:
            redirected = False
        elif words or not _ASSIGNMENT.match(token):
            words.append(token)


def _check_extras(where: str, words: Sequence[str]) -> None:
    for word in words:
        for names in _EXTRAS.findall(word):
            for name in names.split(","):
                extras = _PROJECT["optional-dependencies"]
                assert name.strip() in extras, f"{where}: there is no extra {name!r}; there are {', '.join(extras)}"
