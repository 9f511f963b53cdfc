"""What the demo plays, and what it says: the same on embedded storage and on real servers."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from prismlib.contracts.registry import Registry

HERE = Path(__file__).resolve().parent.parent
EVENTS = "air-traffic"
"""The standard topic, and the alias of the index."""
DEAD_LETTERS = ("air-traffic.dead-letters", "air-traffic-index.dead-letters")
SHOWN_DAYS = 7
SAMPLE = "UA1545-EWR-2013-01-01"
"""An event to show: the first flight of the month."""
PATIENCE = 300.0
"""Seconds without any progress after which the demo gives up."""


class DemoError(Exception):
    """Why the demo cannot go on, in one sentence."""


@dataclass(frozen=True, slots=True)
class Day:
    """Departures of one local day of New York; the mean delay is in minutes."""

    day: str
    flights: int
    cancelled: int
    delay: float | None


@dataclass(frozen=True, slots=True)
class Hint:
    """A command to try next, and what it shows."""

    shows: str
    command: str


class Stage(Protocol):
    """Where the demo plays. Every number is asked of the storage itself, not of Prism."""

    backend: str
    """For programs: ``embedded`` or ``kafka+elasticsearch``."""

    def start(self, screen: Console, stack: ExitStack) -> Registry:
        """Bring it up, with empty topics and an empty index; returns the registry that has the schemas."""
        ...

    def publish(self, topic: str, pairs: Iterable[tuple[bytes, bytes]], progress: Callable[[int], object]) -> int:
        """Write keys and values; returns how many were acknowledged."""
        ...

    def workers(self) -> AbstractContextManager[None]:
        """Both pipelines run within it."""
        ...

    def check_workers(self) -> None:
        """Raises DemoError when one has ended."""
        ...

    def records(self, topic: str) -> int:
        """How many records a reader finds in a topic."""
        ...

    def events_so_far(self) -> int:
        """About how many records the standard topic has; cheap to ask, and never too few."""
        ...

    def indexed(self) -> int:
        """How many documents the index has."""
        ...

    def event(self, id_: str) -> Mapping[str, Any] | None:
        """One document of the index."""
        ...

    def days(self) -> Sequence[Day]:
        """Departures by day."""
        ...

    def hints(self) -> Sequence[Hint]:
        """What to try next."""
        ...


@dataclass(frozen=True, slots=True)
class Totals:
    """What the storage holds in the end."""

    published: Mapping[str, int]
    normalized: int
    indexed: int
    dead_letters: int
    seconds: float

    @property
    def complete(self) -> bool:
        """Every published record is an event or a dead letter, and every event is in the index."""
        return sum(self.published.values()) == self.normalized + self.dead_letters == self.indexed + self.dead_letters


def play(stage: Stage, screen: Console, stack: ExitStack, *, once: bool, as_json: bool) -> int:
    """Play it; returns the exit code: 0, or 1 when a record is missing.

    Raises:
        DemoError, PrismError: it cannot go on.
    """
    from examples.air_traffic.air_traffic.producers import PRODUCERS  # noqa: PLC0415  # once the options are known to be right

    began = time.monotonic()
    _open(screen)
    registry = stage.start(screen, stack)
    columns = (TextColumn("{task.description:<44}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    published: dict[str, int] = {}
    with Progress(*columns, console=screen) as bars, stage.workers():
        for producer in PRODUCERS:
            bar = bars.add_task(f"published to {producer.topic} ({producer.format})", total=producer.count())
            show_sent = lambda n, bar=bar: bars.update(bar, completed=n)  # noqa: E731  # a bar of its own each
            published[producer.topic] = stage.publish(producer.topic, producer.pairs(registry), show_sent)
        total = sum(published.values())
        normalized = bars.add_task("pipeline 1: normalized to the standard topic", total=total)
        indexed = bars.add_task("pipeline 2: indexed", total=total)

        def show() -> int:
            done = stage.indexed()
            bars.update(normalized, completed=min(total, stage.events_so_far()))
            bars.update(indexed, completed=done)
            return done

        _wait_for(total, show, stage)
        bars.update(normalized, completed=stage.records(EVENTS))
        totals = Totals(
            published,
            normalized=stage.records(EVENTS),
            indexed=stage.indexed(),
            dead_letters=sum(stage.records(topic) for topic in DEAD_LETTERS),
            seconds=round(time.monotonic() - began, 1),
        )
        bars.stop()
        _report(screen, stage, totals)
        if stage.backend != "embedded" and not once:
            screen.print("\nThe servers and both pipelines go on until Ctrl-C.")
            signal.pause()
    if as_json:
        sys.stdout.write(json.dumps(_document(totals, stage.backend)) + "\n")
    return 0 if totals.complete else 1


def _wait_for(total: int, ask: Callable[[], int], stage: Stage) -> None:
    last, since = -1, time.monotonic()
    while (done := ask()) < total:
        stage.check_workers()
        if done != last:
            last, since = done, time.monotonic()
        elif sum(stage.records(topic) for topic in DEAD_LETTERS) + done >= total:
            return
        if time.monotonic() - since > PATIENCE:
            raise DemoError(f"nothing more was indexed for {PATIENCE:.0f} s, at {done} of {total} records")
        time.sleep(0.1)


def _document(totals: Totals, backend: str) -> dict[str, Any]:
    return {
        "published": dict(totals.published),
        "normalized": totals.normalized,
        "indexed": totals.indexed,
        "dead_letters": totals.dead_letters,
        "backend": backend,
        "seconds": totals.seconds,
    }


# --- what it says ------------------------------------------------------------------------------------------------------


def _open(screen: Console) -> None:
    screen.print(
        "[bold]Prism[/bold] brings events of many topics into one standard shape on one topic, and from there into an index,"
        " and loses none of them. Here three teams publish what happened at New York's airports in January 2013, each in a"
        " format of its own; two pipelines make it one kind of event that can be searched and counted by day.\n",
        highlight=False,
    )


def _report(screen: Console, stage: Stage, totals: Totals) -> None:
    event = stage.event(SAMPLE)
    if event is not None:
        shown = {key: value for key, value in event.items() if key != "_origin"}
        shown["attributes"] = {key: shown["attributes"][key] for key in ("carrier", "destination", "cancelled")}
        screen.print("\nOne of the events, as it is in the index (some attributes left out):")
        screen.print_json(json.dumps(shown), indent=None, highlight=screen.is_terminal)
    days = stage.days()
    table = Table(title="\nDepartures by day in New York, counted in the index", title_justify="left", title_style="")
    for name, side in (("day", "left"), ("flights", "right"), ("cancelled", "right"), ("mean delay, min", "right")):
        table.add_column(name, justify=side)  # type: ignore[arg-type]
    for day in days[:SHOWN_DAYS]:
        delay = "-" if day.delay is None else f"{day.delay:.1f}"
        table.add_row(day.day, f"{day.flights:,}", str(day.cancelled), delay)
    if len(days) > SHOWN_DAYS:
        table.add_row(f"... {len(days) - SHOWN_DAYS} more", "", "", "")
    screen.print(table)
    sent = ", ".join(f"{n:,} to {topic}" for topic, n in totals.published.items())
    screen.print(
        f"\nPublished {sent}: {sum(totals.published.values()):,} records."
        f"\nNormalized {totals.normalized:,}, indexed {totals.indexed:,}, dead letters {totals.dead_letters:,};"
        f" {totals.seconds} s.",
        highlight=False,
    )
    if totals.complete:
        screen.print("[green]Nothing was lost, and nothing is there twice.[/green]")
    else:
        screen.print("Records are missing: that must not happen.", style="bold red")
    screen.print("\n[bold]What to try next[/bold]")
    for hint in stage.hints():
        screen.print(f"  # {hint.shows}", style="dim", highlight=False)
        screen.print(f"  {hint.command}", highlight=False, soft_wrap=True)
