"""Builds the stages of a pipeline with the factories of their plugins, and fits them together.

Building connects to nothing: that is the runner's ``open``. What a factory returns is checked here, because a plugin of
somebody else was perhaps never type-checked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from prismlib.config.model import Model, validate
from prismlib.config.pipeline import PipelineConfig
from prismlib.contracts.registry import Registry
from prismlib.errors import (
    ConfigError,
    PluginLoadError,
    PluginNotFoundError,
    PrismError,
    UnknownFieldError,
)
from prismlib.plugin.hookspecs import Administration, BuildContext, StageSpec, StoreKind, StoreSpec, StreamReader
from prismlib.plugin.manager import Plugins
from prismlib.runtime.given import NOTHING, GivenStages, check_stage
from prismlib.runtime.resolve import ResolvedPipeline, ResolvedRoute, ResolvedStage, located, raise_all, resolve
from prismlib.runtime.route import Route
from prismlib.runtime.runner import Runner
from prismlib.runtime.settings import RunnerSettings
from prismlib.stages import Decoder, Encoder, FieldSet, InGroup, Normalizer, Sink, Source, Transactional


@dataclass(frozen=True, slots=True)
class Assembled:
    """The stages of one worker, built and not yet opened.

    Attributes:
        settings: for the runner.
        source: where records come from.
        routes: by topic.
        sink: where documents go.
        dead_letters: where dead letters go; None when the sink is transactional and takes them itself.
    """

    settings: RunnerSettings
    source: Source
    routes: Mapping[str, Route]
    sink: Sink
    dead_letters: Sink | None

    def runner(self) -> Runner:
        """The runner of these stages; they can be run once."""
        return Runner(self.settings, self.source, self.routes, self.sink, self.dead_letters)


def assemble(
    config: PipelineConfig,
    plugins: Plugins,
    *,
    worker: str,
    registry: Registry | None,
    storage: Path | None = None,
    accept_recreated: frozenset[str] = frozenset(),
    until_idle: float | None = None,
    given: GivenStages = NOTHING,
) -> Assembled:
    """Build all stages of one worker.

    Args:
        config: the pipeline.
        plugins: where its stages come from.
        worker: unique in the pipeline.
        registry: where schemas come from, or None when no stage names a subject.
        storage: folder of what is embedded; None for ``.prism`` in the folder that the pipeline's paths start from.
        accept_recreated: topics whose re-creation an operator accepts.
        until_idle: seconds without a record after which the runner stops by itself.
        given: stages that are made already; the file's tables of the others are built.

    Raises:
        ConfigError: something in the file is wrong, or its stages do not fit together.
        PluginLoadError: a factory failed with an error of its own.
        StageContractError: a factory returned something that its stage must not be, or such a stage was given.
    """
    given.check(config)
    resolved = resolve(config, plugins, given)
    builder = _Builder(plugins, config, worker, registry, storage, given)
    source: Source = given.source if given.source is not None else builder.stage(resolved.source, role="source")
    sink, routes, dead_letters = _delivering(builder, resolved, given)
    if isinstance(sink, Transactional) and not isinstance(source, InGroup):
        raise ConfigError(
            f"{config.path}: {_place(resolved, 'sink')} commits the source's offsets in its transactions,"
            f" which {_place(resolved, 'source')} cannot take part in; choose another sink"
        )
    stop_above = config.dead_letters.stop_above
    settings = RunnerSettings(
        pipeline=config.name,
        worker=worker,
        start=config.start,
        on_drift=config.on_drift,
        key_fixes_partition=config.key_fixes_partition,
        commit_interval=config.sink.commit_interval,
        dead_letter_topic=config.dead_letter_topic,
        stop_above_share=stop_above.share,
        stop_above_of_last=stop_above.of_last,
        accept_recreated=accept_recreated,
        until_idle=until_idle,
    )
    return Assembled(settings, source, routes, sink, dead_letters)


@dataclass(frozen=True, slots=True)
class SubjectRead:
    """What one route reads of a subject: the fields of its contract.

    Attributes:
        topic: of the route.
        subject: whose schemas its decoder reads.
        reads: what its normalizer reads.
    """

    topic: str
    subject: str
    reads: FieldSet


def subjects_read(resolved: ResolvedPipeline, plugins: Plugins) -> list[SubjectRead]:
    """What a pipeline reads, route by route; a route that passes bodies through, or names no subject, reads no fields.

    Raises:
        ConfigError, PluginLoadError, StageContractError: as for :func:`assemble`.
    """
    builder = _Builder(plugins, resolved.config, "1", None, None)
    found = []
    for route in resolved.routes:
        subject = getattr(route.decoder.settings, "subject", None)
        if route.normalizer is not None and isinstance(subject, str):
            normalizer: Normalizer = builder.stage(route.normalizer, topics=(route.topic,))
            found.append(SubjectRead(route.topic, subject, normalizer.reads))
    return found


def administrations(
    resolved: ResolvedPipeline, plugins: Plugins, *, registry: Registry | None, storage: Path | None = None
) -> dict[str, Administration]:
    """What can look at and create each side's topics, indexes and so on: by ``"source"`` and ``"sink"``.

    A side whose plugin offers no administration is left out: it needs nothing that Prism could create. So is one that the
    file leaves out, because code brings it.

    Raises:
        ConfigError, PluginLoadError, StageContractError: as for :func:`assemble`.
    """
    builder = _Builder(plugins, resolved.config, "1", registry, storage)
    found: dict[str, Administration] = {}
    for role, stage in resolved.sides.items():
        try:
            spec = plugins.store("administration", stage.spec.name)
        except PluginNotFoundError:
            continue
        found[role] = builder.build(spec, stage.settings, stage.where, role=role)
    return found


@dataclass(frozen=True, slots=True)
class RetryStages:
    """What retrying dead letters needs, built and not yet opened.

    Attributes:
        config: the pipeline.
        reader: of the dead letter topic.
        routes: by topic.
        sink: where documents go, under a worker name of its own that no worker can have.
        dead_letters: where new letters and marks go; None when the sink is transactional and takes them itself.
    """

    config: PipelineConfig
    reader: StreamReader
    routes: Mapping[str, Route]
    sink: Sink
    dead_letters: Sink | None


RETRY_WORKER = "_retry"
"""No name of a worker begins like that, so that a retry and the workers never fence each other."""


def retry_stages(
    resolved: ResolvedPipeline, plugins: Plugins, *, registry: Registry | None, storage: Path | None = None
) -> RetryStages:
    """Build what retrying dead letters needs; no source, since nothing of its group is touched.

    Raises:
        ConfigError, PluginLoadError, StageContractError: as for :func:`assemble`.
    """
    builder = _Builder(plugins, resolved.config, RETRY_WORKER, registry, storage)
    reader = builder.reader(resolved.source)
    sink, routes, dead_letters = _delivering(builder, resolved)
    return RetryStages(resolved.config, reader, routes, sink, dead_letters)


def reader(
    resolved: ResolvedPipeline, plugins: Plugins, *, registry: Registry | None, storage: Path | None = None
) -> StreamReader:
    """Build what reads the dead letter topic; needs neither schemas nor mappings.

    Raises:
        ConfigError, PluginLoadError, StageContractError: as for :func:`assemble`.
    """
    return _Builder(plugins, resolved.config, RETRY_WORKER, registry, storage).reader(resolved.source)


def whole_decoder(
    route: ResolvedRoute,
    resolved: ResolvedPipeline,
    plugins: Plugins,
    *,
    registry: Registry | None,
    storage: Path | None = None,
) -> Decoder:
    """Build the decoder of a route for everything in its records, whatever the mapping reads of them.

    Raises:
        ConfigError, PluginLoadError, StageContractError: as for :func:`assemble`.
        ContractError: its schema cannot be had.
    """
    builder = _Builder(plugins, resolved.config, RETRY_WORKER, registry, storage)
    decoder: Decoder = builder.stage(route.decoder, topics=(route.topic,), reads=frozenset({"*"}))
    return decoder


def fields_behind(
    field: str,
    route: ResolvedRoute,
    resolved: ResolvedPipeline,
    plugins: Plugins,
    *,
    registry: Registry | None,
    storage: Path | None = None,
) -> frozenset[str]:
    """The fields of a record that a field of its event is made of, as far as the route's mapping can tell.

    Raises:
        ConfigError, PluginLoadError, StageContractError: as for :func:`assemble`.
    """
    if route.normalizer is None:
        return frozenset()
    builder = _Builder(plugins, resolved.config, RETRY_WORKER, registry, storage)
    normalizer: Normalizer = builder.stage(route.normalizer, topics=(route.topic,))
    uses = getattr(normalizer, "uses", ())
    return frozenset(use.field for use in uses if use.where.endswith(f": event.{field}"))


def _delivering(
    builder: _Builder, resolved: ResolvedPipeline, given: GivenStages = NOTHING
) -> tuple[Sink, dict[str, Route], Sink | None]:
    """The sink, the routes to it, and where dead letters go beside a sink without transactions."""
    sink: Sink = given.sink if given.sink is not None else builder.stage(resolved.sink, role="sink")
    encoder = given.encoder
    if encoder is None:
        encoder = _encoder(builder, resolved, given, versioned=sink.policy.versioned)
    routes = builder.routes(resolved.routes, encoder)
    return sink, routes, _dead_letters(builder, resolved, given, transactional=isinstance(sink, Transactional))


def _place(resolved: ResolvedPipeline, side: Literal["source", "sink"]) -> str:
    """One side of the pipeline, as errors name it."""
    stage = resolved.sides.get(side)
    return f"the {side} {f'of type {stage.spec.name!r}' if stage else 'given'}"


def _dead_letters(
    builder: _Builder, resolved: ResolvedPipeline, given: GivenStages, *, transactional: bool
) -> Sink | None:
    """Where dead letters go beside the sink; None for a sink with transactions, which takes them itself."""
    if transactional:
        if given.dead_letters is not None:
            raise ConfigError(
                f"{resolved.config.path}: {_place(resolved, 'sink')} takes dead letters in its own transactions; leave dead_letters out"
            )
        return None
    if given.dead_letters is not None:
        return given.dead_letters
    if given.source is not None:
        raise ConfigError(
            f"{resolved.config.path}: {_place(resolved, 'sink')} has no transactions, so that bad records need a place of their own: give"
            " dead_letters too, a sink that is durable once its flush returns"
        )
    return builder.dead_letters(resolved.source)


def _encoder(builder: _Builder, resolved: ResolvedPipeline, given: GivenStages, *, versioned: bool) -> Encoder | None:
    """The encoder of all routes: what ``[sink] encode`` says, else plain JSON where nobody but the sink's owner reads it.

    That is a sink that keeps documents by id, or one that code brings. A stream has other readers, who must be told.
    """
    if resolved.encoder is not None:
        return cast("Encoder", builder.stage(resolved.encoder, role="sink"))
    routes = resolved.routes
    normalizing = next((r.topic for r in routes if r.normalizer is not None or r.topic in given.normalizers), None)
    if normalizing is None:
        return None
    where = f"{resolved.config.path}: [sink]: encode"
    if not versioned and given.sink is None:
        raise ConfigError(
            f"{where} is missing, and the route {normalizing!r} makes events that must become bytes;"
            ' add for instance encode = { type = "json", subject = "NAME-value" }'
        )
    try:
        spec = builder.plugins.stage("encoder", "json")
    except ConfigError as error:
        raise located(where, error) from error
    return cast(
        "Encoder",
        builder.stage(ResolvedStage(spec, validate(spec.config_model, {"wire": "bare"}, where), where), role="sink"),
    )


class _Builder:
    """Calls factories, and checks what they return."""

    def __init__(
        self,
        plugins: Plugins,
        config: PipelineConfig,
        worker: str,
        registry: Registry | None,
        storage: Path | None,
        given: GivenStages = NOTHING,
    ) -> None:
        self.plugins = plugins
        self._config = config
        self._given = given
        self._context = {
            "pipeline": config.name,
            "worker": worker,
            "base": config.base,
            "registry": registry,
            "dead_letter_topic": config.dead_letter_topic,
            "storage": storage or config.base / ".prism",
        }

    def name(self, spec: StageSpec | StoreSpec) -> str:
        return f"the {spec.kind.replace('_', ' ')} {spec.name!r} of the plugin {self.plugins.owner(spec)}"

    def stage(self, stage: ResolvedStage, **context: Any) -> Any:
        return self.build(stage.spec, stage.settings, stage.where, **context)

    def routes(self, routes: Sequence[ResolvedRoute], encoder: Encoder | None) -> dict[str, Route]:
        built: dict[str, Route] = {}
        problems: list[ConfigError] = []
        for route in routes:
            try:
                built[route.topic] = self.route(route, encoder)
            except ConfigError as error:
                problems.append(error)
        raise_all(problems)
        return built

    def route(self, route: ResolvedRoute, encoder: Encoder | None) -> Route:
        topics = (route.topic,)
        normalizer: Normalizer | None = self._given.normalizers.get(route.topic)
        if normalizer is None and route.normalizer is not None:
            normalizer = self.stage(route.normalizer, topics=topics)
        decoder: Decoder | None = self._given.decoders.get(route.topic)
        if decoder is None:
            reads = frozenset() if normalizer is None else normalizer.reads
            try:
                decoder = self.stage(route.decoder, topics=topics, reads=reads)
            except UnknownFieldError as error:
                raise _by_its_keys(normalizer, error, route.decoder.where) from error
        return Route(route.topic, decoder, normalizer, encoder)

    def dead_letters(self, source: ResolvedStage) -> Sink:
        lacks = (
            "keeps no dead letters, which the sink needs beside it; choose another source, a sink with transactions, or run"
            " the pipeline from code that gives dead_letters to prismlib.build_runner"
        )
        return cast("Sink", self._store("dead_letters", source, lacks))

    def reader(self, source: ResolvedStage) -> StreamReader:
        return cast(
            "StreamReader", self._store("reader", source, "cannot read dead letters; read their topic by other means")
        )

    def _store(self, kind: StoreKind, source: ResolvedStage, lacks: str) -> Any:
        try:
            spec = self.plugins.store(kind, source.spec.name)
        except PluginNotFoundError as error:
            plugin = self.plugins.owner(source.spec)
            raise PluginNotFoundError(f"{source.where}: the plugin {plugin} {lacks}") from error
        return self.build(spec, source.settings, source.where)

    def build(self, spec: StageSpec | StoreSpec, settings: Model, where: str, **context: Any) -> Any:
        context = {"topics": self._config.topics, **self._context, **context}
        try:
            built = spec.factory(settings, BuildContext(**context))
        except ConfigError as error:
            raise (
                error if str(error).startswith(str(self._config.path)) else located(where, error)
            ) from error.__cause__
        except PrismError:
            raise
        except Exception as error:
            raise PluginLoadError(
                f"{where}: {self.name(spec)} could not be made: {type(error).__name__}: {error}"
            ) from error
        check_stage(spec.kind, built, self.name(spec))
        return built


def _by_its_keys(normalizer: Normalizer | None, error: UnknownFieldError, where: str) -> ConfigError:
    """The error, named by the keys of the mapping file that read the field, where the normalizer can tell."""
    keys = [use.where for use in getattr(normalizer, "uses", ()) if use.field == error.path]
    return ConfigError(f"{', '.join(keys)}: {str(error).removeprefix(f'{where}: ')}") if keys else error
