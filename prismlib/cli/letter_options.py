"""What the commands on dead letters have in common: which letters, and the stages they need."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from prismlib.cli.app import App
from prismlib.cli.project import Loaded, load
from prismlib.config.values import duration, moment_ms
from prismlib.plugin.hookspecs import StreamReader
from prismlib.runtime.assemble import reader
from prismlib.runtime.dead_letters import StageName
from prismlib.runtime.letters import Selection
from prismlib.runtime.resolve import ResolvedPipeline, resolve

F = TypeVar("F", bound=Callable[..., Any])


class Moment(click.ParamType[int]):
    """A time with its offset, or how long ago; milliseconds since the epoch."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return int((time.time() - duration(value)) * 1000)
        except ValueError:
            found = moment_ms(value)
        if found is None:
            self.fail(
                f"{value!r} is no time: write 2025-03-01T06:00:00Z, with its offset, or 2h for two hours ago",
                param,
                ctx,
            )
        return found


def selection_options(command: F) -> F:
    """Options that choose letters; the command gets them as ``selection_of(**options)`` takes them."""
    options = (
        click.option("--topic", metavar="TOPIC", help="Only letters of records of this topic."),
        click.option(
            "--reason", metavar="CODE", help="Only letters with this code, or with this text in their sentence."
        ),
        click.option("--stage", type=click.Choice(get_args(StageName)), help="Only letters that this stage gave up."),
        click.option(
            "--since", type=Moment(), help="Only letters written since: 2025-03-01T06:00:00Z, or 2h for two hours ago."
        ),
        click.option("--until", type=Moment(), help="Only letters written before."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def selection_of(
    topic: str | None, reason: str | None, stage: str | None, since: int | None, until: int | None
) -> Selection:
    """The letters that the options ask for."""
    return Selection(topic, reason, stage, since, until)


@dataclass(frozen=True, slots=True)
class Opened:
    """A pipeline whose dead letters are looked at.

    Attributes:
        loaded: its file and project.
        resolved: its stages.
        reader: open.
    """

    loaded: Loaded
    resolved: ResolvedPipeline
    reader: StreamReader


@contextmanager
def opened(app: App, pipeline: Path) -> Iterator[Opened]:
    """Open what reads the dead letters of a pipeline. Raises ConfigError, UnreachableError."""
    loaded = load(pipeline, app.plugins)
    resolved = resolve(loaded.pipeline, app.plugins)
    reading = reader(resolved, app.plugins, registry=loaded.registry, storage=loaded.project.storage_path)
    try:
        reading.open()
        yield Opened(loaded, resolved, reading)
    finally:
        reading.close()


def command(name: str, pipeline: Path, *arguments: object) -> str:
    """A command to type next, as a shell takes it."""
    return shlex.join(["prism", "dead-letters", name, str(pipeline), *map(str, arguments)])
