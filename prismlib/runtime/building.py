"""Calls the factories of plugins for one pipeline, and checks what they return."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from prismlib.config.model import Model, validate
from prismlib.config.pipeline import PipelineConfig
from prismlib.contracts.registry import Registry
from prismlib.errors import ConfigError, PluginLoadError, PluginNotFoundError, PrismError, UnknownFieldError
from prismlib.plugin.hookspecs import (
    BuildContext,
    GroupOffsets,
    LedgerStore,
    StageSpec,
    StoreKind,
    StoreSpec,
    StreamReader,
)
from prismlib.plugin.manager import Plugins
from prismlib.runtime.given import NOTHING, GivenStages, check_stage
from prismlib.runtime.inputs import Inputs
from prismlib.runtime.resolve import ResolvedPipeline, ResolvedRoute, ResolvedStage, located, raise_all
from prismlib.runtime.route import Route
from prismlib.stages import Decoder, Encoder, Normalizer, Sink


class Builder:
    """Calls factories, and checks what they return."""

    def __init__(
        self,
        plugins: Plugins,
        config: PipelineConfig,
        worker: str,
        registry: Registry | None,
        storage: Path | None,
        given: GivenStages = NOTHING,
        inputs: Inputs | None = None,
    ) -> None:
        inputs = inputs or Inputs()
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
            "note_file": inputs.note_file,
            "note_module": inputs.note_module,
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
        if decoder is not None:
            return Route(route.topic, decoder, normalizer, encoder)
        built = Route(
            route.topic, self._decoder(route, normalizer, ()), normalizer, encoder, fingerprint(route, normalizer)
        )
        # The mapping is not read again: it may have changed, and that is another route.
        return replace(
            built, rebase=lambda baseline: replace(built, decoder=self._decoder(route, normalizer, baseline))
        )

    def _decoder(self, route: ResolvedRoute, normalizer: Normalizer | None, baseline: Sequence[int]) -> Decoder:
        reads = frozenset() if normalizer is None else normalizer.reads
        try:
            return cast("Decoder", self.stage(route.decoder, topics=(route.topic,), reads=reads, baseline=baseline))
        except UnknownFieldError as error:
            raise _by_its_keys(normalizer, error, route.decoder.where) from error

    def encoder(self, resolved: ResolvedPipeline, *, versioned: bool) -> Encoder | None:
        """The encoder of all routes: what ``[sink] encode`` says, else plain JSON where nobody but the sink's owner reads it.

        That is a sink that keeps documents by id, or one that code brings. A stream has other readers, who must be told.
        """
        if self._given.encoder is not None:
            return self._given.encoder
        if resolved.encoder is not None:
            return cast("Encoder", self.stage(resolved.encoder, role="sink"))
        given = self._given.normalizers
        normalizing = next((r.topic for r in resolved.routes if r.normalizer is not None or r.topic in given), None)
        if normalizing is None:
            return None
        where = f"{resolved.config.path}: [sink]: encode"
        if not versioned and self._given.sink is None:
            raise ConfigError(
                f"{where} is missing, and the route {normalizing!r} makes events that must become bytes;"
                ' add for instance encode = { type = "json", subject = "NAME-value" }'
            )
        try:
            spec = self.plugins.stage("encoder", "json")
        except ConfigError as error:
            raise located(where, error) from error
        stage = ResolvedStage(spec, validate(spec.config_model, {"wire": "bare"}, where), where)
        return cast("Encoder", self.stage(stage, role="sink"))

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

    def group(self, source: ResolvedStage) -> GroupOffsets:
        lacks = "offers nothing that looks at and moves the offsets of its groups; use the tools of its servers"
        return cast("GroupOffsets", self._store("group", source, lacks))

    def ledger(self, sink: ResolvedStage) -> LedgerStore:
        lacks = "offers nothing that looks at its ledger, so that offsets can neither be compared nor moved"
        return cast("LedgerStore", self._store("ledger", sink, lacks, role="sink"))

    def _store(self, kind: StoreKind, stage: ResolvedStage, lacks: str, **context: Any) -> Any:
        try:
            spec = self.plugins.store(kind, stage.spec.name)
        except PluginNotFoundError as error:
            plugin = self.plugins.owner(stage.spec)
            raise PluginNotFoundError(f"{stage.where}: the plugin {plugin} {lacks}") from error
        return self.build(spec, stage.settings, stage.where, **context)

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


def fingerprint(route: ResolvedRoute, normalizer: Normalizer | None) -> str:
    """What a route reads and how, as far as its files say: settings that differ from their defaults, and the mapping.

    What a Python function does is not in it. Nor is layout, so that another version of Prism finds the same.
    """
    stages = [stage for stage in (route.decode, route.normalizer) if stage is not None]
    parts = [(stage.spec.name, stage.settings.model_dump(exclude_defaults=True)) for stage in stages]
    mapping = getattr(normalizer, "fingerprint", "")
    reads = [] if normalizer is None else sorted(normalizer.reads)
    text = json.dumps([parts, mapping, reads], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _by_its_keys(normalizer: Normalizer | None, error: UnknownFieldError, where: str) -> ConfigError:
    """The error, named by the keys of the mapping file that read the field, where the normalizer can tell."""
    keys = [use.where for use in getattr(normalizer, "uses", ()) if use.field == error.path]
    return ConfigError(f"{', '.join(keys)}: {str(error).removeprefix(f'{where}: ')}") if keys else error
