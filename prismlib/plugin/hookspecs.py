"""The extension points of Prism, on one screen.

A plugin is a module behind an entry point of group ``prismlib``. It implements any of these hooks with ``@hookimpl`` and
imports no client library at its top: the factories do, so that a missing library is one sentence about one stage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import pluggy

if TYPE_CHECKING:
    import click

    from prismlib.config.model import Model
    from prismlib.contracts.registry import Registry
    from prismlib.records import LedgerNote, LedgerRow, Partition, RecordBatch
    from prismlib.stages import Committed, FieldSet, Horizon

GROUP = "prismlib"
hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)
"""Marks a plugin's function as an implementation of the hook of the same name."""

StageKind: TypeAlias = Literal["source", "decoder", "normalizer", "encoder", "sink"]
StoreKind: TypeAlias = Literal["dead_letters", "administration", "reader", "ledger", "group"]


@dataclass(frozen=True, slots=True)
class BuildContext:
    """What a factory may know besides its own configuration.

    Attributes:
        pipeline: name of the pipeline; the consumer group, and part of transactional ids.
        worker: name of this worker, unique in the pipeline.
        topics: what the pipeline's routes read; for a decoder or normalizer, the one topic of its route.
        reads: for a decoder, the fields that the route's normalizer reads.
        baseline: for a decoder, ids of schemas that the same route has read already, as the ledger has them; of a subject's
            versions the newest of these shapes the rows, where the route names none.
        base: folder of ``prism.toml``, or of the pipeline file where there is none; relative paths start here.
        registry: where schemas come from, or None when the pipeline names no subject.
        dead_letter_topic: where dead letters go.
        storage: folder of what is embedded: ``[storage] path`` of ``prism.toml``.
        role: "source" or "sink", for an administration, which both may have.
        note_file: is told of every file, by :meth:`file`.
        note_module: is told of every Python module, by :meth:`imports`.
    """

    pipeline: str
    worker: str = "1"
    topics: Sequence[str] = ()
    reads: FieldSet = frozenset()
    baseline: Sequence[int] = ()
    base: Path = Path()
    registry: Registry | None = None
    dead_letter_topic: str = ""
    storage: Path = Path(".prism")
    role: Literal["source", "sink"] = "source"
    note_file: Callable[[Path], None] | None = None
    note_module: Callable[[str], None] | None = None

    def file(self, name: str) -> Path:
        """Where a file is that a decoder or normalizer is made of; read it now.

        A worker that notices changes builds the route again when this file changes.
        """
        path = self.base / name
        if self.note_file is not None:
            self.note_file(path)
        return path

    def imports(self, function: str) -> None:
        """Say that ``package.module:function`` is about to be imported.

        A worker that notices changes says that it must be restarted when that module changes.
        """
        if self.note_module is not None:
            self.note_module(function.partition(":")[0])


@dataclass(frozen=True, slots=True)
class StageSpec:
    """One stage that a pipeline file can name by ``type``.

    Attributes:
        kind: which interface of :mod:`prismlib.stages` the factory's result implements.
        name: the ``type`` in pipeline files, such as ``"kafka"``.
        summary: one line for ``prism plugins``.
        config_model: validates the table in the pipeline file, without its ``type``.
        factory: makes the stage; may import client libraries; raises ConfigError.
    """

    kind: StageKind
    name: str
    summary: str
    config_model: type[Model]
    factory: Callable[[Any, BuildContext], Any]


@dataclass(frozen=True, slots=True)
class StoreSpec:
    """Something kept beside the data, chosen by the ``type`` of a source or sink.

    Attributes:
        kind: ``dead_letters``: a Sink that is durable once ``flush`` returns, for pipelines whose own sink is not
            transactional, made from the source's configuration. ``administration``: an :class:`Administration`.
            ``reader``: a :class:`StreamReader` of what the source's servers hold, for looking at dead letters.
            ``ledger``: a :class:`LedgerStore` of what a sink keeps beside its data, made from the sink's configuration.
            ``group``: a :class:`GroupOffsets` of the source's servers.
        name: the ``type`` of the source or sink whose configuration the factory takes.
        factory: as in StageSpec.
    """

    kind: StoreKind
    name: str
    factory: Callable[[Any, BuildContext], Any]


@dataclass(frozen=True, slots=True)
class SetupStep:
    """One thing that ``prism setup`` can create.

    Attributes:
        what: such as ``"topic air-traffic (3 partitions)"``.
        exists: already there and as it should be.
        problem: there, and wrong in a way that setup must not repair; one sentence with the next step. "" otherwise.
        apply: creates it. Raises ConfigError, UnreachableError.
    """

    what: str
    exists: bool
    apply: Callable[[], None]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of ``prism check``.

    Attributes:
        what: what was looked at, such as ``"Kafka broker at 127.0.0.1:9092"``.
        state: ``"ok"``, ``"warning"``, ``"wrong"`` (the user must change something) or ``"unreachable"``.
        detail: what was found, and for anything but ok what to do next.
    """

    what: str
    state: Literal["ok", "warning", "wrong", "unreachable"]
    detail: str


class Administration(Protocol):
    """Looks at and creates what a source or sink needs on its servers."""

    def plan(self) -> Sequence[SetupStep]:
        """Everything this side of the pipeline needs, there or not. Raises ConfigError, UnreachableError."""
        ...

    def preflight(self) -> Sequence[Check]:
        """Servers, versions, topics, alias, rights. Never raises for a server: that is a Check."""
        ...

    def close(self) -> None:
        """Let go of connections; may be called twice."""
        ...


class StreamReader(Protocol):
    """Reads streams of the source's servers from a place up to what is their end then; no group, nothing is committed.

    - ``RDR-01`` ``partitions`` names all of a stream, ascending, and none for a stream that does not exist
    - ``RDR-02`` a batch holds records of one partition, offsets ascending, columns of equal length
    - ``RDR-03`` every record from a partition's start on comes once, in order; of other partitions none comes
    - ``RDR-04`` reading ends at what was the end when ``read`` was called, whatever is written meanwhile
    - ``RDR-05`` records of transactions that are open at the call are waited for, those of aborted ones are left out
    - ``RDR-06`` tombstones, missing keys, empty values, headers and timestamps arrive as they were written
    - ``RDR-07`` ``read`` may be given up before its end, and called again
    - ``RDR-08`` servers that do not answer raise RetryableError and leave the reader usable
    - ``RDR-09`` ``close`` may be called twice
    """

    def open(self) -> None:
        """Connect. Raises ConfigError, UnreachableError."""
        ...

    def partitions(self, stream: str) -> Sequence[Partition]:
        """All partitions of a stream, ascending; none when there is no such stream. Raises RetryableError."""
        ...

    def read(self, starts: Mapping[Partition, int]) -> Iterator[Sequence[RecordBatch]]:
        """Everything from each partition's offset (or the first one still there) to the end at the time of the call.

        Records of open transactions are waited for, those of aborted ones are left out. The call itself looks where the
        end is; one reading at a time.

        Raises:
            RetryableError: the servers cannot be reached, or a transaction stays open.
        """
        ...

    def close(self) -> None:
        """Let go of connections; may be called twice."""
        ...


class LedgerStore(Protocol):
    """The ledger that a sink keeps beside its data, for commands: it is no worker, claims no name and fences nobody.

    Rows and notes are those of :class:`prismlib.stages.KeepsLedger`, and the clauses ``LED`` hold for them too.

    Attributes:
        atomic: workers commit its rows in one transaction with the group's offsets.
    """

    atomic: bool

    def open(self) -> None:
        """Connect. Raises ConfigError when the ledger does not exist, UnreachableError."""
        ...

    def load_ledger(self, partitions: Sequence[Partition]) -> Mapping[Partition, LedgerRow]:
        """The newest row of each partition that has one. Raises RetryableError, FatalError."""
        ...

    def load_notes(self) -> Sequence[LedgerNote]:
        """Every note of the pipeline, oldest first. Raises RetryableError, FatalError."""
        ...

    def save_ledger(self, rows: Sequence[LedgerRow], notes: Sequence[LedgerNote] = ()) -> None:
        """Store rows and notes durably. A stale row is passed over, a note never. Raises RetryableError, FatalError."""
        ...

    def close(self) -> None:
        """Let go of connections; may be called twice."""
        ...


@dataclass(frozen=True, slots=True)
class Retention:
    """When the servers delete records of a stream by themselves.

    Attributes:
        age_ms: records older than this, by their timestamp; None where age deletes nothing.
        by_size: the oldest ones, once a partition is larger than its limit, which no client can foresee.
    """

    age_ms: int | None = None
    by_size: bool = False


class GroupOffsets(Protocol):
    """The committed offsets of a pipeline's group, for commands: it is no member of the group.

    Every method but ``open`` and ``close`` raises RetryableError when the servers cannot be reached, and FatalError when they
    refuse.
    """

    def open(self) -> None:
        """Connect. Raises ConfigError, UnreachableError."""
        ...

    def partitions(self, streams: Sequence[str]) -> Sequence[Partition]:
        """All partitions of these streams, ascending; none of a stream that does not exist."""
        ...

    def members(self) -> Sequence[str]:
        """Who is in the group now, each described for people. May take a session's time to tell the living from the dead."""
        ...

    def committed(self, partitions: Sequence[Partition]) -> Mapping[Partition, Committed]:
        """As a source's: after waiting for transactions that hold the offsets."""
        ...

    def horizons(self, partitions: Sequence[Partition]) -> Mapping[Partition, Horizon]:
        """As a source's: fresh from the servers."""
        ...

    def offsets_at(self, partitions: Sequence[Partition], timestamp_ms: int) -> Mapping[Partition, int]:
        """The first offset written at or after the time; the end where there is none."""
        ...

    def timestamps(self, offsets: Mapping[Partition, int]) -> Mapping[Partition, int]:
        """When the first record at or after each offset was written, ms since the epoch; -1 where there is none."""
        ...

    def retention(self, streams: Sequence[str]) -> Mapping[str, Retention]:
        """When records of these streams are deleted; nothing of a stream that does not exist."""
        ...

    def offsets_retention_ms(self) -> int | None:
        """How long the group's offsets are kept once its last member has left; None where that is for good."""
        ...

    def alter(self, next_offsets: Mapping[Partition, int]) -> None:
        """Commit these for the group. Raises FatalError, and changes nothing, while it has a live member."""
        ...

    def close(self) -> None:
        """Let go of connections; may be called twice."""
        ...


@dataclass(frozen=True, slots=True)
class RegistrySpec:
    """A kind of schema registry, chosen by the scheme of ``[registry] url``.

    Attributes:
        name: for ``prism plugins``, such as ``"confluent"``.
        schemes: those of the addresses it serves, in lower case, such as ``("http", "https")``.
        summary: one line for ``prism plugins``.
        config_model: validates the table ``[registry]``, ``url`` and ``token`` among its keys.
        factory: makes the registry of such a table, given the folder of ``prism.toml``, where relative paths start; may
            import client libraries, connects to nothing yet; raises ConfigError.
    """

    name: str
    schemes: tuple[str, ...]
    summary: str
    config_model: type[Model]
    factory: Callable[[Any, Path], Registry]


@hookspec
def prism_stages() -> Iterable[StageSpec]:  # type: ignore[empty-body]
    """Stages that pipeline files can name."""


@hookspec
def prism_stores() -> Iterable[StoreSpec]:  # type: ignore[empty-body]
    """What stands beside the sources and sinks of the same name: dead letters, administration, ledgers, groups."""


@hookspec
def prism_registries() -> Iterable[RegistrySpec]:  # type: ignore[empty-body]
    """Schema registries that ``[registry] url`` can name by their scheme."""


@hookspec
def prism_commands() -> Iterable[click.Command]:  # type: ignore[empty-body]
    """Commands to add to ``prism``."""
