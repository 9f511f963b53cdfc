"""Dead letters: one bad record never stops a pipeline and never disappears.

A dead letter is the record as it was read, with its key, value and headers, and these headers added:

    prism.pipeline prism.worker     who gave up
    prism.topic prism.partition prism.offset prism.timestamp     where it came from; timestamp in ms since the epoch
    prism.epoch                     incarnation of that topic, from 0: part of a document's id and version
    prism.stage                     decode, normalize, encode or write
    prism.code prism.reason         a short word to group by, and the sentence for people
    prism.field                     path of the field at fault, when there is one
    prism.schema-id                 registry id of its writer schema, when it carries one
    prism.attempt                   1, and one more after each retry
    prism.at                        when, ms since the epoch
    prism.previous                  after a retry: the letter that was retried, partition-offset in this topic
    prism.history                   after a retry: the earlier attempts as a JSON list, oldest first; the oldest give way

What became of a letter is a record of the same topic, a *mark*: no value, the letter's key, and

    prism.mark                      delivered; dropped: it was read and the mapping filters it; failed: see the new letter
    prism.letter                    which letter, partition-offset in this topic
    prism.at                        when, ms since the epoch

A letter is open while no mark names it.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import orjson

from prismlib.errors import FatalError, RecordError, TooManyRejectedError
from prismlib.records import Documents, Headers, Partition, RecordBatch

log = logging.getLogger(__name__)

StageName: TypeAlias = Literal["decode", "normalize", "encode", "write"]
Fate: TypeAlias = Literal["delivered", "dropped", "failed"]
"""What a mark says became of a letter."""
PREFIX = "prism."
TELL_SECONDS = 60.0  # between two log lines about dead letters
MAX_REASON = 4096  # characters; the dead letter topic leaves 64 KiB for all headers together
MAX_HISTORY = 8 << 10  # bytes
MAX_PAST_REASON = 400  # characters of a reason or field in the history


@dataclass(frozen=True, slots=True)
class Letter:
    """One record that goes to the dead letters."""

    batch: RecordBatch
    row: int
    stage: StageName
    error: RecordError
    previous: str | None = None
    """The letter that was retried, whose headers ``batch`` has then; None for a record that fails for the first time."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What became of one dead letter.

    Attributes:
        letter: which one, ``partition-offset`` in the dead letter topic.
        fate: what became of it.
        key: the letter's key.
        origin: the partition that its record came from.
        offset: its offset there.
    """

    letter: str
    fate: Fate
    key: bytes | None
    origin: Partition
    offset: int


class LetterBox:
    """Makes dead letter documents for one pipeline."""

    def __init__(
        self,
        topic: str,
        pipeline: str,
        worker: str,
        schema_id: Callable[[str, bytes], int | None],
        epoch: Callable[[Partition], int],
    ) -> None:
        """``schema_id(topic, value)`` finds the registry id in a value, or None; ``epoch`` is that of a partition."""
        self.topic = topic
        self._pipeline = pipeline.encode()
        self._worker = worker.encode()
        self._schema_id = schema_id
        self._epoch = epoch

    def documents(self, letters: Sequence[Letter]) -> Documents:
        """One document per letter, in order."""
        return Documents(
            stream=self.topic,
            sources=[letter.batch.partition for letter in letters],
            offsets=[letter.batch.offsets[letter.row] for letter in letters],
            keys=[letter.batch.keys[letter.row] for letter in letters],
            bodies=[letter.batch.values[letter.row] for letter in letters],
            headers=[self._headers(letter) for letter in letters],
        )

    def marks(self, marks: Sequence[Mark]) -> Documents:
        """One document per mark, in order."""
        at = b"%d" % int(time.time() * 1000)
        return Documents(
            stream=self.topic,
            sources=[mark.origin for mark in marks],
            offsets=[mark.offset for mark in marks],
            keys=[mark.key for mark in marks],
            bodies=[None] * len(marks),
            headers=[
                [("prism.mark", mark.fate.encode()), ("prism.letter", mark.letter.encode()), ("prism.at", at)]
                for mark in marks
            ],
        )

    def refused(self, why: str) -> FatalError:
        """The error for a dead letter that cannot be written: the pipeline must not go on without it."""
        return refused(self.topic, why)

    def _headers(self, letter: Letter) -> Headers:
        batch, row, error = letter.batch, letter.row, letter.error
        original = batch.headers[row] or ()
        kept = [(name, value) for name, value in original if not name.startswith(PREFIX)]
        value = batch.values[row]
        schema_id = None if value is None else self._schema_id(batch.partition.stream, value)
        added: list[tuple[str, bytes | None]] = [
            ("prism.pipeline", self._pipeline),
            ("prism.worker", self._worker),
            ("prism.topic", batch.partition.stream.encode()),
            ("prism.partition", b"%d" % batch.partition.index),
            ("prism.offset", b"%d" % batch.offsets[row]),
            ("prism.timestamp", b"%d" % batch.timestamps_ms[row]),
            ("prism.epoch", b"%d" % self._epoch(batch.partition)),
            ("prism.stage", letter.stage.encode()),
            ("prism.code", error.code.encode()),
            ("prism.reason", error.reason[:MAX_REASON].encode("utf-8", "replace")),
            ("prism.attempt", b"%d" % (_attempt(original) + 1)),
            ("prism.at", b"%d" % int(time.time() * 1000)),
        ]
        if error.field is not None:
            added.append(("prism.field", error.field[:MAX_REASON].encode("utf-8", "replace")))
        if schema_id is not None:
            added.append(("prism.schema-id", b"%d" % schema_id))
        if letter.previous is not None:
            added.append(("prism.previous", letter.previous.encode()))
            added.append(("prism.history", history(dict(original))))
        return [*kept, *added]


def refused(topic: str, why: str) -> FatalError:
    """The error for a dead letter or a mark that its topic does not take."""
    return FatalError(
        f"the dead letter topic {topic} refuses a record: {why}; its max.message.bytes must be 64 KiB above the "
        f"source topic's, as `prism setup` makes it"
    )


def _attempt(headers: Headers) -> int:
    for name, value in headers:
        if name == "prism.attempt" and value is not None and value.isdigit():
            return int(value[:9])
    return 0


def history(headers: Mapping[str, bytes | None]) -> bytes:
    """The attempts of a letter that is retried, its last one among them, for the header ``prism.history``."""
    attempts = past_attempts(headers.get("prism.history"))
    texts = {name: (headers.get(f"prism.{name}") or b"").decode("utf-8", "replace") for name in _PAST}
    last: dict[str, Any] = {name: text[:MAX_PAST_REASON] for name, text in texts.items() if text}
    attempts.append(last | {name: int(last[name]) for name in ("attempt", "at") if last.get(name, "").isdigit()})
    while len(text := orjson.dumps(attempts)) > MAX_HISTORY:
        del attempts[0]
    return text


_PAST = ("attempt", "at", "stage", "code", "reason", "field")


def past_attempts(value: bytes | None) -> list[dict[str, Any]]:
    """The attempts in a header ``prism.history``, oldest first; none where there is no such header or it is damaged."""
    try:
        found = orjson.loads(value or b"[]")
    except orjson.JSONDecodeError:
        return []
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


class LettersLog:
    """Says in the log that there are dead letters and how to look at them, once a minute at most."""

    def __init__(self, topic: str) -> None:
        """``topic`` is where they are."""
        self._topic = topic
        self._told = 0
        self._not_before = 0.0

    def count(self, letters: int, *, last: bool = False) -> None:
        """So many were written since the start; ``last`` says it at once."""
        now = time.monotonic()
        if letters == self._told or (now < self._not_before and not last):
            return
        facts = {
            "new": letters - self._told,
            "topic": self._topic,
            "look": "prism dead-letters list PIPELINE.toml",
        }
        log.warning("records went to the dead letters", extra=facts)
        self._told, self._not_before = letters, now + TELL_SECONDS


class RejectionLimit:
    """Stops a pipeline when most of its latest records are bad: then the code is wrong, and not the data."""

    def __init__(self, share: float, of_last: int) -> None:
        """Refuse when more than ``share`` of the last ``of_last`` records were rejected."""
        self._share = share
        self._of_last = of_last
        self._window: deque[tuple[int, int]] = deque()  # (records, rejected) a batch
        self._records = 0
        self._rejected = 0
        self._last = ""  # said with the error, since the dead letters of the last batch are not written

    def count(self, records: int, rejected: Sequence[Letter]) -> None:
        """Add what became of one batch: how many records it has, and which ones were rejected now.

        Raises:
            TooManyRejectedError: the limit is passed.
        """
        self._window.append((records, len(rejected)))
        self._records += records
        self._rejected += len(rejected)
        if rejected:
            self._last = rejected[-1].error.reason
        while self._window and self._records - self._window[0][0] >= self._of_last:
            old_records, old_rejected = self._window.popleft()
            self._records -= old_records
            self._rejected -= old_rejected
        if self._records >= self._of_last and self._rejected > self._share * self._records:
            last = f" (the last one: {self._last})" if self._last else ""
            raise TooManyRejectedError(
                f"{self._rejected} of the last {self._records} records were rejected{last}, more than the share "
                f"{self._share:g} that dead_letters.stop_above allows: most likely the mapping or the schema is wrong; "
                f"nothing of the last batch was committed. Look at the dead letters with `prism dead-letters list "
                f"PIPELINE.toml`, mend the cause and start again"
            )
