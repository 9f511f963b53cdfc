"""Where in a schema text something stands. Imported only where a person is told so."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeAlias

from prismlib.contracts.json_text import locate

_NAMED: Final = frozenset({"properties", "patternProperties", "dependentSchemas", "dependencies"})
_COUNTED: Final = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_MOST_PLACES: Final = 1000

Keys: TypeAlias = "tuple[str | int, ...]"
_ROOT: Final[Keys] = ()
_Place: TypeAlias = "tuple[Any, Keys]"
"""A piece of the JSON, and the keys that lead to it."""


def line_at(text: str, pointer: str) -> int | None:
    """The line, from 1, on which what a JSON pointer leads to is named; None where it leads to nothing."""
    keys: list[str | int] = []
    value = json.loads(text)
    for step in pointer.split("/")[1:]:
        name = _plain(step)
        key: str | int = int(name) if isinstance(value, list) and name.isdecimal() else name
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return None
        keys.append(key)
    return _line(text, keys)


def line_of(text: str, path: str) -> int | None:
    """The line, from 1, on which the thing at a path such as ``/properties/lines/items/properties/sku`` is defined.

    It is followed through ``$ref`` and into branches, as paths do not name them. None where the text has no such thing,
    also when it only imports it.
    """
    root = json.loads(text)
    places: list[_Place] = [(root, ())]
    steps = [_plain(step) for step in path.split("/") if step]
    while steps:
        step = steps.pop(0)
        takes_two = step in _NAMED or step in _COUNTED or (step == "items" and steps and steps[0].isdecimal())
        name = steps.pop(0) if takes_two and steps else None
        around = [one for place in places for one in _around(root, place)]
        places = [found for place in around for found in _below(place, step, name)]
    return _line(text, places[0][1]) if places else None


def _plain(step: str) -> str:
    return step.replace("~1", "/").replace("~0", "~")


def _around(root: Any, place: _Place) -> list[_Place]:
    """The place and all that describes the same value: behind ``$ref``, and branches."""
    found = [place]
    known = {id(place[0])}
    for value, keys in found:
        if not isinstance(value, dict) or len(found) > _MOST_PLACES:
            continue
        more = [_local(root, value["$ref"])] if isinstance(value.get("$ref"), str) else []
        for keyword in ("allOf", "anyOf", "oneOf"):
            branches = value.get(keyword)
            if isinstance(branches, list):
                more += [(one, (*keys, keyword, index)) for index, one in enumerate(branches)]
        for one in more:
            if one is not None and id(one[0]) not in known:
                known.add(id(one[0]))
                found.append(one)
    return found


def _local(root: Any, ref: str) -> _Place | None:
    if not ref.startswith("#"):
        return None
    value, keys = root, _ROOT
    for step in ref[1:].split("/")[1:]:
        name = _plain(step)
        if not isinstance(value, dict) or name not in value:
            return None
        value, keys = value[name], (*keys, name)
    return value, keys


def _below(place: _Place, step: str, name: str | None) -> Iterator[_Place]:
    value, keys = place
    if not isinstance(value, dict):
        return
    for keyword in (step, "dependencies") if step == "dependentSchemas" else (step,):
        inner = value.get(keyword)
        if name is None and inner is not None:
            yield inner, (*keys, keyword)
        elif isinstance(inner, dict) and name is not None and name in inner:
            yield inner[name], (*keys, keyword, name)
        elif isinstance(inner, list) and name is not None and name.isdecimal() and int(name) < len(inner):
            yield inner[int(name)], (*keys, keyword, int(name))
    if step == "properties" and name is not None and name in value.get("required", ()):
        yield name, (*keys, "required", value["required"].index(name))


def _line(text: str, keys: Sequence[str | int]) -> int:
    named, _ = locate(text, keys)
    return text.count("\n", 0, named) + 1
