"""The types around a pair: what a reader and a writer have where one of them has a union."""

from __future__ import annotations

from prism_avro.schema import Array, Enum, Fixed, Map, Record, Type, Union, kind_of, short_name


class Around:
    """A reader's and a writer's type before their unions were taken apart."""

    __slots__ = ("_equivalent", "reader", "writer")

    def __init__(self, reader: Type, writer: Type) -> None:
        self.reader = reader
        self.writer = writer
        self._equivalent: bool | None = None

    def equivalent(self) -> bool:
        """Whether they are the same but for namespaces, aliases and all that is not on the wire. Found out once."""
        if self._equivalent is None:
            self._equivalent = _equivalent(self.reader, self.writer, set())
        return self._equivalent


def _equivalent(reader: Type, writer: Type, seen: set[tuple[int, int]]) -> bool:
    if kind_of(reader) != kind_of(writer):
        return False
    match reader, writer:
        case Union(), Union():
            return len(reader.branches) == len(writer.branches) and all(
                _equivalent(one, other, seen) for one, other in zip(reader.branches, writer.branches, strict=True)
            )
        case Array(), Array():
            return _equivalent(reader.items, writer.items, seen)
        case Map(), Map():
            return _equivalent(reader.values, writer.values, seen)
        case ((Record() | Enum() | Fixed()), (Record() | Enum() | Fixed())):
            return short_name(reader.name) == short_name(writer.name) and _same_inside(reader, writer, seen)
    return True


def _same_inside(reader: Type, writer: Type, seen: set[tuple[int, int]]) -> bool:
    match reader, writer:
        case Fixed(), Fixed():
            return reader.size == writer.size
        case Enum(), Enum():
            return reader.symbols == writer.symbols
        case Record(), Record():
            key = (id(reader), id(writer))
            if key in seen:
                return True
            seen.add(key)
            return len(reader.fields) == len(writer.fields) and all(
                one.name == other.name and _equivalent(one.type, other.type, seen)
                for one, other in zip(reader.fields, writer.fields, strict=True)
            )
    return False
