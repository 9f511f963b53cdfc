"""A pipeline file: what is read, along which routes, and where it goes.

The core's own keys are checked here; the keys that belong to a stage are checked with that stage's own model by
:mod:`prismlib.runtime.resolve`, which knows the installed plugins. A table of a stage may be left out where code brings the
stage; whether it does is known there too.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PlainValidator, PrivateAttr, field_validator, model_validator

from prismlib.config.model import Model, file_digest, read_toml, resolve_secrets, validate
from prismlib.config.project import find_project
from prismlib.config.values import Duration, Name, PluginTable, Share, Start, Text, Topic
from prismlib.errors import ConfigError


def _normalize(value: object) -> PluginTable | None:
    """The three ways to write ``normalize``, as the table of the stage that each means."""
    if isinstance(value, PluginTable):
        return value
    if isinstance(value, str) and value.strip():
        return PluginTable.model_validate({"type": "mapping", "file": value})
    if isinstance(value, dict) and "type" in value:
        return PluginTable.model_validate(value)
    if isinstance(value, dict) and "python" in value:
        return PluginTable.model_validate({"type": "python", **value})
    raise ValueError('must be the path of a mapping, or { python = "package.module:function", reads = [...] }')


class RouteConfig(Model):
    """One topic's way through the pipeline.

    Attributes:
        topic: what it reads.
        decode: how bytes become rows.
        normalize: how rows become events: the path of a mapping, or ``{ python = "package.module:function", reads = [...] }``;
            without it bodies pass through as they are.
    """

    topic: Topic
    decode: PluginTable | None = None
    normalize: Annotated[PluginTable | None, PlainValidator(_normalize)] = None


class SinkConfig(PluginTable):
    """Where documents go.

    Attributes:
        type: the stage's name.
        encode: how events become bytes; a sink of streams needs it, one that keeps documents by id takes JSON without it.
        commit_interval: longest time between two commits.
    """

    type: Text = ""
    encode: PluginTable | None = None
    commit_interval: Duration = 1.0

    @model_validator(mode="after")
    def _settings_belong_to_a_type(self) -> Self:
        if not self.type and self.settings:
            raise ValueError(f"the key 'type' is missing; it names the stage that {min(self.settings)!r} is a key of")
        return self


class StopAbove(Model):
    """When most records are bad, the code is wrong and not the data, and the pipeline stops.

    Attributes:
        share: it stops when more than this share is rejected.
        of_last: of how many records.
    """

    share: Share = 0.5
    of_last: Annotated[int, Field(ge=1, le=1_000_000)] = 1000


class DeadLettersConfig(Model):
    """Where bad records go.

    Attributes:
        topic: a topic beside the source's; ``NAME.dead-letters`` by default, with the name of the pipeline.
        stop_above: when there are so many that the pipeline stops.
    """

    topic: Topic | None = None
    stop_above: StopAbove = StopAbove()


class PipelineConfig(Model):
    """One pipeline: what is read, along which routes, and where it goes.

    Attributes:
        name: also the consumer group, and part of transactional ids.
        owner: the team that answers for it.
        contact: how to reach them.
        start: where a pipeline without history begins.
        on_drift: what happens when a route meets a schema that it cannot read. ``pause``: the topic waits, nothing is skipped, and
            it goes on when a new mapping or schema lets it. ``dead_letter``: its records go to the dead letters. ``stop``: the
            worker ends. A registry that is away always pauses.
        key_fixes_partition: the record key decides the partition, so that it can be the document's id.
        source: where records come from.
        routes: one table for each topic.
        sink: where documents go.
        dead_letters: where bad records go.
    """

    name: Name
    owner: Text
    contact: Text
    start: Start
    on_drift: Literal["pause", "dead_letter", "stop"] = "pause"
    key_fixes_partition: bool = False
    source: PluginTable | None = None
    routes: Annotated[tuple[RouteConfig, ...], Field(alias="route", strict=False)]
    sink: SinkConfig = SinkConfig()
    dead_letters: DeadLettersConfig = DeadLettersConfig()
    _path: Path = PrivateAttr(default=Path("pipeline.toml"))
    _digest: bytes | None = PrivateAttr(default=None)

    @field_validator("routes", mode="before")
    @classmethod
    def _routes_are_tables(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple) or not value:
            raise ValueError("must be written as [[route]], one table for each topic")
        return value

    @model_validator(mode="after")
    def _topics_are_apart(self) -> Self:
        topics = self.topics
        for topic in topics:
            if topics.count(topic) > 1:
                raise ValueError(f"the topic {topic!r} has two [[route]] tables; give each topic one")
        if self.dead_letter_topic in topics:
            raise ValueError(
                f"the dead letter topic {self.dead_letter_topic!r} is also read by a route; bad records would go in circles"
            )
        if self.source is not None and self.sink.type == self.source.type:
            target = self.sink.settings.get("topic")
            if target in topics:
                raise ValueError(f"the sink writes to {target!r}, which a route reads; records would go in circles")
            if target == self.dead_letter_topic:
                raise ValueError(f"the sink writes to {target!r}, which is the dead letter topic; give each its own")
        return self

    @property
    def topics(self) -> tuple[str, ...]:
        """What the routes read, in the order of the file."""
        return tuple(route.topic for route in self.routes)

    def require_topic(self, topic: str, where: str) -> None:
        """Make sure that a route reads a topic. Raises ConfigError, which begins with ``where``."""
        if topic not in self.topics:
            near = difflib.get_close_matches(topic, self.topics, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it reads {', '.join(self.topics)}"
            raise ConfigError(f"{where}: {self.path} has no route for the topic {topic!r}; {hint}")

    @property
    def dead_letter_topic(self) -> str:
        """Where bad records go: what the table says, else ``NAME.dead-letters``."""
        return self.dead_letters.topic or f"{self.name}.dead-letters"

    @property
    def path(self) -> Path:
        """The file that it was read from, for errors."""
        return self._path

    @property
    def digest(self) -> bytes | None:
        """Of the file just before it was read, to notice that it has changed; None for tables made in code."""
        return self._digest

    @property
    def base(self) -> Path:
        """The folder that relative paths in the file start from: of ``prism.toml`` above it, else the file's own."""
        return (find_project(self._path.parent) or self._path).parent


def load_pipeline(path: str | Path) -> PipelineConfig:
    """Read a pipeline file.

    Raises:
        ConfigError: one line for everything that is wrong with it.
    """
    path = Path(path)
    digest = file_digest(path)
    config = pipeline_from(read_toml(path), path)
    config._digest = digest  # noqa: SLF001  # set once, here: not a key of the file
    return config


def pipeline_from(tables: Mapping[str, Any], path: str | Path = "<pipeline>") -> PipelineConfig:
    """A pipeline from tables made in code, with the keys of the file.

    Args:
        tables: what a pipeline file holds; ``{"env": "NAME"}`` and ``{"file": "PATH"}`` stand for secrets there too.
        path: stands for the file: errors name it, and relative paths start at its folder, or at the ``prism.toml``
            above that.

    Raises:
        ConfigError: as for :func:`load_pipeline`.
    """
    path = Path(path)
    data = resolve_secrets(tables, path)
    config = validate(PipelineConfig, data, str(path))
    config._path = path  # noqa: SLF001  # set once, here: not a key of the file
    return config
