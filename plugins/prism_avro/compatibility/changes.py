"""What differs between two versions, for people: breaking or not, in the order of the newer one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prism_avro.compatibility.pairs import Place
from prism_avro.compatibility.wording import json_text, logical
from prism_avro.names import shown
from prism_avro.schema import Array, Enum, Field, Fixed, Map, Primitive, Record, Type, Union, kind_of, short_name
from prismlib.contracts.format import Change


def changes(old: Type, new: Type) -> Iterator[Change]:
    """Everything that differs, each thing where it is."""
    return _Comparison().types(old, new, Place())


class _Comparison:
    def __init__(self) -> None:
        self._seen: set[tuple[int, int]] = set()

    def types(self, old: Type, new: Type, place: Place) -> Iterator[Change]:
        if _own(old) != _own(new):
            yield Change("changed", place.path, _text(old), _text(new))
        match old, new:
            case Array(), Array():
                yield from self.types(old.items, new.items, place.step("items"))
            case Map(), Map():
                yield from self.types(old.values, new.values, place.step("values"))
            case ((Record() | Enum() | Fixed()), (Record() | Enum() | Fixed())) if type(old) is type(new):
                yield from self._named(old, new, place)
            case _ if isinstance(old, Union) or isinstance(new, Union):
                yield from self._branches(old, new, place)

    def _branches(self, old: Type, new: Type, place: Place) -> Iterator[Change]:
        """The insides of what two unions, or a union and a type that became one, have in common."""
        before = {_label(one): one for one in (old.branches if isinstance(old, Union) else (old,))}
        after = {_label(one): one for one in (new.branches if isinstance(new, Union) else (new,))}
        several = sum(1 for label in after if label != "null") > 1
        for label, one in after.items():
            if label in before:
                yield from self.types(before[label], one, place.step(label) if several else place)

    def _named(self, old: Record | Enum | Fixed, new: Record | Enum | Fixed, place: Place) -> Iterator[Change]:
        if (id(old), id(new)) in self._seen:
            return
        self._seen.add((id(old), id(new)))
        if old.name != new.name:
            yield Change("renamed", place.path, old.name, new.name)
        yield from _texts(place, _aliases(old.aliases), _aliases(new.aliases))
        yield from _texts(place, _doc(old.doc), _doc(new.doc))
        match old, new:
            case Record(), Record():
                yield from self._fields(old, new, place)
            case Enum(), Enum():
                yield from _symbols(old, new, place)
                yield from _texts(
                    place, *(f"default {one.default}" if one.default else "no default" for one in (old, new))
                )
            case _:
                pass

    def _fields(self, old: Record, new: Record, place: Place) -> Iterator[Change]:
        before = {one.name: one for one in old.fields}
        after = {one.name: one for one in new.fields}
        origin = {
            one.name: alias
            for one in new.fields
            if one.name not in before
            for alias in one.aliases
            if alias in before and alias not in after
        }
        now = {old_name: new_name for new_name, old_name in origin.items()}
        names = [now.get(one.name, one.name) for one in old.fields]
        kept = [name for name in names if name in after]
        known = set(kept)
        order = [one.name for one in new.fields if one.name in known]
        if kept != order:
            yield Change("moved", place.step("fields").path, shown(", ".join(kept)), shown(", ".join(order)))
        for name in _merged(names, list(after)):
            source = before.get(origin.get(name, name))
            if name not in after:
                yield Change("removed", place.below(before[name]).path, _field(before[name]), "")
            elif source is None:
                yield Change("added", place.below(after[name]).path, "", _field(after[name]))
            else:
                yield from self._both(source, after[name], place.below(after[name]))

    def _both(self, old: Field, new: Field, place: Place) -> Iterator[Change]:
        if old.name != new.name:
            yield Change("renamed", place.path, old.name, new.name)
        yield from self.types(old.type, new.type, place)
        yield from _texts(place, _default(old), _default(new))
        yield from _texts(place, _aliases(old.aliases), _aliases(new.aliases))
        yield from _texts(place, _doc(old.doc), _doc(new.doc))


def _symbols(old: Enum, new: Enum, place: Place) -> Iterator[Change]:
    before, after = set(old.symbols), set(new.symbols)
    for symbol in _merged(old.symbols, new.symbols):
        path = place.step("symbols").step(symbol).path
        if symbol not in after:
            yield Change("removed", path, symbol, "")
        elif symbol not in before:
            yield Change("added", path, "", symbol)


def _merged(old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    """The names of both, in the order of the new, and the others behind what they stood behind."""
    gone: dict[str, list[str]] = {"": []}
    last = ""
    kept = set(new)
    for name in old:
        if name in kept:
            last = name
        else:
            gone.setdefault(last, []).append(name)
    yield from gone[""]
    for name in new:
        yield name
        yield from gone.get(name, ())


def _texts(place: Place, before: str, after: str) -> Iterator[Change]:
    if before != after:
        yield Change("changed", place.path, before, after)


def _label(schema: Type) -> str:
    return short_name(schema.name) if isinstance(schema, Record | Enum | Fixed) else kind_of(schema)


def _own(schema: Type) -> object:
    """What is not said by the parts of a type."""
    if isinstance(schema, Union):
        return [_label(one) for one in schema.branches]
    size = schema.size if isinstance(schema, Fixed) else 0
    return kind_of(schema), logical(schema), size


def _text(schema: Type) -> str:
    """A type in a few words: ``null | long (timestamp-millis)``, ``array of Line``, ``enum Kind``."""
    match schema:
        case Union():
            text = " | ".join(_text(one) for one in schema.branches[:8])
            return f"{text} | ..." if len(schema.branches) > 8 else text
        case Array():
            text = f"array of {_text(schema.items)}"
        case Map():
            text = f"map of {_text(schema.values)}"
        case Fixed():
            text = f"fixed {_label(schema)}, {schema.size} bytes"
        case Record() | Enum():
            text = f"{kind_of(schema)} {_label(schema)}"
        case Primitive():
            text = schema.kind
    return f"{text} ({logical(schema)})" if logical(schema) else text


def _field(field: Field) -> str:
    return f"{_text(field.type)} = {json_text(field.default)}" if field.has_default else _text(field.type)


def _default(field: Field) -> str:
    return f"default {json_text(field.default)}" if field.has_default else "no default"


def _aliases(aliases: frozenset[str] | tuple[str, ...]) -> str:
    return "aliases " + shown(", ".join(sorted(aliases))) if aliases else "no aliases"


def _doc(doc: str) -> str:
    return f"doc {shown(json_text(doc))}" if doc else "no doc"
