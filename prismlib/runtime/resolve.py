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
from typing import Any

from prismlib.config.model import Model, validate
from prismlib.config.pipeline import PipelineConfig
from prismlib.config.values import PluginTable
from prismlib.errors import ConfigError
from prismlib.plugin.hookspecs import StageKind, StageSpec
from prismlib.plugin.manager import Plugins


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
    """The stages of one topic; without a normalizer, bodies pass through."""

    topic: str
    decoder: ResolvedStage
    normalizer: ResolvedStage | None


@dataclass(frozen=True, slots=True)
class ResolvedPipeline:
    """All stages of a pipeline.

    Attributes:
        config: the file.
        source, sink, routes: its stages.
        encoder: what ``[sink] encode`` names, or None.
        applied: environment variables that replaced a key.
        passed_over: environment variables of the same scheme that no stage has a key for.
    """

    config: PipelineConfig
    source: ResolvedStage
    routes: tuple[ResolvedRoute, ...]
    sink: ResolvedStage
    encoder: ResolvedStage | None
    applied: tuple[str, ...]
    passed_over: tuple[str, ...]


def resolve(config: PipelineConfig, plugins: Plugins) -> ResolvedPipeline:
    """Find and check all stages.

    Raises:
        ConfigError: everything that is wrong, one line each; PluginNotFoundError or PluginLoadError when that is all.
    """
    resolver = _Resolver(config.path, plugins)
    source = resolver.stage("source", config.source, "[source]")
    routes: list[ResolvedRoute] = []
    for route in config.routes:
        place = f"[[route]] {route.topic}"
        decoder = resolver.stage("decoder", route.decode, f"{place}: decode")
        normalizer = None
        if route.normalize is not None:
            normalizer = resolver.stage("normalizer", route.normalize, f"{place}: normalize")
        if decoder is not None:
            routes.append(ResolvedRoute(route.topic, decoder, normalizer))
    # A sink of the source's type is most often on the same servers: what it does not say, the source has said.
    same_type = config.sink.type == config.source.type
    inherited = resolver.with_environment("source", config.source) if same_type else {}
    sink = resolver.stage("sink", config.sink, "[sink]", inherited)
    encoder = resolver.stage("encoder", config.sink.encode, "[sink]: encode") if config.sink.encode else None
    raise_all(resolver.problems)
    if source is None or sink is None:
        raise AssertionError("a stage that is missing is a problem, and problems were raised")
    return ResolvedPipeline(
        config, source, tuple(routes), sink, encoder, tuple(resolver.applied), resolver.passed_over()
    )


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
