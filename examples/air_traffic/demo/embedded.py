"""The stage without servers: a log and a document store in one SQLite file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from rich.console import Console

from examples.air_traffic.demo.story import EVENTS, HERE, Day, Hint
from examples.air_traffic.demo.workers import Workers
from prism_embedded import EmbeddedDocuments, EmbeddedLog
from prismlib.config.project import load_project
from prismlib.contracts.directory import DirectoryRegistry
from prismlib.contracts.registry import Registry

STORAGE = load_project(HERE).storage_path
"""What ``prism.toml`` says, so that the commands to try next need no option."""
PIPELINES = tuple(HERE / "pipelines" / "embedded" / name for name in ("air-traffic.toml", "air-traffic-index.toml"))
CHUNK = 1_000


class Embedded:
    """See :class:`examples.air_traffic.demo.story.Stage`."""

    backend = "embedded"

    def __init__(self) -> None:
        self._workers = Workers(PIPELINES, {})

    def start(self, screen: Console, stack: ExitStack) -> Registry:
        """Begin with an empty file."""
        for path in STORAGE.glob("prism.db*"):
            path.unlink()
        self._workers.set_up()
        self._log = stack.enter_context(EmbeddedLog(STORAGE))
        self._documents = stack.enter_context(EmbeddedDocuments(STORAGE))
        screen.print(
            f"It plays on embedded storage, the file {os.path.relpath(self._log.path)}: good for trying Prism out, but not"
            " Kafka and not Elasticsearch. [bold]scripts/demo --real[/bold] plays the same on real servers.\n",
            highlight=False,
        )
        return DirectoryRegistry(HERE / "schemas")

    def publish(self, topic: str, pairs: Iterable[tuple[bytes, bytes]], progress: Callable[[int], object]) -> int:
        """Append; every chunk is durable before the next one."""
        written = self._log.append(topic, _told(pairs, progress))
        progress(written)
        return written

    def workers(self) -> AbstractContextManager[None]:
        """Two processes of ``prism run``."""
        return self._workers.running()

    def check_workers(self) -> None:
        """Both must be there."""
        self._workers.check()

    def records(self, topic: str) -> int:
        """As the log counts them."""
        return self._log.count(topic)

    def events_so_far(self) -> int:
        """Exactly, here."""
        return self._log.count(EVENTS)

    def indexed(self) -> int:
        """As the document store counts them."""
        return self._documents.count(EVENTS)

    def event(self, id_: str) -> Mapping[str, Any] | None:
        """By its id."""
        return self._documents.get(EVENTS, id_)

    def days(self) -> Sequence[Day]:
        """Counted by SQLite."""
        delay, cancelled = "measures.departure_delay_minutes", "attributes.cancelled"
        found = self._documents.per_day(
            EVENTS,
            time="time",
            time_zone="America/New_York",
            where={"kind": "departure"},
            means=[delay],
            counts={cancelled: True},
        )
        return [Day(one.day.isoformat(), one.documents, one.counts[cancelled], one.means[delay]) for one in found]

    def hints(self) -> Sequence[Hint]:
        """Commands that work on the file as it is now."""
        one, two = (os.path.relpath(path) for path in PIPELINES)
        prism = os.path.relpath(HERE.parent.parent / ".venv" / "bin" / "prism")
        python = os.path.relpath(HERE.parent.parent / ".venv" / "bin" / "python")
        return [
            Hint("a preflight that lists everything about a pipeline", f"{prism} check {one}"),
            Hint("three bad records arrive, and stop nothing", f"{python} -m examples.air_traffic.demo.spoil"),
            Hint(
                "let the pipelines read what is new",
                f"{prism} run {one} --until-idle 2; {prism} run {two} --until-idle 2",
            ),
            Hint("why the three were refused, and what is in one", f"{prism} dead-letters list {one}"),
            Hint("the same on a real Kafka broker and Elasticsearch node", "scripts/demo --real"),
        ]


def _told(pairs: Iterable[tuple[bytes, bytes]], progress: Callable[[int], object]) -> Iterator[tuple[bytes, bytes]]:
    for number, pair in enumerate(pairs):
        if number % CHUNK == 0:
            progress(number)
        yield pair
