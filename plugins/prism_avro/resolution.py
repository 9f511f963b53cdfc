"""Schema resolution: from a writer, a reader and what is read of it to a plan that has no questions left.

Rules: https://avro.apache.org/docs/1.12.0/specification/#schema-resolution. Two choices where it leaves room: named types
match by their name without namespace or by an alias, and in a union of the reader a branch of the very type that was
written comes before one that it could be promoted to, so that a long never becomes a float by the order of branches. Of several
records that match by their short names only, the first is taken that can read what is written.

A field that is not read need not resolve: it is skipped as it was written. A branch of the writer's union, or a symbol of
its enum, for which the reader has no place makes only those records unreadable that hold it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from prism_avro.defaults import default_of
from prism_avro.projection import Projection
from prism_avro.schema import (
    PROMOTIONS,
    Array,
    Enum,
    Field,
    Fixed,
    Map,
    Primitive,
    Record,
    Type,
    Union,
    describe,
    short_name,
)


class UnresolvableError(Exception):
    """The reader cannot read what the writer writes.

    Attributes:
        path: the field, as the reader calls it; "" for the root.
        reason: a clause that goes on after the field.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"field {path!r} {reason}" if path else f"the root {reason}")
        self.path = path
        self.reason = reason


@dataclass(slots=True, eq=False)
class ReadValue:
    """A primitive or fixed value as written, given as the reader's ``kind``; ``scale`` is the writer's where both know it."""

    writer: Primitive | Fixed
    kind: str
    logical: str
    scale: int


@dataclass(slots=True, eq=False)
class ReadEnum:
    """Symbols by the writer's index, and why a symbol is unreadable."""

    symbols: dict[int, str]
    unreadable: dict[int, str]


@dataclass(slots=True, eq=False)
class ReadArray:
    """Blocks of items."""

    writer: Array
    items: Plan


@dataclass(slots=True, eq=False)
class ReadMap:
    """Blocks of keys and values."""

    writer: Map
    values: Plan


@dataclass(slots=True, eq=False)
class Unreadable:
    """What makes a record unreadable once it turns up."""

    reason: str


@dataclass(slots=True, eq=False)
class ReadUnion:
    """One plan for each branch of the writer's union."""

    branches: tuple[Plan, ...]


@dataclass(slots=True, eq=False)
class Step:
    """One field of the writer's record: read into ``target`` by ``plan``, or skipped when that is None."""

    writer: Field
    target: str = ""
    plan: Plan | None = None


@dataclass(slots=True, eq=False)
class ReadRecord:
    """Steps in the writer's order, and the row they make in the reader's.

    Attributes:
        steps: one for each field of the writer.
        row: the fields of the row.
        defaults: values of those that the writer does not write.
    """

    steps: list[Step] = field(default_factory=list)
    row: list[str] = field(default_factory=list)
    defaults: dict[str, Any] = field(default_factory=dict)


Plan: TypeAlias = ReadValue | ReadEnum | ReadArray | ReadMap | ReadUnion | ReadRecord | Unreadable


def resolve(writer: Type, reader: Type, projection: Projection) -> Plan:
    """Plan how to read ``projection`` of ``reader`` from what ``writer`` wrote.

    Raises:
        UnresolvableError: that is not possible for any record.
        SchemaParseError: a default that is needed is not a value of its type.
    """
    return _Resolver().resolve(writer, reader, projection, "")


class _Resolver:
    def __init__(self) -> None:
        # insertion order matters: what was resolved while a record was open may rest on it, and goes when it fails
        self._records: dict[tuple[int, int, Projection], ReadRecord | UnresolvableError] = {}

    def resolve(self, writer: Type, reader: Type, projection: Projection, path: str) -> Plan:
        if isinstance(writer, Union):
            return self._writer_union(writer, reader, projection, path)
        if isinstance(reader, Union):
            return self._reader_union(writer, reader, projection, path)
        if not _same_kind(writer, reader):
            raise UnresolvableError(path, f"is written as {describe(writer)} and read as {describe(reader)}")
        match writer, reader:
            case Record(), Record():
                return self._record(writer, reader, projection, path)
            case Array(), Array():
                return ReadArray(writer, self.resolve(writer.items, reader.items, projection, path))
            case Map(), Map():
                return ReadMap(writer, self.resolve(writer.values, reader.values, projection, path))
            case Enum(), Enum():
                return _enum(writer, reader, path)
            case (Primitive() | Fixed()) as written, (Primitive() | Fixed()) as read:
                return _value(written, read)
        raise AssertionError(f"{describe(writer)} and {describe(reader)} are of one kind")

    def _writer_union(self, writer: Union, reader: Type, projection: Projection, path: str) -> ReadUnion:
        branches: list[Plan] = []
        for branch in writer.branches:
            try:
                branches.append(self.resolve(branch, reader, projection, path))
            except UnresolvableError as error:
                branches.append(Unreadable(str(error)))
        if all(isinstance(branch, Unreadable) for branch in branches):
            raise UnresolvableError(path, f"is written as {describe(writer)} and read as {describe(reader)}")
        return ReadUnion(tuple(branches))

    def _reader_union(self, writer: Type, reader: Union, projection: Projection, path: str) -> Plan:
        """The branch of the very type, or the first of those that match which can read ``writer``."""
        matching = sorted(
            (branch for branch in reader.branches if _same_kind(writer, branch)),
            key=lambda branch: _distance(writer, branch),
        )
        if not matching:
            raise UnresolvableError(path, f"is written as {describe(writer)} and read as {describe(reader)}")
        if _distance(writer, matching[0]) == 0:
            return self.resolve(writer, matching[0], projection, path)
        fault = None
        for branch in matching:
            try:
                return self.resolve(writer, branch, projection, path)
            except UnresolvableError as error:
                fault = fault or error
        raise fault or AssertionError("there is a branch that matches")

    def _record(self, writer: Record, reader: Record, projection: Projection, path: str) -> ReadRecord:
        key = (id(writer), id(reader), projection)
        known = self._records.get(key)
        if isinstance(known, UnresolvableError):
            raise UnresolvableError(known.path, known.reason)
        if known is not None:
            return known
        opened = len(self._records)
        plan = self._records[key] = ReadRecord()
        try:
            self._fill(plan, writer, reader, projection, path)
        except UnresolvableError as error:
            for later in list(self._records)[opened:]:
                del self._records[later]
            self._records[key] = error
            raise
        return plan

    def _fill(self, plan: ReadRecord, writer: Record, reader: Record, projection: Projection, path: str) -> None:
        written = {one.name: one for one in writer.fields}
        targets: dict[str, tuple[Field, Projection]] = {}
        for one in reader.fields:
            below = projection.of(one.name)
            if below is None:
                continue
            plan.row.append(one.name)
            name = next((n for n in (one.name, *one.aliases) if n in written and n not in targets), None)
            if name is not None:
                targets[name] = one, below
            elif one.has_default:
                plan.defaults[one.name] = default_of(one, below)
            else:
                raise UnresolvableError(_join(path, one.name), "is read, has no default and is not written")
        for source in writer.fields:
            if source.name not in targets:
                plan.steps.append(Step(source))
                continue
            one, below = targets[source.name]
            inner = self.resolve(source.type, one.type, below, _join(path, one.name))
            plan.steps.append(Step(source, one.name, inner))


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _distance(writer: Type, reader: Type) -> int:
    if isinstance(writer, Primitive) and isinstance(reader, Primitive):
        return int(writer.kind != reader.kind)
    if isinstance(writer, Record | Enum | Fixed) and isinstance(reader, Record | Enum | Fixed):
        return int(writer.name != reader.name)
    return 0


def _same_kind(writer: Type, reader: Type) -> bool:
    """Whether the two match as far as Avro compares them without looking inside."""
    if isinstance(writer, Primitive) and isinstance(reader, Primitive):
        return writer.kind == reader.kind or (writer.kind, reader.kind) in PROMOTIONS
    if isinstance(writer, Fixed) and isinstance(reader, Fixed):
        return writer.size == reader.size and _same_name(writer, reader)
    if isinstance(writer, Record) and isinstance(reader, Record):
        return _same_name(writer, reader)
    if isinstance(writer, Enum) and isinstance(reader, Enum):
        return _same_name(writer, reader)
    return type(writer) is type(reader)


def _same_name(writer: Record | Enum | Fixed, reader: Record | Enum | Fixed) -> bool:
    if short_name(writer.name) == short_name(reader.name) or writer.name in reader.aliases:
        return True
    return short_name(writer.name) in {short_name(alias) for alias in reader.aliases}


def _enum(writer: Enum, reader: Enum, path: str) -> ReadEnum:
    plan = ReadEnum({}, {})
    for index, symbol in enumerate(writer.symbols):
        if symbol in reader.symbols:
            plan.symbols[index] = symbol
        elif reader.default is not None:
            plan.symbols[index] = reader.default
        else:
            plan.unreadable[index] = (
                f"field {path!r} holds the symbol {symbol!r}, which the reader's {describe(reader)} does not know"
            )
    if not plan.symbols:
        raise UnresolvableError(path, f"has no symbol that the reader's {describe(reader)} knows")
    return plan


def _value(writer: Primitive | Fixed, reader: Primitive | Fixed) -> ReadValue:
    kind = reader.kind if isinstance(reader, Primitive) else "fixed"
    # the writer's scale says what the digits mean; a reader that knows no decimal asked for the bytes
    scale = writer.scale if writer.logical == "decimal" else reader.scale
    return ReadValue(writer, kind, reader.logical, scale)
