"""What became of a schema while a route was reading it, and the report of it: who is paged at night reads this first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from prismlib.contracts.format import Change
from prismlib.contracts.registry import RegisteredSchema

MOST_LISTED: Final = 12
"""Things of one kind that a report lists; of more it says how many there are."""
_WORD: Final = 110
"""Characters of one description of a change: one can be a whole schema."""


class SchemaName(NamedTuple):
    """Which schema, without its text."""

    id: int
    subject: str
    version: int

    @classmethod
    def of(cls, registered: RegisteredSchema) -> SchemaName:
        """The name of a registered schema."""
        return cls(registered.id, registered.subject, registered.version)

    def __str__(self) -> str:
        known = f"{self.subject} version {self.version} " if self.subject else ""
        return f"{known}(schema id {self.id})" if known else f"schema id {self.id}"


@dataclass(frozen=True, slots=True)
class Break:
    """One thing that a route reads and does not find as it reads it.

    Attributes:
        rule: id and name of the rule, such as ``"AVR001 type-changed"``.
        field: dotted path, "" for the whole record.
        message: one sentence that names both sides.
        instead: what the producer should have done instead.
    """

    rule: str
    field: str
    message: str
    instead: str


@dataclass(frozen=True, slots=True)
class SchemaDrift:
    """A schema that is written now, against what a route reads.

    Attributes:
        writer: the schema that is written.
        last: the newest one that the route has read, or else its reader schema.
        reader: the one that the route's rows are shaped by.
        breaks: what keeps the route from reading it.
        changes: everything that differs from ``last``, for people.
        older: the writer's version was released before the reader's.
    """

    writer: SchemaName
    last: SchemaName
    reader: SchemaName
    breaks: Sequence[Break]
    changes: Sequence[Change]
    older: bool = False

    @property
    def sentence(self) -> str:
        """The whole in one sentence, without its beginning and end."""
        first = self.breaks[0]
        others = f", and {len(self.breaks) - 1} more" if len(self.breaks) > 1 else ""
        return f"{first.message} ({first.rule}){others}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a route met it.

    Attributes:
        topic: of the route.
        partition: number of the partition.
        offset: of the first record that is not read.
        since: the record's time, for people, or "".
        uses: which keys of which file read a field, by dotted path of the field.
    """

    topic: str
    partition: int
    offset: int
    since: str
    uses: Mapping[str, Sequence[str]]

    def readers_of(self, field: str) -> list[str]:
        """The keys that read a field, what is inside it, or it with what is around it."""
        return [
            key
            for read, keys in self.uses.items()
            if read in ("*", field) or not field or read.startswith(f"{field}.") or field.startswith(f"{read}.")
            for key in keys
        ]


def report(drift: SchemaDrift, place: Place) -> str:
    """All that somebody needs to decide, on one screen."""
    written = f" of {place.since}" if place.since else ""
    lines = [
        f"topic {place.topic}, partition {place.partition}: the record at offset {place.offset}{written} waits, and all after it",
        f"  written with  {drift.writer}",
        f"  last read     {drift.last}",
    ]
    if drift.reader != drift.last:
        lines.append(f"  read as       {drift.reader}")
    missed = "means something else there" if drift.older else "is not there any more as it is read"
    lines += ["", f"What is read and {missed}:"]
    for one in drift.breaks[:MOST_LISTED]:
        lines += [f"  {one.rule}: {one.field or 'the record'}", f"      {one.message}"]
        lines += [f"      read by {key}" for key in place.readers_of(one.field)[:MOST_LISTED]]
    lines += _more(len(drift.breaks))
    lines += ["", f"All that {'is otherwise than in' if drift.older else 'changed since'} {drift.last}:"]
    lines += [f"  {_changed(change)}" for change in drift.changes[:MOST_LISTED]] or ["  nothing that this format lists"]
    lines += _more(len(drift.changes))
    lines += ["", *_next_steps(drift)]
    return "\n".join(lines)


def difference_command(drift: SchemaDrift) -> str:
    """What to run to see both schemas."""
    if drift.writer.subject and drift.writer.subject == drift.last.subject:
        return f"prism schema diff {drift.writer.subject} {drift.last.version} {drift.writer.version}"
    if drift.writer.subject:
        return f"prism schema show {drift.writer.subject} {drift.writer.version}"
    return "prism check PIPELINE.toml"


def _next_steps(drift: SchemaDrift) -> list[str]:
    version = drift.writer.version or "N"
    if drift.older:
        return [
            "What to do; running workers notice it, go on by themselves and skip nothing:",
            f"  see both      {difference_command(drift)}",
            f"  read them     set version = {version} in the route's `decode`, with a mapping that fits it, until these records are",
            "                read; records of newer schemas pause the route then, and setting it back lets it go on",
            '  leave them    set on_drift = "dead_letter" until they are past',
        ]
    return [
        "What to do; running workers notice it, go on by themselves and skip nothing:",
        f"  see both      {difference_command(drift)}",
        "  it is meant   change the mapping so that it reads the new schema; where nothing in it has to change, or only",
        f"                Python code has, set version = {version} in the route's `decode`; then `prism check PIPELINE.toml`",
        "  a mistake     let the producer go back and register the old schema again; for what is written already, set",
        '                on_drift = "dead_letter" until it is past, and retry it later with `prism dead-letters retry`',
        f"  hint          {drift.breaks[0].instead}",
    ]


def _changed(change: Change) -> str:
    before, after = _cut(change.before), _cut(change.after)
    match change.kind:
        case "added":
            return f"added    {change.path}: {after}"
        case "removed":
            return f"removed  {change.path}: {before}"
    return f"{change.kind:<8} {change.path}: {before} -> {after}"


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _WORD else f"{text[: _WORD - 3]}..."


def _more(count: int) -> list[str]:
    return [f"  and {count - MOST_LISTED} more"] if count > MOST_LISTED else []
