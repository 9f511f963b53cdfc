"""Stages that code brings, in place of the tables of a pipeline file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from prismlib.config.pipeline import PipelineConfig
from prismlib.errors import ConfigError, StageContractError
from prismlib.plugin.hookspecs import StageKind, StoreKind
from prismlib.stages import Decoder, Encoder, Normalizer, Sink, Source, WritePolicy

METHODS: Mapping[StageKind | StoreKind, Sequence[str]] = {
    "source": ("open", "poll", "commit", "committed", "horizons", "close"),
    "decoder": ("decode",),
    "normalizer": ("normalize",),
    "encoder": ("encode",),
    "sink": ("open", "write", "flush", "close"),
    "dead_letters": ("open", "write", "flush", "close"),
    "administration": ("plan", "preflight", "close"),
    "reader": ("open", "partitions", "read", "close"),
    "ledger": ("open", "load_ledger", "load_notes", "save_ledger", "close"),
    "group": (
        "open",
        "partitions",
        "members",
        "committed",
        "horizons",
        "offsets_at",
        "timestamps",
        "alter",
        "close",
    ),
}


@dataclass(frozen=True, slots=True)
class GivenStages:
    """What :func:`prismlib.build_runner` is given. Each replaces a table, which the file may leave out then.

    Attributes:
        source: for ``[source]``.
        decoders: by topic, for a route's ``decode``.
        normalizers: by topic, for a route's ``normalize``.
        encoder: for ``[sink] encode``.
        sink: for ``[sink]``, but for what that says to the core: ``encode`` and ``commit_interval``.
        dead_letters: for the store of the source's type.
    """

    source: Source | None = None
    decoders: Mapping[str, Decoder] = field(default_factory=dict)
    normalizers: Mapping[str, Normalizer] = field(default_factory=dict)
    encoder: Encoder | None = None
    sink: Sink | None = None
    dead_letters: Sink | None = None

    def check(self, config: PipelineConfig) -> None:
        """Look at what was given as at what a plugin returns.

        Raises:
            ConfigError: something is given for a topic that no route reads, or a function for a normalizer.
            StageContractError: an object lacks what its interface asks for.
        """
        for kind, topic, stage in self._all():
            name = f"the {kind.replace('_', ' ')} given{f' for {topic!r}' if topic else ''}"
            if topic is not None:
                config.require_topic(topic, name)
            check_stage(kind, stage, f"{config.path}: {name}")

    def _all(self) -> Iterator[tuple[StageKind | StoreKind, str | None, object]]:
        single: list[tuple[StageKind | StoreKind, object]] = [
            ("source", self.source),
            ("encoder", self.encoder),
            ("sink", self.sink),
            ("dead_letters", self.dead_letters),
        ]
        yield from ((kind, None, stage) for kind, stage in single if stage is not None)
        yield from (("decoder", topic, decoder) for topic, decoder in self.decoders.items())
        yield from (("normalizer", topic, normalizer) for topic, normalizer in self.normalizers.items())


def check_stage(kind: StageKind | StoreKind, stage: object, name: str) -> None:
    """Whether an object has what its interface asks for; it was perhaps never type-checked.

    Raises:
        ConfigError: it is a bare function.
        StageContractError: it lacks a method or an attribute.
    """
    missing = [method for method in METHODS[kind] if not callable(getattr(stage, method, None))]
    if missing and kind == "normalizer" and callable(stage):
        raise ConfigError(f"{name} is a function; write PythonNormalizer(function, reads=[...])")
    if missing:
        raise StageContractError(f"{name} has no method {', '.join(missing)}")
    if kind == "sink" and not isinstance(getattr(stage, "policy", None), WritePolicy):
        raise StageContractError(f"{name} has no `policy` of type WritePolicy")
    reads: object = getattr(stage, "reads", None)
    if kind == "normalizer" and not isinstance(reads, frozenset):
        raise StageContractError(f"{name} must say in `reads` which fields it reads, as a frozenset, not {reads!r}")


NOTHING = GivenStages()
