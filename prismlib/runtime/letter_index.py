"""Where every dead letter of a pipeline is, and what became of it: about 50 bytes a letter, whatever its record's size.

One reading of the dead letter topic fills the index; letters themselves are read again when they are needed. Marks may
come before their letter, because partitions are read side by side.

Of several open letters of one record the newest stands for all: a crash between a new letter and the mark of its
predecessor, a record that was written twice, or a group that was set back leave such. They are settled together.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final, Literal, NamedTuple, TypeAlias

from prismlib.errors import ConfigError
from prismlib.plugin.hookspecs import StreamReader
from prismlib.records import Partition
from prismlib.runtime.dead_letters import Fate
from prismlib.runtime.letters import LetterId, Selection, StoredLetter, StoredMark, field_pattern, read_record

State: TypeAlias = Literal["open", "delivered", "dropped", "failed", "superseded"]
"""``failed``: retried, and a newer letter tells the rest. ``superseded``: open, and so is a newer letter of its record."""

STATES: Final[tuple[State, ...]] = ("open", "delivered", "dropped", "failed", "superseded")
_OPEN, _DELIVERED, _DROPPED, _FAILED, _SUPERSEDED = range(5)
_FATES: Final[Mapping[Fate, int]] = {"delivered": _DELIVERED, "dropped": _DROPPED, "failed": _FAILED}

MAX_REASONS: Final = 2_000
"""Reasons that are told apart; a field path made of values could be another one in every record."""


class Reason(NamedTuple):
    """What letters are grouped by; ``field`` is "" where there is none, and has no indexes."""

    topic: str
    stage: str
    code: str
    field: str


@dataclass(slots=True)
class Group:
    """Letters of one reason.

    Attributes:
        reason: what they have in common.
        sentence: what one of them says.
        example: the newest of them.
        counts: how many are in which state.
        first_ms, last_ms: when the first and the last of them were written, ms since the epoch.
        attempts: the highest count among them.
    """

    reason: Reason
    sentence: str
    example: LetterId
    counts: Counter[State]
    first_ms: int
    last_ms: int
    attempts: int


class Source(NamedTuple):
    """A partition of one incarnation of a topic: its letters are retried in the order of their offsets."""

    partition: Partition
    epoch: int


OTHER: Final = Reason("", "", "", "")
"""Stands for all reasons beyond MAX_REASONS."""


class LetterIndex:
    """Columns of what :func:`scan` found; a letter's row is its place in the order of reading."""

    def __init__(self, topic: str, pipeline: str, selection: Selection) -> None:
        """Start empty; ``topic`` is the dead letter topic."""
        self.topic = topic
        self.pipeline = pipeline
        self.strangers: Counter[str] = Counter()  # letters of other pipelines, by name
        self.unknown = 0  # records that Prism did not write
        self.ends: dict[int, int] = {}  # by partition of the dead letter topic: the offset after what was read
        self.sources: list[Source] = []
        self._selection = selection
        self._source_of: dict[Source, int] = {}
        self._reasons: dict[Reason, int] = {}
        self._sentences: list[str] = []
        self._rows_of: dict[int, array[int]] = {}  # by partition of the dead letter topic
        self._partition = array("i")
        self._offset = array("q")
        self._source = array("i")
        self._origin = array("q")
        self._size = array("i")
        self._reason = array("i")
        self._at = array("q")
        self._attempt = array("i")
        self._state = bytearray()
        self._wanted = bytearray()
        self._early = (array("i"), array("q"), bytearray())  # marks whose letter was not read yet
        self._older: dict[int, list[int]] = {}

    def __len__(self) -> int:
        return len(self._state)

    # --- filling -------------------------------------------------------------------------------------------------------

    def add(self, letter: StoredLetter) -> None:
        """Take in one letter."""
        if letter.pipeline != self.pipeline:
            if letter.pipeline in self.strangers or len(self.strangers) < MAX_REASONS:
                self.strangers[letter.pipeline] += 1
            return
        row = len(self)
        self._rows_of.setdefault(letter.id.partition, array("i")).append(row)
        self._partition.append(letter.id.partition)
        self._offset.append(letter.id.offset)
        source = Source(letter.origin, letter.epoch)
        known = self._source_of.get(source)
        if known is None:
            known = self._source_of[source] = len(self.sources)
            self.sources.append(source)
        self._source.append(known)
        self._origin.append(letter.offset)
        self._size.append(min(letter.size, (1 << 31) - 1))
        wanted = self._selection.takes(letter)
        self._reason.append(self._reason_of(letter, wanted=wanted))
        self._at.append(letter.last.at_ms)
        self._attempt.append(letter.last.attempt)
        self._state.append(_OPEN)
        self._wanted.append(wanted)

    def mark(self, mark: StoredMark) -> None:
        """Take in one mark."""
        row = self.find(mark.letter)
        if row is None:
            partitions, offsets, fates = self._early
            partitions.append(mark.letter.partition)
            offsets.append(mark.letter.offset)
            fates.append(_FATES[mark.fate])
        else:
            self._settle(row, _FATES[mark.fate])

    def finish(self) -> None:
        """All was read: settle what marks came early for, and let the newest letter of a record stand for all."""
        for partition, offset, fate in zip(*self._early, strict=True):
            row = self.find(LetterId(partition, offset))
            if row is not None:
                self._settle(row, fate)
        still_open = (row for row in range(len(self)) if self._state[row] == _OPEN)
        for _, rows in groupby(self._by_origin(still_open), key=lambda row: (self._source[row], self._origin[row])):
            same = sorted(rows, key=lambda row: (self._attempt[row], self._at[row], row))
            if len(same) > 1:
                self._older[same[-1]] = same[:-1]
                for row in same[:-1]:
                    self._state[row] = _SUPERSEDED

    def _settle(self, row: int, fate: int) -> None:
        if self._state[row] != _DELIVERED:  # of two operators one may have had the better mapping
            self._state[row] = fate

    def _reason_of(self, letter: StoredLetter, *, wanted: bool) -> int:
        last = letter.last
        reason = Reason(letter.origin.stream, last.stage, last.code, field_pattern(last.field))
        if reason not in self._reasons and len(self._reasons) >= MAX_REASONS:
            reason = OTHER
        number = self._reasons.setdefault(reason, len(self._reasons))
        if number == len(self._sentences):
            self._sentences.append(last.reason)
        elif wanted:
            self._sentences[number] = last.reason
        return number

    # --- asking --------------------------------------------------------------------------------------------------------

    def find(self, letter: LetterId) -> int | None:
        """The row of a letter, or None."""
        rows = self._rows_of.get(letter.partition)
        if rows is None:
            return None
        place = bisect_left(rows, letter.offset, key=self._offset.__getitem__)
        found = place < len(rows) and self._offset[rows[place]] == letter.offset
        return rows[place] if found else None

    def id(self, row: int) -> LetterId:
        """Where the letter is."""
        return LetterId(self._partition[row], self._offset[row])

    def state(self, row: int) -> State:
        """What became of it."""
        return STATES[self._state[row]]

    def is_settled(self, row: int) -> bool:
        """Whether a mark names it."""
        return self._state[row] in {_DELIVERED, _DROPPED, _FAILED}

    def size(self, row: int) -> int:
        """Bytes that the letter takes in memory, roughly."""
        return self._size[row]

    def source(self, row: int) -> Source:
        """Where its record comes from."""
        return self.sources[self._source[row]]

    def older(self, row: int) -> Sequence[int]:
        """Other open letters of the same record, which are settled with this one."""
        return self._older.get(row, ())

    def rows(self, *, settled: bool = False) -> array[int]:
        """The letters that were asked for, in the order of reading: open ones, and with ``settled`` the delivered, too."""
        states = {_OPEN, _DELIVERED, _DROPPED} if settled else {_OPEN}
        return array("i", (r for r in range(len(self)) if self._wanted[r] and self._state[r] in states))

    def in_order(self) -> array[int]:
        """The open letters that were asked for, so that those of one source follow the offsets of their records.

        Apart from that they stay close to the order of reading: a letter waits only for those that must come before it.
        """
        last: dict[int, int] = {}
        keys = []
        for rank, row in enumerate(self._by_origin(self.rows())):
            source = self._source[row]
            last[source] = max(row, last.get(source, 0))
            keys.append((last[source] << 32 | rank) << 32 | row)
        keys.sort()
        return array("i", (key & 0xFFFFFFFF for key in keys))

    def groups(self, *, settled: bool = False) -> list[Group]:
        """The letters that were asked for by reason, the largest group first."""
        groups: dict[int, Group] = {}
        reasons = list(self._reasons)
        for row in self.rows(settled=settled):
            number, at = self._reason[row], self._at[row]
            group = groups.get(number)
            if group is None:
                group = groups[number] = Group(
                    reasons[number], self._sentences[number], self.id(row), Counter(), at, at, 0
                )
            group.counts[self.state(row)] += 1
            if at >= group.last_ms:
                group.example = self.id(row)
            group.first_ms = min(group.first_ms, at)
            group.last_ms = max(group.last_ms, at)
            group.attempts = max(group.attempts, self._attempt[row])
        return sorted(groups.values(), key=lambda group: (-group.counts.total(), group.reason))

    def _by_origin(self, rows: Iterable[int]) -> Iterator[int]:
        """Rows by source, origin and row. One integer each: tuples would take three times the memory."""
        keys = sorted((self._source[row] << 63 | self._origin[row]) << 32 | row for row in rows)
        return (key & 0xFFFFFFFF for key in keys)

    def starts(self, rows: Iterable[int]) -> dict[Partition, int]:
        """Where reading must begin to find these letters, in each partition that has one of them."""
        starts: dict[Partition, int] = {}
        for row in rows:
            place = Partition(self.topic, self._partition[row])
            starts[place] = min(self._offset[row], starts.get(place, self._offset[row]))
        return starts

    # --- reading letters again -----------------------------------------------------------------------------------------

    def load(self, reader: StreamReader, rows: Sequence[int]) -> dict[int, StoredLetter]:
        """The letters of these rows; those that the topic no longer holds are left out. Raises RetryableError."""
        missing = set(rows)
        found: dict[int, StoredLetter] = {}
        for letter in read_letters(reader, self.starts(rows)):
            at = self.find(letter.id)
            if at is not None and at in missing:
                missing.discard(at)
                found[at] = letter
                if not missing:
                    break
        return found


def scan(
    reader: StreamReader,
    topic: str,
    pipeline: str,
    selection: Selection,
    progress: Callable[[int], None] = lambda _: None,
) -> LetterIndex:
    """Read a whole dead letter topic.

    Args:
        reader: open.
        topic: the dead letter topic.
        pipeline: whose letters; those of others in the same topic are counted and passed over.
        selection: which ones are asked for. All are kept: a newer letter of a record counts, whatever its reason.
        progress: told how many records were read so far.

    Raises:
        ConfigError: there is no such topic.
        RetryableError: the servers cannot be reached, or a transaction stays open.
    """
    index = LetterIndex(topic, pipeline, selection)
    read = 0
    for batches in reader.read(whole(reader, topic)):
        for batch in batches:
            for row in range(len(batch)):
                found = read_record(batch, row)
                if isinstance(found, StoredLetter):
                    index.add(found)
                elif found is not None:
                    index.mark(found)
                else:
                    index.unknown += 1
            index.ends[batch.partition.index] = batch.next_offset
            read += len(batch)
        progress(read)
    index.finish()
    return index


def look_for_marks(reader: StreamReader, index: LetterIndex) -> None:
    """Take in the marks that were written since; letters that are newer than the index stay out. Raises RetryableError."""
    places = reader.partitions(index.topic)
    for batches in reader.read({place: index.ends.get(place.index, 0) for place in places}):
        for batch in batches:
            for row in range(len(batch)):
                found = read_record(batch, row)
                if isinstance(found, StoredMark) and index.find(found.letter) is not None:
                    index.mark(found)
            index.ends[batch.partition.index] = batch.next_offset


def whole(reader: StreamReader, topic: str) -> dict[Partition, int]:
    """Where reading of a whole dead letter topic starts.

    Raises:
        ConfigError: there is no such topic.
        RetryableError: the servers cannot be reached.
    """
    partitions = reader.partitions(topic)
    if not partitions:
        raise ConfigError(
            f"the dead letter topic {topic} does not exist; create it with `prism setup PIPELINE.toml --yes`"
        )
    return dict.fromkeys(partitions, 0)


def read_letters(reader: StreamReader, starts: Mapping[Partition, int]) -> Iterator[StoredLetter]:
    """Letters from these places on, without marks and strange records. Raises RetryableError."""
    for batches in reader.read(starts):
        for batch in batches:
            for row in range(len(batch)):
                found = read_record(batch, row)
                if isinstance(found, StoredLetter):
                    yield found
