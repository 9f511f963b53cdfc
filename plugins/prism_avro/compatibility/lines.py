"""Where in a schema text something stands. Imported only where a person is told so."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from prism_avro.names import defines, definitions, full_name, keys_of
from prism_avro.schema import PRIMITIVES
from prismlib.contracts.json_text import locate

Keys: TypeAlias = "tuple[str | int, ...]"


def position(text: str, keys: Sequence[str | int]) -> tuple[int, int]:
    """Line and column, both from 1, of what the keys and indexes lead to in a JSON text."""
    _, start = locate(text, keys)
    return text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start)


def line_of(text: str, path: str) -> int | None:
    """The line, from 1, on which the thing at a path such as ``/fields/lines/items/fields/sku`` is defined.

    A field and a named type are where their name is. None where the text has no such thing, also when it only imports it.
    """
    root = json.loads(text)
    known = {name: (schema, space, tuple(keys_of(at))) for name, schema, space, at in definitions(root)}
    places: list[_Place] = [(root, "", ())]
    steps = iter([step for step in path.split("/") if step])
    for step in steps:
        parts = [step, next(steps, "")] if step in {"fields", "symbols"} else [step]
        places = [found for place in _resolved(places, known) for found in _below(place, parts)]
    if not places:
        return None
    value, _, keys = places[0]
    if isinstance(value, dict) and isinstance(value.get("name"), str):
        keys = (*keys, "name")
    return position(text, keys)[0]


_Place: TypeAlias = "tuple[Any, str, Keys]"
"""A piece of the JSON, the namespace around it, and the keys that lead to it."""


def _resolved(places: Sequence[_Place], known: dict[str, _Place]) -> Iterator[_Place]:
    """The types that a place stands for: behind names, and the branches of unions."""
    for value, space, keys in places:
        if isinstance(value, dict) and "name" in value and "type" in value and not defines(value):
            yield from _resolved([(value["type"], space, (*keys, "type"))], known)
        elif isinstance(value, list):
            branches = [(one, space, (*keys, index)) for index, one in enumerate(value)]
            yield from _resolved(branches, known)
        elif isinstance(value, str) and value not in PRIMITIVES:
            full = f"{space}.{value}" if space and "." not in value else value
            yield from [known[name] for name in dict.fromkeys((full, value)) if name in known][:1]
        else:
            yield value, space, keys


def _below(place: _Place, parts: Sequence[str]) -> Iterator[_Place]:
    """What a step of a path leads to: a field, the items of an array, the values of a map, a symbol, a branch of a union."""
    value, space, keys = place
    kind = value.get("type") if isinstance(value, dict) else value
    inner = full_name(value, space)[0] if defines(value) else space
    match parts:
        case ["fields", name] if isinstance(kind, str) and kind in {"record", "error"}:
            for index, one in enumerate(value["fields"]):
                if one["name"] == name:
                    yield one, inner, (*keys, "fields", index)
        case ["symbols", name] if kind == "enum":
            if name in value["symbols"]:
                yield name, inner, (*keys, "symbols", value["symbols"].index(name))
        case ["items" | "values" as key] if kind == {"items": "array", "values": "map"}[key]:
            yield value[key], inner, (*keys, key)
        case [name] if kind == name or (defines(value) and full_name(value, space)[1].rpartition(".")[2] == name):
            yield place
