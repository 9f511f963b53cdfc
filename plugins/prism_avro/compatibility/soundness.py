"""What a decoder can do without, and a schema that is to be released cannot: names and defaults as Avro Java checks them."""

from __future__ import annotations

from collections.abc import Iterator

from prism_avro.compatibility.defaults import Defaults
from prism_avro.compatibility.pairs import Place
from prism_avro.names import shown
from prism_avro.schema import PRIMITIVES, Array, Enum, Fixed, Map, Primitive, Record, Type, Union, describe

_MAX_SIZE = (1 << 31) - 1


def faults(root: Type) -> Iterator[tuple[str, str]]:
    """Path and reason of everything that would make Avro Java refuse a schema that was parsed."""
    judge = Defaults(strict=False)
    seen: set[int] = set()
    waiting: list[tuple[Type, Place]] = [(root, Place())]
    while waiting:
        schema, place = waiting.pop()
        match schema:
            case Record() | Enum() | Fixed() if id(schema) not in seen:
                seen.add(id(schema))
                yield from ((place.path, reason) for reason in _named(schema))
                if isinstance(schema, Record):
                    waiting.extend(
                        (one.type, place.below(one))
                        for one in reversed(schema.fields)
                        if not isinstance(one.type, Primitive)
                    )
                    for one in schema.fields:
                        if not _is_name(one.name):
                            yield place.below(one).path, _bad_name(one.name)
                        if one.has_default and not judge.fits_field(one):
                            kind = shown(describe(one.type))
                            yield place.below(one).path, f"the default of {shown(one.name)!r} is not a value of {kind}"
            case Array():
                waiting.append((schema.items, place.step("items")))
            case Map():
                waiting.append((schema.values, place.step("values")))
            case Union():
                waiting.extend((branch, place) for branch in reversed(schema.branches))
            case _:
                pass


def _named(schema: Record | Enum | Fixed) -> Iterator[str]:
    *space, name = schema.name.split(".")
    if name in PRIMITIVES:
        yield f"a type cannot be named {name!r}, which is a type of Avro"
    for part in (name, *space):
        if not _is_name(part):
            yield _bad_name(part)
    for alias in sorted(schema.aliases):
        if not all(map(_is_name, alias.split("."))):
            yield _bad_name(alias)
    if isinstance(schema, Enum):
        yield from (_bad_name(symbol) for symbol in schema.symbols if not _is_name(symbol))
    if isinstance(schema, Fixed) and schema.size > _MAX_SIZE:
        yield f"the size of {shown(schema.name)} is more than {_MAX_SIZE:,}"


def _is_name(text: str) -> bool:
    if text.isascii():
        return text.isidentifier()
    # the letters and digits of Java's Character, which are fewer than those of Python's identifiers
    return not text[0].isdecimal() and all(one == "_" or one.isalpha() or one.isdecimal() for one in text)


def _bad_name(text: str) -> str:
    return f"{shown(text)!r} is no name: letters, digits and _ only, and no digit first"
