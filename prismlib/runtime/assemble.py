"""Builds the stages of a pipeline with the factories of their plugins, and fits them together.

Building connects to nothing: that is the runner's ``open``. What a factory returns is checked here, because a plugin of
somebody else was perhaps never type-checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from prismlib.config.pipeline import PipelineConfig
from prismlib.contracts.registry import Registry, ReportsUsage
from prismlib.errors import (
    ConfigError,
    PluginNotFoundError,
)
from prismlib.plugin.hookspecs import Administration, GroupOffsets, LedgerStore, StreamReader
from prismlib.plugin.manager import Plugins
from prismlib.records import Loss
from prismlib.runtime.building import Builder
from prismlib.runtime.given import NOTHING, GivenStages
from prismlib.runtime.inputs import Inputs
from prismlib.runtime.notices import Tell
from prismlib.runtime.reload import Reloader, RouteFactory
from prismlib.runtime.resolve import ResolvedPipeline, ResolvedRoute, resolve
from prismlib.runtime.route import Route
from prismlib.runtime.runner import Runner
from prismlib.runtime.settings import RunnerSettings
from prismlib.runtime.usage import UsageRegistry, UsageReports, reads_of
from prismlib.stages import Decoder, FieldSet, InGroup, Normalizer, Sink, Source, Transactional


@dataclass(frozen=True, slots=True)
class Assembled:
    """The stages of one worker, built and not yet opened.

    Attributes:
        settings: for the runner.
        source: where records come from.
        routes: by topic.
        sink: where documents go.
        dead_letters: where dead letters go; None when the sink is transactional and takes them itself.
        usage: tells the registry what is read; None where it does not want to know.
        reloader: builds the routes again when their files change; None where nobody asked for that.
    """

    settings: RunnerSettings
    source: Source
    routes: Mapping[str, Route]
    sink: Sink
    dead_letters: Sink | None
    usage: UsageReports | None = None
    reloader: Reloader | None = None

    def runner(self, tell: Tell | None = None) -> Runner:
        """The runner of these stages; they can be run once.

        Args:
            tell: takes what somebody must be told of; None where nobody is.

        Raises:
            StageContractError: the stages do not fit together.
        """
        return Runner(
            self.settings,
            self.source,
            self.routes,
            self.sink,
            self.dead_letters,
            self.usage,
            tell,
            self.reloader,
        )


def assemble(
    config: PipelineConfig,
    plugins: Plugins,
    *,
    worker: str,
    registry: Registry | None,
    storage: Path | None = None,
    accept_recreated: frozenset[str] = frozenset(),
    accept_loss: frozenset[Loss] = frozenset(),
    until_idle: float | None = None,
    given: GivenStages = NOTHING,
    watch: bool = False,
) -> Assembled:
    """Build all stages of one worker.

    Args:
        config: the pipeline.
        plugins: where its stages come from.
        worker: unique in the pipeline.
        registry: where schemas come from, or None when no stage names a subject.
        storage: folder of what is embedded; None for ``.prism`` in the folder that the pipeline's paths start from.
        accept_recreated: topics whose re-creation an operator accepts.
        accept_loss: losses that an operator accepts; only exactly these.
        until_idle: seconds without a record after which the runner stops by itself.
        given: stages that are made already; the file's tables of the others are built.
        watch: build the routes again when the pipeline file or a mapping changes.

    Raises:
        ConfigError: something in the file is wrong, or its stages do not fit together.
        PluginLoadError: a factory failed with an error of its own.
        StageContractError: a factory returned something that its stage must not be, or such a stage was given.
    """
    given.check(config)
    resolved = resolve(config, plugins, given)
    inputs = Inputs()
    builder = Builder(plugins, config, worker, registry, storage, given, inputs)
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
        file="" if str(config.path) == "<pipeline>" else str(config.path),
        worker=worker,
        start=config.start,
        on_drift=config.on_drift,
        key_fixes_partition=config.key_fixes_partition,
        commit_interval=config.sink.commit_interval,
        dead_letter_topic=config.dead_letter_topic,
        stop_above_share=stop_above.share,
        stop_above_of_last=stop_above.of_last,
        accept_loss=accept_loss,
        accept_recreated=accept_recreated,
        until_idle=until_idle,
    )
    usage = None
    if isinstance(registry, ReportsUsage):
        usage = UsageReports(cast("UsageRegistry", registry), config.name, reads_of(resolved, routes))
    reloader = None
    if watch:
        factory = RouteFactory(plugins, worker, registry, storage, given, versioned=sink.policy.versioned)
        reloader = Reloader(factory, config, inputs)
    return Assembled(settings, source, routes, sink, dead_letters, usage, reloader)


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
    builder = Builder(plugins, resolved.config, "1", None, None)
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
    builder = Builder(plugins, resolved.config, "1", registry, storage)
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
    builder = Builder(plugins, resolved.config, RETRY_WORKER, registry, storage)
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
    return Builder(plugins, resolved.config, RETRY_WORKER, registry, storage).reader(resolved.source)


def offset_stores(
    resolved: ResolvedPipeline, plugins: Plugins, *, registry: Registry | None, storage: Path | None = None
) -> tuple[GroupOffsets, LedgerStore]:
    """Build what shows and moves a pipeline's offsets: at the source's servers, and in the sink's ledger.

    Raises:
        ConfigError, PluginLoadError, StageContractError: as for :func:`assemble`.
    """
    builder = Builder(plugins, resolved.config, "_offsets", registry, storage)
    return builder.group(resolved.source), builder.ledger(resolved.sink)


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
    builder = Builder(plugins, resolved.config, RETRY_WORKER, registry, storage)
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
    builder = Builder(plugins, resolved.config, RETRY_WORKER, registry, storage)
    normalizer: Normalizer = builder.stage(route.normalizer, topics=(route.topic,))
    uses = getattr(normalizer, "uses", ())
    return frozenset(use.field for use in uses if use.where.endswith(f": event.{field}"))


def _delivering(
    builder: Builder, resolved: ResolvedPipeline, given: GivenStages = NOTHING
) -> tuple[Sink, dict[str, Route], Sink | None]:
    """The sink, the routes to it, and where dead letters go beside a sink without transactions."""
    sink: Sink = given.sink if given.sink is not None else builder.stage(resolved.sink, role="sink")
    routes = builder.routes(resolved.routes, builder.encoder(resolved, versioned=sink.policy.versioned))
    return sink, routes, _dead_letters(builder, resolved, given, transactional=isinstance(sink, Transactional))


def _place(resolved: ResolvedPipeline, side: Literal["source", "sink"]) -> str:
    """One side of the pipeline, as errors name it."""
    stage = resolved.sides.get(side)
    return f"the {side} {f'of type {stage.spec.name!r}' if stage else 'given'}"


def _dead_letters(
    builder: Builder, resolved: ResolvedPipeline, given: GivenStages, *, transactional: bool
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
