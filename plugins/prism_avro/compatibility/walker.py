"""Goes through a reader and a writer together, as a decoder would, and yields what meets: pairs for the rules.

Records are walked in the order in which they are met, each pair of them once: what is wrong inside is reported at the
shortest path that leads there, and a schema that contains itself comes to an end.

Which branch of a reader's union takes a value is what decoders decide: the type of the very name or kind, then one that
matches by its short name or an alias, then one that it can be promoted to. Only where several records of one short name
are left is each tried, and the first taken that can read the writer's. What such a trial has seen counts only if it succeeds:
it rests on pairs that are not looked through yet, and must not clear them for a later question.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from prism_avro.compatibility.around import Around
from prism_avro.compatibility.defaults import Comparison
from prism_avro.compatibility.pairs import Fields, Met, Mismatched, Pair, Place
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
    kind_of,
    short_name,
)
from prismlib.errors import ContractError

_MAX_PAIRS: Final = 300_000
"""Or what takes as long: four fields, fifty symbols, one branch that is looked at."""


def pairs(reader: Type, writer: Type, breaks: Callable[[Pair], bool]) -> Iterator[Pair]:
    """Everything that meets when ``reader`` reads what ``writer`` writes, save what nothing can be wrong with.

    That is by far the most, and is passed over here: what is the same on both sides, and fields of one name without aliases or
    two defaults that may differ.

    Args:
        reader: its root.
        writer: its root.
        breaks: whether a pair keeps a record from being read; asked only to choose between branches of a union.

    Raises:
        ContractError: there are too many pairs to be looked at.
    """
    return _Walk(breaks).run(reader, writer, Place())


def same_name(reader: Record | Enum | Fixed, writer: Record | Enum | Fixed) -> bool:
    """Whether the named types match: by the name without namespace, or by an alias of the reader's with it."""
    return short_name(reader.name) == short_name(writer.name) or writer.name in reader.aliases


class _Walk:
    def __init__(self, breaks: Callable[[Pair], bool]) -> None:
        self._breaks = breaks
        self._seen: set[tuple[int, int]] = set()
        self._records: deque[tuple[Record, Record, Place]] = deque()
        self._unreadable: set[tuple[int, int]] = set()
        self._defaults = Comparison()
        self._left = _MAX_PAIRS

    def run(self, reader: Type, writer: Type, place: Place) -> Iterator[Pair]:
        yield from self._types(reader, writer, place)
        while self._records:
            yield from self._fields(*self._records.popleft())

    def _types(self, reader: Type, writer: Type, place: Place) -> Iterator[Pair]:
        if _is_plain(reader, writer):
            return
        if not isinstance(reader, Union) and not isinstance(writer, Union):
            yield from self._one(reader, writer, place, Around(reader, writer))
            return
        readers = reader.branches if isinstance(reader, Union) else (reader,)
        writers = writer.branches if isinstance(writer, Union) else (writer,)
        around = Around(reader, writer)
        same = {_label(one): one for one in readers}
        several = len(same) - (("null", "") in same) > 1
        renamed = _renamed(readers, writers)
        for one in writers:
            taken = same.get(_label(one)) or renamed.get(id(one)) or self._branch(readers, one)
            if taken is None:
                yield Mismatched(reader, one, place, branch=isinstance(writer, Union))
            elif not _is_plain(taken, one):
                yield from self._one(taken, one, _into(place, taken) if several else place, around)

    def _one(self, reader: Type, writer: Type, place: Place, around: Around) -> Iterator[Pair]:
        self._spend(1)
        if not _same_kind(reader, writer):
            yield Mismatched(reader, writer, place, branch=False)
            return
        if not _alike(reader, writer):
            yield Met(reader, writer, place, around)
        match reader, writer:
            case Record(), Record():
                key = (id(reader), id(writer))
                if key not in self._seen:
                    self._seen.add(key)
                    self._records.append((reader, writer, place))
            case Array(), Array():
                yield from self._types(reader.items, writer.items, place.step("items"))
            case Map(), Map():
                yield from self._types(reader.values, writer.values, place.step("values"))
            case Enum(), Enum():
                self._spend((len(reader.symbols) + len(writer.symbols)) // 50)
            case _:
                pass

    def _fields(self, reader: Record, writer: Record, place: Place) -> Iterator[Pair]:
        self._spend((len(reader.fields) + len(writer.fields)) // 4)
        records = (reader, writer)
        written = {one.name: one for one in writer.fields}
        renamed = {alias: one.name for one in writer.fields for alias in one.aliases}
        aliased = any(one.aliases for one in reader.fields)
        claims: dict[str, Field] = {}
        for one in reader.fields:
            here = place.below(one)
            if aliased:
                found = tuple(written[name] for name in (one.name, *one.aliases) if name in written)
            else:
                found = (written[one.name],) if one.name in written else ()
            if aliased or not found or _may_differ(one, found[0]):
                claimed = claims.get(found[0].name) if found else None
                yield Fields(one, found, claimed, renamed.get(one.name, ""), records, self._defaults, here)
            if found:
                claims.setdefault(found[0].name, one)
                yield from self._types(one.type, found[0].type, here)

    def _branch(self, readers: Sequence[Type], writer: Type) -> Type | None:
        """The branch that a decoder reads ``writer`` with, where none is of the very kind or name."""
        self._spend(len(readers))
        matching = [one for one in readers if _same_kind(one, writer) and _could_be(one, writer)]
        if len(matching) < 2 or isinstance(writer, Primitive):
            return matching[0] if matching else None
        return next((one for one in matching if self._reads(one, writer)), matching[0])

    def _reads(self, reader: Type, writer: Type) -> bool:
        """Whether a branch could read the writer's, tried aside."""
        key = (id(reader), id(writer))
        if key in self._unreadable:
            return False
        trial = _Walk(self._breaks)
        trial._seen = set(self._seen)
        trial._unreadable = self._unreadable
        trial._defaults = self._defaults
        self._spend(len(self._seen))
        trial._left = self._left
        found = any(map(self._breaks, trial.run(reader, writer, Place())))
        self._left = trial._left
        if found:
            # although all that is still open counted as readable: so it holds for good
            self._unreadable.add(key)
        return not found

    def _spend(self, pairs: int) -> None:
        self._left -= pairs
        if self._left < 0:
            raise ContractError(f"the schemas are too large to be compared: more than {_MAX_PAIRS:,} pairs of types")


def _is_plain(reader: Type, writer: Type) -> bool:
    """Whether both are the same primitive, or unions of the same in the same order: nothing can be wrong with these."""
    if isinstance(reader, Primitive):
        return reader is writer or (isinstance(writer, Primitive) and _same_primitive(reader, writer))
    return (
        isinstance(reader, Union)
        and isinstance(writer, Union)
        and len(reader.branches) == len(writer.branches)
        and all(
            isinstance(one, Primitive)
            and (one is other or (isinstance(other, Primitive) and _same_primitive(one, other)))
            for one, other in zip(reader.branches, writer.branches, strict=True)
        )
    )


def _alike(reader: Type, writer: Type) -> bool:
    """Whether they are the same apart from their parts, which are pairs of their own."""
    match reader, writer:
        case Record(), Record():
            return reader.name == writer.name and reader.annotation == writer.annotation
        case Enum(), Enum():
            return (
                reader.name == writer.name
                and reader.symbols == writer.symbols
                and reader.annotation == writer.annotation
            )
        case Array(), Array():
            return reader.annotation == writer.annotation
        case Map(), Map():
            return reader.annotation == writer.annotation
    return False


def _may_differ(reader: Field, writer: Field) -> bool:
    """Whether both have a default, and not null both, as by far the most have it."""
    return reader.has_default and writer.has_default and not (reader.default is None and writer.default is None)


def _same_primitive(reader: Primitive, writer: Primitive) -> bool:
    return (
        reader.kind == writer.kind
        and reader.logical == writer.logical
        and reader.precision == writer.precision
        and reader.scale == writer.scale
        and reader.annotation == writer.annotation
    )


def _into(place: Place, taken: Type) -> Place:
    """Inside a branch, which is named where there are several besides null."""
    return place.step(short_name(taken.name) if isinstance(taken, Record | Enum | Fixed) else kind_of(taken))


def _renamed(readers: Sequence[Type], writers: Sequence[Type]) -> dict[int, Type]:
    """Branches that most likely were renamed: the only named ones of their kind that match none, on either side."""
    found: dict[int, Type] = {}
    for kind in (Record, Enum, Fixed):
        of_reader = [one for one in readers if isinstance(one, kind)]
        of_writer = [one for one in writers if isinstance(one, kind)]
        if not of_reader or not of_writer:
            continue
        known = {short_name(one.name) for one in of_reader}
        aliases = {alias for one in of_reader for alias in one.aliases}
        wanted = {short_name(one.name) for one in of_writer}
        full = {one.name for one in of_writer}
        new = [one for one in of_writer if short_name(one.name) not in known and one.name not in aliases]
        old = [one for one in of_reader if short_name(one.name) not in wanted and not one.aliases & full]
        if len(new) == len(old) == 1:
            found[id(new[0])] = old[0]
    return found


def _same_kind(reader: Type, writer: Type) -> bool:
    if isinstance(reader, Primitive) and isinstance(writer, Primitive):
        return reader.kind == writer.kind or (writer.kind, reader.kind) in PROMOTIONS
    return type(reader) is type(writer)


def _could_be(reader: Type, writer: Type) -> bool:
    """Whether two types of one kind match in a union."""
    if isinstance(reader, Record | Enum | Fixed) and isinstance(writer, Record | Enum | Fixed):
        return same_name(reader, writer)
    return True


def _label(schema: Type) -> tuple[str, str]:
    """What tells the branches of a union apart."""
    return kind_of(schema), schema.name if isinstance(schema, Record | Enum | Fixed) else ""
