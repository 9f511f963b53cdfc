"""One topic's way from records to documents: decode -> normalize -> encode, in one pass over columns."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from prismlib.errors import DecodeError, RecordError, SchemaDriftError, StageContractError
from prismlib.records import Documents, Normalized, RecordBatch
from prismlib.runtime.dead_letters import Letter, StageName
from prismlib.runtime.identity import key_ids, origin_ids, versions
from prismlib.stages import Decoder, Encoder, IdentifiesSchema, Normalizer


@dataclass(frozen=True, slots=True)
class Route:
    """The stages of one topic.

    Attributes:
        topic: which topic's records go this way.
        decoder: its decoder.
        normalizer: None passes decoded payload bytes through.
        encoder: None where the sink takes the payload bytes as they are.
        fingerprint: of its settings and mapping, "" where nobody knows: equal for routes that read the same in the same way.
        rebase: makes the same route for a topic of which schemas with these ids were read before; None where it cannot be made
            again.
    """

    topic: str
    decoder: Decoder
    normalizer: Normalizer | None = None
    encoder: Encoder | None = None
    fingerprint: str = ""
    rebase: Callable[[Sequence[int]], Route] | None = field(default=None, repr=False, compare=False)

    def schema_id(self, value: bytes) -> int | None:
        """Registry id in front of a value, where the decoder can tell."""
        return self.decoder.schema_id(value) if isinstance(self.decoder, IdentifiesSchema) else None


@dataclass(frozen=True, slots=True)
class Destination:
    """What documents need to know of where they go.

    Attributes:
        stream: topic or alias.
        versioned: ids and versions are wanted.
        key_fixes_partition: ids are the keys; tombstones delete.
    """

    stream: str
    versioned: bool
    key_fixes_partition: bool


@dataclass(frozen=True, slots=True)
class Prepared:
    """What became of one batch before the sink.

    Attributes:
        batch: the records that were processed: all, or those before ``stop``.
        rows: the row of each document, ascending.
        documents: in the order of ``rows``.
        letters: the records that were rejected, in order of row and stage.
        dropped: rows that are settled without a document: tombstones without a key, and filtered rows.
        stop: why the record after ``batch`` cannot be read now.
    """

    batch: RecordBatch
    rows: Sequence[int]
    documents: Documents
    letters: Sequence[Letter] = ()
    dropped: Sequence[int] = ()
    stop: SchemaDriftError | None = None


@dataclass(slots=True)
class _Errors:
    batch: RecordBatch
    letters: list[Letter] = field(default_factory=list)

    def add(self, stage: StageName, errors: Any, rows: Sequence[int] | None = None) -> None:
        for position, error in sorted(errors.items()):
            if not isinstance(error, RecordError):
                raise StageContractError(f"the {stage} stage returned {error!r} as an error; it must be a RecordError")
            self.letters.append(Letter(self.batch, position if rows is None else rows[position], stage, error))


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the collector of cycles, which would go through all rows of a batch again and again and find nothing.

    What it is spared is bounded by one batch: rows and events go by their reference counts before the next one.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def prepare(route: Route, batch: RecordBatch, destination: Destination, epoch: int) -> Prepared:
    """Take one batch along a route.

    Raises:
        RetryableError: from the decoder; nothing became of the batch.
        StageContractError: a stage returned something of another length.
    """
    with _uncollected():
        return _prepare(route, batch, destination, epoch)


def drift_letter(batch: RecordBatch, drift: SchemaDriftError, destination: Destination) -> Prepared:
    """One record that meets drift, as a dead letter, for pipelines that say ``on_drift = "dead_letter"``."""
    error = DecodeError(str(drift), code="schema-drift")
    nothing = Documents(destination.stream, (), (), (), ())
    return Prepared(batch, (), nothing, [Letter(batch, 0, "decode", error)])


def _prepare(route: Route, batch: RecordBatch, destination: Destination, epoch: int) -> Prepared:
    decoded = route.decoder.decode(batch)
    stop = None
    if decoded.stop is not None:
        row, stop = decoded.stop
        if not 0 <= row < len(batch):
            raise StageContractError(f"the decoder of {route.topic} stopped at row {row} of a batch of {len(batch)}")
        batch = batch.slice(0, row)
    rows = decoded.rows
    _same_length(route.topic, "decoder", len(rows), len(batch))
    errors = _Errors(batch)
    if decoded.errors:
        errors.add("decode", decoded.errors)

    if route.normalizer is None:
        normalized = _pass_through(route.topic, rows)
    else:
        normalized = route.normalizer.normalize(batch, rows)
        _same_length(route.topic, "normalizer", len(normalized.bodies), len(batch))
        if normalized.errors:
            errors.add("normalize", normalized.errors)

    bodies: Sequence[Any] = normalized.bodies
    keys = batch.keys
    if normalized.ids is not None:
        _same_length(route.topic, "normalizer's ids", len(normalized.ids), len(batch))
        if None in normalized.ids:
            keys = [key if i is None else i.encode() for i, key in zip(normalized.ids, keys, strict=True)]
        else:
            keys = list(map(str.encode, cast("Sequence[str]", normalized.ids)))

    chosen: Sequence[int] = range(len(batch))
    dropped: list[int] = []
    if None in bodies:
        bad = {letter.row for letter in errors.letters}
        deletes = destination.key_fixes_partition and route.normalizer is None
        picked = []
        for row, body in enumerate(bodies):
            if body is not None or (deletes and row not in bad and batch.values[row] is None and keys[row]):
                picked.append(row)
            elif row not in bad:
                dropped.append(row)
        chosen = picked
        bodies = [bodies[row] for row in chosen]
        keys = [keys[row] for row in chosen]

    if route.encoder is not None:
        encoded = route.encoder.encode(bodies)
        _same_length(route.topic, "encoder", len(encoded.values), len(bodies))
        if encoded.errors:
            errors.add("encode", encoded.errors, chosen)
            good = [position for position in range(len(bodies)) if position not in encoded.errors]
            chosen = [chosen[position] for position in good]
            keys = [keys[position] for position in good]
            bodies = [encoded.values[position] for position in good]
        else:
            bodies = encoded.values
    complete = len(chosen) == len(batch)
    offsets = batch.offsets if complete else [batch.offsets[row] for row in chosen]
    ids: Sequence[str] = ()
    numbers: Sequence[int] = ()
    if destination.versioned:
        ids = origin_ids(batch.partition, epoch, offsets)
        if destination.key_fixes_partition:
            ids = key_ids(keys, ids)
        numbers = versions(epoch, offsets)
    documents = Documents(
        stream=destination.stream,
        sources=[batch.partition] * len(chosen),
        offsets=offsets,
        keys=keys,
        bodies=bodies,
        ids=ids,
        versions=numbers,
    )
    return Prepared(batch, chosen, documents, errors.letters, dropped, stop)


def _pass_through(topic: str, rows: Sequence[Any]) -> Normalized:
    for row, value in enumerate(rows):
        if value is not None and not isinstance(value, bytes):
            raise StageContractError(
                f"the decoder of {topic} was asked for payload bytes, row {row} is {type(value).__name__}"
            )
    return Normalized(rows)


def _same_length(topic: str, what: str, got: int, expected: int) -> None:
    if got != expected:
        raise StageContractError(f"the {what} of {topic} returned {got} results for {expected} records")
