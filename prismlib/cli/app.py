"""What all commands share: the installed plugins, loaded once, and how results are shown."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from prismlib.plugin.manager import Plugins

PIPE_WIDTH = 200  # columns where the output is no terminal, so that programs do not get text folded at 80


@dataclass
class App:
    """State of one invocation of ``prism``.

    Attributes:
        debug: show tracebacks.
    """

    debug: bool = field(default=False)

    @cached_property
    def plugins(self) -> Plugins:
        """Raises ConfigError when ``PRISM_PLUGINS`` names something that is not installed."""
        from prismlib.plugin.manager import load_plugins  # noqa: PLC0415  # only commands that need plugins pay for them

        return load_plugins()


pass_app = click.make_pass_decorator(App)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs instead of a table.")


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    click.echo(json.dumps(value, indent=2))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[tuple[str, str] | str]]) -> None:
    """A table on standard output, in colour on terminals only.

    Args:
        columns: headings.
        rows: cells; a pair is text and a rich style.
    """
    from rich.table import Table  # noqa: PLC0415  # rich costs start-up time
    from rich.text import Text  # noqa: PLC0415  # as above

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(*((cell, "") if isinstance(cell, str) else cell)) for cell in row))
    _print(sys.stdout, table)


def _print(file: IO[str], renderable: Any) -> None:
    from rich.console import Console  # noqa: PLC0415  # as above

    Console(file=file, width=None if file.isatty() else PIPE_WIDTH, highlight=False).print(renderable)


def print_error(message: str) -> None:
    """Each line of ``message`` on standard error, marked as an error."""
    for line in message.splitlines() or [""]:
        click.secho("error: ", fg="red", bold=True, err=True, nl=False, color=colour(sys.stderr))
        click.echo(line, err=True)


def printable(text: str) -> str:
    """Text of somebody else, safe on a terminal and on one line: what would move the cursor or hide is escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int | None], None]]:
    """A bar on standard error while something takes long, on terminals only.

    Yields:
        A function that is told how much is done, and of how much, or None where that is not known.
    """
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console  # noqa: PLC0415  # rich costs start-up time
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415  # as above

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(what, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


def colour(file: IO[str]) -> bool:
    """Whether to colour: on terminals, unless NO_COLOR is set (https://no-color.org)."""
    import os  # noqa: PLC0415

    return file.isatty() and not os.environ.get("NO_COLOR")
