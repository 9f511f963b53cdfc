"""One dead letter as far as it can be understood: its fate, its schema, and how far its record can be decoded."""

from __future__ import annotations

import base64
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, cast

import orjson

from prismlib.contracts.registry import RegisteredSchema, Registry
from prismlib.errors import PrismError, RecordError, SchemaDriftError
from prismlib.plugin.hookspecs import StreamReader
from prismlib.records import Explanation, Headers, Partition, RecordBatch
from prismlib.runtime.letter_index import State, whole
from prismlib.runtime.letters import LetterId, StoredLetter, StoredMark, field_pattern, read_record
from prismlib.stages import Decoder, Explains

MAX_FIELDS: Final = 2_000
"""Fields of one record that are shown."""


@dataclass(frozen=True, slots=True)
class FoundLetter:
    """A letter, and what became of it.

    Attributes:
        letter: the letter.
        state: ``open``, or what a mark says.
        settled_ms: when it was marked, ms since the epoch; None while it is open.
        successor: the letter that it became when it failed again, or None.
    """

    letter: StoredLetter
    state: State
    settled_ms: int | None
    successor: LetterId | None


def find_letter(reader: StreamReader, topic: str, wanted: LetterId) -> FoundLetter | None:
    """Read the dead letter topic for one letter, its marks and its successor; None when there is no such letter.

    Raises:
        ConfigError: there is no such topic.
        RetryableError: the servers cannot be reached, or a transaction stays open.
    """
    starts = whole(reader, topic)
    place = Partition(topic, wanted.partition)
    if place not in starts:
        return None
    letter: StoredLetter | None = None
    successor: LetterId | None = None
    mark: StoredMark | None = None
    for batches in reader.read(starts | {place: wanted.offset}):
        for batch in batches:
            for row in range(len(batch)):
                found = read_record(batch, row)
                if isinstance(found, StoredMark):
                    if found.letter == wanted and (mark is None or mark.fate != "delivered"):
                        mark = found
                elif found is not None and found.id == wanted:
                    letter = found
                elif found is not None and found.previous == wanted:
                    successor = found.id
    if letter is None:
        return None
    return FoundLetter(letter, mark.fate if mark else "open", mark.at_ms if mark else None, successor)


def writer_schema(registry: Registry | None, schema_id: int | None) -> RegisteredSchema | str:
    """The schema that a record was written with, or the sentence why it is not known."""
    if schema_id is None:
        return "the record names none"
    if registry is None:
        return f"id {schema_id}; no registry is configured"
    try:
        return registry.by_id(schema_id)
    except PrismError as error:
        return f"id {schema_id}; {error}"


def explain(decoder: Decoder, letter: StoredLetter) -> Explanation:
    """How far a letter's record can be decoded. Raises RetryableError."""
    if letter.value is not None and isinstance(decoder, Explains):
        return decoder.explain(letter.value)
    row, error = decode(decoder, letter)
    return Explanation([] if row is None else list(_flat(row)), error)


def decode(decoder: Decoder, letter: StoredLetter) -> tuple[Any, RecordError | SchemaDriftError | None]:
    """The row of a letter's record, or why there is none. Raises RetryableError."""
    batch = RecordBatch(
        letter.origin, [letter.offset], [letter.timestamp_ms], [letter.key], [letter.value], [letter.record_headers]
    )
    decoded = decoder.decode(batch)
    if decoded.stop is not None:
        return None, decoded.stop[1]
    return decoded.rows[0], decoded.errors.get(0)


def is_at_fault(path: str, letter: StoredLetter, error: PrismError | None, behind: Collection[str] = ()) -> bool:
    """Whether a field is the one that a letter, or the attempt to decode it now, names, or one of those behind it."""
    named = [letter.last.field, error.field if isinstance(error, RecordError) else None, *behind]
    for field in filter(None, named):
        if path == field or path.startswith((f"{field}.", f"{field}[")) or path == field_pattern(field):
            return True
    return False


def _flat(value: Any) -> Iterator[tuple[str, Any]]:
    """Dotted paths and plain values, without recursion: a record may be nested deeply."""
    waiting: list[tuple[str, Any]] = [("", value)]
    left = MAX_FIELDS
    while waiting and left:
        path, one = waiting.pop()
        if isinstance(one, dict) and one:
            waiting += [(f"{path}.{name}" if path else str(name), inner) for name, inner in reversed(one.items())]
        elif isinstance(one, list | tuple) and one:
            waiting += [(f"{path}[{i}]", inner) for i, inner in reversed(list(enumerate(one)))]
        else:
            left -= 1
            yield path, one


# --- for programs --------------------------------------------------------------------------------------------------------


def document(letter: StoredLetter, state: State) -> dict[str, Any]:
    """A letter as JSON can hold it, without its key, value and headers."""
    last = letter.last
    return {
        "letter": str(letter.id),
        "state": state,
        "origin": {
            "topic": letter.origin.stream,
            "partition": letter.origin.index,
            "offset": letter.offset,
            "epoch": letter.epoch,
            "timestamp_ms": letter.timestamp_ms,
        },
        "pipeline": letter.pipeline,
        "worker": letter.worker,
        "stage": last.stage,
        "code": last.code,
        "reason": last.reason,
        "field": last.field,
        "schema_id": letter.schema_id,
        "attempts": [
            {
                "attempt": one.attempt,
                "at_ms": one.at_ms,
                "stage": one.stage,
                "code": one.code,
                "reason": one.reason,
                "field": one.field,
            }
            for one in letter.attempts
        ],
        "previous": None if letter.previous is None else str(letter.previous),
    }


def contents(letter: StoredLetter) -> dict[str, Any]:
    """Key, value and headers of a letter's record as JSON can hold them."""
    headers: Headers = letter.record_headers or ()
    return {
        "key": as_json(letter.key),
        "value": as_json(letter.value),
        "headers": [[name, as_json(value)] for name, value in headers],
    }


def as_json(value: bytes | None) -> dict[str, Any] | None:
    """Bytes as base64, and as text and JSON where they are such."""
    if value is None:
        return None
    found: dict[str, Any] = {"base64": base64.b64encode(value).decode()}
    try:
        found["text"] = value.decode()
        found["json"] = orjson.loads(value)
    except (UnicodeDecodeError, orjson.JSONDecodeError):
        pass
    return found


def jsonable(value: Any) -> Any:
    """A decoded value as JSON can hold it: decimals and numbers that are none as text, bytes as base64."""
    if isinstance(value, dict):
        return {str(name): jsonable(one) for name, one in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [jsonable(one) for one in cast("Sequence[Any]", value)]
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value) if isinstance(value, Decimal) else repr(value)
