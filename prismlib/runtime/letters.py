"""Dead letters as they are read back: what one says, what marks say of it, and which ones somebody asks for.

Whatever may write to the topic, a header that is damaged makes a record no letter of ours; it never stops a command.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self, cast, get_args

from prismlib.errors import ConfigError
from prismlib.records import Headers, Partition, RecordBatch
from prismlib.runtime.dead_letters import PREFIX, Fate, StageName, past_attempts

_NUMBER: Final = re.compile(rb"-?[0-9]{1,18}")
_ID: Final = re.compile(r"([0-9]{1,9})-([0-9]{1,18})")
_INDEX: Final = re.compile(r"\[[0-9]+\]")


class LetterId(NamedTuple):
    """Where a letter is in the dead letter topic; people write it ``partition-offset``."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}-{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``0-57``. Raises ConfigError."""
        match = _ID.fullmatch(text)
        if match is None:
            raise ConfigError(
                f"{text!r} names no dead letter; write its partition and offset, such as 0-57, as"
                " `prism dead-letters list` prints them"
            )
        return cls(int(match[1]), int(match[2]))


@dataclass(frozen=True, slots=True)
class Attempt:
    """One time that a record could not go on.

    Attributes:
        attempt: 1 for the first; 0 where that is not known.
        at_ms: when, in ms since the epoch; -1 where that is not known.
        stage: which stage gave up.
        code: a short word to group by.
        reason: the sentence for people.
        field: the path of the field at fault, or None.
    """

    attempt: int
    at_ms: int
    stage: str
    code: str
    reason: str
    field: str | None


@dataclass(frozen=True, slots=True)
class StoredLetter:
    """One dead letter.

    Attributes:
        id: where it is in the dead letter topic.
        pipeline: whose it is.
        worker: who gave up.
        origin: the partition that the record came from.
        offset: its offset there.
        timestamp_ms: the record's timestamp, -1 where it had none.
        epoch: incarnation of its topic.
        last: what went wrong the last time.
        schema_id: registry id of its writer schema, or None.
        previous: the letter that was retried and became this one, or None.
        key, value: of the record.
        headers: all of them, those of the letter among them.
    """

    id: LetterId
    pipeline: str
    worker: str
    origin: Partition
    offset: int
    timestamp_ms: int
    epoch: int
    last: Attempt
    schema_id: int | None
    previous: LetterId | None
    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def record_headers(self) -> Headers | None:
        """The record's own headers."""
        return [(name, value) for name, value in self.headers if not name.startswith(PREFIX)] or None

    @property
    def attempts(self) -> list[Attempt]:
        """All that are known, oldest first; the newest is ``last``."""
        known = past_attempts(dict(self.headers).get("prism.history"))
        return [*(_past(one) for one in known), self.last]

    @property
    def size(self) -> int:
        """Bytes that it takes in memory, roughly."""
        headers = sum(len(name) + len(value or b"") for name, value in self.headers)
        return len(self.value or b"") + len(self.key or b"") + headers


@dataclass(frozen=True, slots=True)
class StoredMark:
    """What became of one letter, and when, in ms since the epoch."""

    letter: LetterId
    fate: Fate
    at_ms: int


def read_record(batch: RecordBatch, row: int) -> StoredLetter | StoredMark | None:
    """What one record of a dead letter topic is; None when it is nothing that Prism writes."""
    headers = batch.headers[row] or ()
    ours = {name: value or b"" for name, value in headers if name.startswith(PREFIX)}
    if "prism.mark" in ours:
        return _mark(ours, batch.timestamps_ms[row])
    partition, offset = _number(ours.get("prism.partition")), _number(ours.get("prism.offset"))
    topic, stage = _text(ours, "prism.topic"), _text(ours, "prism.stage")
    if partition is None or offset is None or min(partition, offset) < 0 or not topic or partition >= 1 << 31:
        return None
    return StoredLetter(
        id=LetterId(batch.partition.index, batch.offsets[row]),
        pipeline=_text(ours, "prism.pipeline"),
        worker=_text(ours, "prism.worker"),
        origin=Partition(topic, partition),
        offset=offset,
        timestamp_ms=_number_or(ours.get("prism.timestamp"), -1),
        epoch=max(0, _number_or(ours.get("prism.epoch"), 0)),
        last=Attempt(
            attempt=min(1 << 30, max(1, _number_or(ours.get("prism.attempt"), 1))),
            at_ms=_number_or(ours.get("prism.at"), batch.timestamps_ms[row]),
            stage=stage if stage in get_args(StageName) else "unknown",
            code=_text(ours, "prism.code") or "unknown",
            reason=_text(ours, "prism.reason"),
            field=_text(ours, "prism.field") or None,
        ),
        schema_id=_number(ours.get("prism.schema-id")),
        previous=_id(_text(ours, "prism.previous")),
        key=batch.keys[row],
        value=batch.values[row],
        headers=headers,
    )


def _mark(ours: Mapping[str, bytes], timestamp_ms: int) -> StoredMark | None:
    letter, fate = _id(_text(ours, "prism.letter")), _text(ours, "prism.mark")
    if letter is None or fate not in get_args(Fate):
        return None
    return StoredMark(letter, cast("Fate", fate), _number_or(ours.get("prism.at"), timestamp_ms))


def _past(one: Mapping[str, Any]) -> Attempt:
    def text(name: str) -> str:
        value = one.get(name)
        return value if isinstance(value, str) else ""

    def number(name: str, otherwise: int) -> int:
        value = one.get(name)
        return value if type(value) is int else otherwise

    return Attempt(
        number("attempt", 0), number("at", -1), text("stage"), text("code"), text("reason"), text("field") or None
    )


def _id(text: str) -> LetterId | None:
    match = _ID.fullmatch(text)
    return LetterId(int(match[1]), int(match[2])) if match else None


def _text(ours: Mapping[str, bytes], name: str) -> str:
    return ours.get(name, b"").decode("utf-8", "replace")


def _number(value: bytes | None) -> int | None:
    return int(value) if value is not None and _NUMBER.fullmatch(value) else None


def _number_or(value: bytes | None, otherwise: int) -> int:
    number = _number(value)
    return otherwise if number is None else number


def field_pattern(field: str | None) -> str:
    """A field path without its indexes, so that ``lines[2].sku`` and ``lines[7].sku`` are one reason."""
    return _INDEX.sub("[]", field or "")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which letters somebody asks for; None asks for all.

    Attributes:
        topic: of their records.
        reason: their code, or a part of their sentence.
        stage: which stage gave up.
        since_ms: they were written at this time or later, ms since the epoch.
        until_ms: they were written before this time.
    """

    topic: str | None = None
    reason: str | None = None
    stage: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None

    def takes(self, letter: StoredLetter) -> bool:
        """Whether a letter is one of them."""
        last = letter.last
        return (
            (self.topic is None or self.topic == letter.origin.stream)
            and (self.stage is None or self.stage == last.stage)
            and (self.since_ms is None or self.since_ms <= last.at_ms)
            and (self.until_ms is None or last.at_ms < self.until_ms)
            and (self.reason is None or self.reason == last.code or self.reason.lower() in last.reason.lower())
        )
