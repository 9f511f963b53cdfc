"""What ``prism setup`` creates and ``prism check`` looks at. Nothing that exists is ever changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from prism_embedded import group, indices, topics
from prism_embedded.config import EmbeddedSinkConfig
from prism_embedded.database import SETUP, WHAT_IT_IS, Database
from prism_embedded.topics import DEFAULT_PARTITIONS, Topic
from prismlib.errors import ConfigError, FatalError, RetryableError, UnreachableError
from prismlib.plugin.hookspecs import Check, SetupStep


@dataclass(frozen=True, slots=True)
class Wanted:
    """A topic that one side of a pipeline needs.

    Attributes:
        name: of the topic.
        role: for people, such as ``"dead letter topic"``.
        partitions: to create it with.
        fixed: one that exists must have as many.
    """

    name: str
    role: str
    partitions: int
    fixed: bool = False


class EmbeddedAdministration:
    """An Administration for one side of a pipeline. Source topics are created too: nobody else does it here."""

    def __init__(
        self,
        path: Path,
        *,
        role: Literal["source", "sink"],
        pipeline: str,
        sources: Sequence[str],
        sink: EmbeddedSinkConfig | None,
        dead_letter_topic: str,
    ) -> None:
        """Nothing is opened yet.

        Args:
            path: of the file.
            role: the side.
            pipeline: name of the pipeline.
            sources: the topics that it reads.
            sink: the table of the sink, for that side.
            dead_letter_topic: where dead letters go.
        """
        self._path = path
        self._role = role
        self._pipeline = pipeline
        self._sources = list(sources)
        self._sink = sink
        self._dead_letter_topic = dead_letter_topic
        self._database = Database(path)

    # --- Administration ------------------------------------------------------------------------------------------------

    def plan(self) -> Sequence[SetupStep]:
        """The file, then one step a topic or alias."""
        there = self._path.exists() and self._path.stat().st_size > 0
        steps = [SetupStep(f"embedded storage {self._path}", there, partial(self._database.open, create=True))]
        found, alias = self._look() if there else ({}, None)
        steps += [self._topic_step(wanted, found.get(wanted.name)) for wanted in self._wanted(found)]
        if self._alias is not None:
            name = alias.name if alias else indices.first_generation(self._alias)
            create = partial(self._create, partial(indices.create, alias=self._alias))
            steps.append(SetupStep(f"index {name} behind the alias {self._alias}", alias is not None, create))
        return steps

    def preflight(self) -> Sequence[Check]:
        """What it is, then each topic or alias."""
        what = "embedded storage"
        try:
            self._database.open()
            found, alias = self._look()
        except UnreachableError as error:
            return [Check(what, "unreachable", str(error))]
        except ConfigError as error:
            return [Check(what, "wrong", str(error))]
        checks = [Check(what, "warning", f"embedded storage in {self._path}: {WHAT_IT_IS}")]
        checks += [self._topic_check(wanted, found.get(wanted.name)) for wanted in self._wanted(found)]
        if self._alias is not None:
            state: Literal["ok", "wrong"] = "ok" if alias else "wrong"
            detail = f"writes to {alias.name}" if alias else f"does not exist; run {SETUP}"
            checks.append(Check(f"alias {self._alias}", state, detail))
        if self._role == "source":
            checks.append(self._group_check(found))
        return checks

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    # --- what is needed ------------------------------------------------------------------------------------------------

    @property
    def _alias(self) -> str | None:
        return self._sink.alias if self._sink is not None else None

    def _look(self) -> tuple[dict[str, Topic], indices.Index | None]:
        """The topics that exist, and the index behind the alias."""
        names = {*self._sources, self._dead_letter_topic}
        if self._sink is not None and self._sink.topic is not None:
            names.add(self._sink.topic)
        self._database.open()
        try:
            with self._database.snapshot() as connection:
                alias = indices.behind(connection, self._alias) if self._alias is not None else None
                return topics.find(connection, names), alias
        except RetryableError as error:
            raise UnreachableError(str(error)) from error
        except FatalError as error:
            raise ConfigError(str(error)) from error

    def _wanted(self, found: dict[str, Topic]) -> list[Wanted]:
        letters = [Wanted(self._dead_letter_topic, "dead letter topic", 1)] if self._dead_letter_topic else []
        if self._role == "source":
            return [*(Wanted(name, "topic", DEFAULT_PARTITIONS) for name in self._sources), *letters]
        if self._sink is None or self._sink.topic is None:
            return []
        most = max((len(topic.partitions) for name, topic in found.items() if name in self._sources), default=0)
        partitions = self._sink.partitions or most or DEFAULT_PARTITIONS
        return [Wanted(self._sink.topic, "topic", partitions, self._sink.partitions is not None), *letters]

    def _topic_step(self, wanted: Wanted, topic: Topic | None) -> SetupStep:
        count = wanted.partitions if topic is None else len(topic.partitions)
        create = partial(topics.create, name=wanted.name, partitions=wanted.partitions)
        return SetupStep(
            f"{wanted.role} {wanted.name} ({_partitions(count)})",
            exists=topic is not None,
            apply=partial(self._create, create),
            problem=_problem(wanted, topic),
        )

    def _topic_check(self, wanted: Wanted, topic: Topic | None) -> Check:
        what = f"{wanted.role} {wanted.name}"
        if topic is None:
            return Check(what, "wrong", f"does not exist; run {SETUP}")
        problem = _problem(wanted, topic)
        return Check(what, "wrong", problem) if problem else Check(what, "ok", _partitions(len(topic.partitions)))

    def _group_check(self, found: dict[str, Topic]) -> Check:
        partitions = [number for name in self._sources if name in found for number in found[name].partitions]
        with self._database.snapshot() as connection:
            known = group.committed(connection, self._pipeline).keys() & set(partitions)
        detail = f"offsets of {len(known)} of {len(partitions)} partitions are committed"
        return Check(f"consumer group {self._pipeline}", "ok", detail)

    def _create(self, work: Callable[[sqlite3.Connection], object]) -> None:
        self._database.open(create=True)  # both sides have a step for the file, and only one of them is carried out
        try:
            with self._database.transaction() as connection:
                work(connection)
        except RetryableError as error:
            raise UnreachableError(str(error)) from error
        except FatalError as error:
            raise ConfigError(str(error)) from error


def _problem(wanted: Wanted, topic: Topic | None) -> str:
    if topic is None or not wanted.fixed or len(topic.partitions) == wanted.partitions:
        return ""
    return (
        f"{wanted.name} has {_partitions(len(topic.partitions))}, and the pipeline file says {wanted.partitions}; change the"
        " file, or delete the topic"
    )


def _partitions(count: int) -> str:
    return f"{count} partition{'' if count == 1 else 's'}"
