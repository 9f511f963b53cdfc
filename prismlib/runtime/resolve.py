"""A pipeline file meets the installed plugins: every table checked with its stage's own model, nothing built yet.

The environment comes before the file: ``PRISM_SOURCE_<KEY>`` and ``PRISM_SINK_<KEY>`` replace a key of ``[source]`` or
``[sink]`` whose value is text, such as ``PRISM_SOURCE_SERVERS`` and ``PRISM_SINK_URL``. A variable that the stage has no
key for is passed over, because one environment serves several pipelines; ``prism check`` lists it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from prismlib.config.model import Model, validate
from prismlib.config.pipeline import PipelineConfig
from prismlib.config.values import PluginTable
from prismlib.errors import ConfigError
from prismlib.plugin.hookspecs import StageKind, StageSpec
from prismlib.plugin.manager import Plugins
from prismlib.runtime.given import NOTHING, GivenStages


@dataclass(frozen=True, slots=True)
class ResolvedStage:
    """One table of the file, ready for its factory.

    Attributes:
        spec: the stage that ``type`` names.
        settings: an instance of ``spec.config_model``.
        where: file and table, for errors.
    """

    spec: StageSpec
    settings: Model
    where: str


@dataclass(frozen=True, slots=True)
class ResolvedRoute:
    """The stages of one topic.

    Attributes:
        topic: what it reads.
        where: file and table, for errors.
        decode: its decoder; None where the file has none, or code brings it.
        normalizer: None passes bodies through, unless code brings it.
    """

    topic: str
    where: str
    decode: ResolvedStage | None
    normalizer: ResolvedStage | None

    @property
    def decoder(self) -> ResolvedStage:
        """The decoder of the file. Raises ConfigError where there is none."""
        if self.decode is None:
            raise ConfigError(f"{self.where}: the key 'decode' is missing; {_OR_GIVEN}")
        return self.decode


@dataclass(frozen=True, slots=True)
class ResolvedPipeline:
    """All stages of a pipeline that its file names.

    Attributes:
        config: the file.
        sides: the tables ``[source]`` and ``[sink]`` by "source" and "sink"; without those that the file leaves out or
            code replaces.
        routes: by topic, in the order of the file.
        encoder: what ``[sink] encode`` names, or None.
        applied: environment variables that replaced a key.
        passed_over: environment variables of the same scheme that no stage has a key for.
    """

    config: PipelineConfig
    sides: Mapping[Literal["source", "sink"], ResolvedStage]
    routes: tuple[ResolvedRoute, ...]
    encoder: ResolvedStage | None
    applied: tuple[str, ...]
    passed_over: tuple[str, ...]

    @property
    def source(self) -> ResolvedStage:
        """The source of the file. Raises ConfigError where there is none."""
        if "source" not in self.sides:
            raise ConfigError(f"{self.config.path}: the table [source] is missing; {_OR_GIVEN}")
        return self.sides["source"]

    @property
    def sink(self) -> ResolvedStage:
        """The sink of the file. Raises ConfigError where there is none."""
        if "sink" not in self.sides:
            raise ConfigError(f"{self.config.path}: the table [sink] with its key 'type' is missing; {_OR_GIVEN}")
        return self.sides["sink"]

    def require_all(self) -> None:
        """Make sure that the file alone makes a pipeline. Raises ConfigError for every table that is missing."""
        problems: list[ConfigError] = []
        stages = [(self, "source"), *((route, "decoder") for route in self.routes), (self, "sink")]
        for owner, stage in stages:
            try:
                getattr(owner, stage)
            except ConfigError as error:
                problems.append(error)
        raise_all(problems)


_OR_GIVEN = "add it, or run the pipeline from code that gives it to prismlib.build_runner"


def resolve(config: PipelineConfig, plugins: Plugins, given: GivenStages = NOTHING) -> ResolvedPipeline:
    """Find and check all stages that the file names and code does not replace.

    Raises:
        ConfigError: everything that is wrong, one line each; PluginNotFoundError or PluginLoadError when that is all.
    """
    resolver = _Resolver(config.path, plugins)
    sides: dict[Literal["source", "sink"], ResolvedStage | None] = {}
    if config.source is not None and given.source is None:
        sides["source"] = resolver.stage("source", config.source, "[source]")
    routes: list[ResolvedRoute] = []
    for route in config.routes:
        place = f"[[route]] {route.topic}"
        decoder = normalizer = None
        if route.decode is not None and route.topic not in given.decoders:
            decoder = resolver.stage("decoder", route.decode, f"{place}: decode")
        if route.normalize is not None and route.topic not in given.normalizers:
            normalizer = resolver.stage("normalizer", route.normalize, f"{place}: normalize")
        routes.append(ResolvedRoute(route.topic, f"{config.path}: {place}", decoder, normalizer))
    if config.sink.type and given.sink is None:
        # A sink of the source's type is most often on the same servers: what it does not say, the source has said.
        inherited: Mapping[str, Any] = {}
        if config.source is not None and config.sink.type == config.source.type:
            inherited = resolver.with_environment("source", config.source)
        sides["sink"] = resolver.stage("sink", config.sink, "[sink]", inherited)
    encoder = None
    if config.sink.encode is not None and given.encoder is None:
        encoder = resolver.stage("encoder", config.sink.encode, "[sink]: encode")
    raise_all(resolver.problems)
    found = {side: stage for side, stage in sides.items() if stage is not None}
    return ResolvedPipeline(config, found, tuple(routes), encoder, tuple(resolver.applied), resolver.passed_over())


class _Resolver:
    """Collects problems, so that all of a file are told at once."""

    def __init__(self, path: Path, plugins: Plugins) -> None:
        self.applied: list[str] = []
        self._path = path
        self._plugins = plugins
        self.problems: list[ConfigError] = []

    def stage(
        self, kind: StageKind, table: PluginTable, place: str, inherited: Mapping[str, Any] | None = None
    ) -> ResolvedStage | None:
        where = f"{self._path}: {place}"
        try:
            spec = self._plugins.stage(kind, table.type)
        except ConfigError as error:
            self.problems.append(located(where, error))
            return None
        known = _keys(spec.config_model)
        settings = {key: value for key, value in (inherited or {}).items() if key in known}
        settings.update(table.settings)
        for variable, key, value in _variables(kind):
            if key in known:
                settings[key] = value
                self.applied.append(variable)
        try:
            return ResolvedStage(spec, validate(spec.config_model, settings, where, also=_keys(type(table))), where)
        except ConfigError as error:
            self.problems.append(error)
            return None

    def with_environment(self, kind: StageKind, table: PluginTable) -> Mapping[str, Any]:
        return {**table.settings, **{key: value for _, key, value in _variables(kind)}}

    def passed_over(self) -> tuple[str, ...]:
        given = [variable for kind in ("source", "sink") for variable, _, _ in _variables(kind)]
        return tuple(variable for variable in given if variable not in self.applied)


def raise_all(problems: Sequence[ConfigError]) -> None:
    """Raise what there is: one error as it is, several as one ConfigError with a line each."""
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise ConfigError("\n".join(str(problem) for problem in problems))


def _variables(kind: str) -> list[tuple[str, str, str]]:
    """(variable, key, value) of what the environment says about the source or the sink."""
    prefix = f"PRISM_{kind}_".upper()
    return [
        (name, name.removeprefix(prefix).lower(), value)
        for name, value in sorted(os.environ.items())
        if name.startswith(prefix) and value
    ]


def _keys(model: type[Model]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


def located(where: str, error: ConfigError) -> ConfigError:
    """The same error, with file and table in front of its message."""
    moved = type(error)(f"{where}: {error}")
    moved.__dict__.update(error.__dict__)
    moved.__cause__ = error.__cause__
    return moved
