"""What each keyword of JSON Schema says, for every draft that knows it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from prism_jsonschema.compatibility.nodes import TYPES, Node, freeze

DRAFTS: Final = (4, 6, 7, 2019, 2020)


class WrongKeywordError(Exception):
    """A value that the keyword cannot have; says what it should be."""


Build: TypeAlias = Callable[[Any, str, str], Node]
"""Makes the node of a subschema: its JSON, its keyword, and its name or position where the keyword has several."""

Reader: TypeAlias = Callable[[Node, Any, Build], None]


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise WrongKeywordError("a number")
    return value


def _count(value: Any) -> float:
    if _number(value) < 0 or value != int(value):
        raise WrongKeywordError("a whole number from 0")
    return int(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise WrongKeywordError("text")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise WrongKeywordError("true or false")
    return value


def _texts(value: Any) -> frozenset[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise WrongKeywordError("a list of texts")
    return frozenset(value)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise WrongKeywordError("a list")
    return value


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise WrongKeywordError("an object")
    return value


# --- every keyword that says something about a value by itself ---------------------------------------------------------


def _type(node: Node, value: Any, _: Build) -> None:
    names = value if isinstance(value, list) and value else [value]
    found: set[str] = set()
    for name in names:
        if not isinstance(name, str) or name not in TYPES:
            raise WrongKeywordError(f"one of {', '.join(sorted(TYPES))}, or a list of them")
        found |= TYPES[name]
    node.types = frozenset(found)
    node.own["type"] = node.types


def _values(node: Node, found: frozenset[Any], keyword: str) -> None:
    node.values = found if node.values is None else node.values & found
    node.own[keyword] = found


def _enum(node: Node, value: Any, _: Build) -> None:
    _values(node, frozenset(map(freeze, _list(value))), "enum")


def _const(node: Node, value: Any, _: Build) -> None:
    _values(node, frozenset({freeze(value)}), "const")


def _bound(keyword: str, *, upper: bool, exclusive: bool) -> Reader:
    def read(node: Node, value: Any, _: Build) -> None:
        node.own[keyword] = _number(value)
        lower, higher = node.bounds
        known = higher if upper else lower
        if known is not None and (known[0] <= value if upper else known[0] >= value) and known[0] != value:
            return
        new = (value, exclusive or (known is not None and known[0] == value and known[1]))
        node.bounds = (lower, new) if upper else (new, higher)

    return read


def _exclusive_flag(keyword: str, bound: str, *, upper: bool) -> Reader:
    """Of draft 4, where it is said of ``minimum`` or ``maximum``, and nothing without them."""

    def read(node: Node, value: Any, _: Build) -> None:
        if _flag(value) and bound in node.raw:
            number = _number(node.raw[bound])
            node.own[keyword] = True
            lower, higher = node.bounds
            node.bounds = (lower, (number, True)) if upper else ((number, True), higher)

    return read


def _plain(keyword: str, attribute: str, check: Callable[[Any], Any]) -> Reader:
    def read(node: Node, value: Any, _: Build) -> None:
        found = check(value)
        setattr(node, attribute, found)
        if found is not False:
            node.own[keyword] = found

    return read


def _multiple_of(node: Node, value: Any, _: Build) -> None:
    if _number(value) <= 0:
        raise WrongKeywordError("a number above 0")
    node.multiple_of = node.own["multipleOf"] = value


def _required(node: Node, value: Any, _: Build) -> None:
    node.required = _texts(value)
    if node.required:
        node.own["required"] = node.required


def _dependent_required(node: Node, value: Any, _: Build) -> None:
    found = {name: _texts(one) for name, one in _table(value).items()}
    node.needs = {**node.needs, **found}
    node.own["dependentRequired"] = frozenset(node.needs.items())


# --- keywords with subschemas ------------------------------------------------------------------------------------------


def _one(keyword: str, attribute: str) -> Reader:
    def read(node: Node, value: Any, build: Build) -> None:
        setattr(node, attribute, build(value, keyword, ""))

    return read


def _several(keyword: str, attribute: str) -> Reader:
    def read(node: Node, value: Any, build: Build) -> None:
        if not _list(value) and attribute != "prefix":
            raise WrongKeywordError("a list of at least one schema")
        setattr(node, attribute, tuple(build(one, keyword, str(index)) for index, one in enumerate(value)))

    return read


def _named(keyword: str, attribute: str) -> Reader:
    def read(node: Node, value: Any, build: Build) -> None:
        setattr(node, attribute, {name: build(one, keyword, name) for name, one in _table(value).items()})

    return read


def _definitions(keyword: str) -> Reader:
    def read(_: Node, value: Any, build: Build) -> None:
        for name, one in _table(value).items():
            build(one, keyword, name)

    return read


def _items(node: Node, value: Any, build: Build) -> None:
    """Before 2020-12: of one schema for all, or of one for each position."""
    if isinstance(value, list):
        node.prefix = tuple(build(one, "items", str(index)) for index, one in enumerate(value))
    else:
        node.items = build(value, "items", "")


def _additional_items(node: Node, value: Any, build: Build) -> None:
    if isinstance(node.raw.get("items"), list):
        node.items = build(value, "additionalItems", "")


def _dependencies(node: Node, value: Any, build: Build) -> None:
    lists = {name: one for name, one in _table(value).items() if isinstance(one, list)}
    if lists:
        _dependent_required(node, lists, build)
    rest = {name: one for name, one in value.items() if name not in lists}
    node.then_also = {**node.then_also, **{name: build(one, "dependencies", name) for name, one in rest.items()}}


def _dependent_schemas(node: Node, value: Any, build: Build) -> None:
    found = {name: build(one, "dependentSchemas", name) for name, one in _table(value).items()}
    node.then_also = {**node.then_also, **found}


# --- what is no assertion ----------------------------------------------------------------------------------------------


def _format(node: Node, value: Any, _: Build) -> None:
    node.format = _text(value)


def _encoding(node: Node, value: Any, _: Build) -> None:
    encoding, media = node.raw.get("contentEncoding", ""), node.raw.get("contentMediaType", "")
    _text(value)
    node.encoding = " of ".join(filter(None, (_text(encoding), _text(media))))


def _default(node: Node, value: Any, _: Build) -> None:
    node.default = freeze(value)


def _unclear(keyword: str) -> Reader:
    def read(node: Node, value: Any, _: Build) -> None:
        node.unclear = (*node.unclear, keyword)
        node.own[keyword] = freeze(value)

    return read


_EVERY: Final[dict[str, Reader]] = {
    "type": _type,
    "enum": _enum,
    "multipleOf": _multiple_of,
    "minimum": _bound("minimum", upper=False, exclusive=False),
    "maximum": _bound("maximum", upper=True, exclusive=False),
    "minLength": _plain("minLength", "min_length", _count),
    "maxLength": _plain("maxLength", "max_length", _count),
    "pattern": _plain("pattern", "pattern", _text),
    "minItems": _plain("minItems", "min_items", _count),
    "maxItems": _plain("maxItems", "max_items", _count),
    "uniqueItems": _plain("uniqueItems", "unique", _flag),
    "minProperties": _plain("minProperties", "min_properties", _count),
    "maxProperties": _plain("maxProperties", "max_properties", _count),
    "required": _required,
    "properties": _named("properties", "properties"),
    "patternProperties": _named("patternProperties", "patterns"),
    "additionalProperties": _one("additionalProperties", "additional"),
    "dependencies": _dependencies,
    "allOf": _several("allOf", "all_of"),
    "anyOf": _several("anyOf", "any_of"),
    "oneOf": _several("oneOf", "one_of"),
    "not": _one("not", "negated"),
    "definitions": _definitions("definitions"),
    "format": _format,
    "default": _default,
}
_FROM_6: Final[dict[str, Reader]] = {
    "const": _const,
    "contains": _one("contains", "contains"),
    "propertyNames": _one("propertyNames", "names"),
    "exclusiveMinimum": _bound("exclusiveMinimum", upper=False, exclusive=True),
    "exclusiveMaximum": _bound("exclusiveMaximum", upper=True, exclusive=True),
}
_FROM_7: Final[dict[str, Reader]] = {
    "if": _one("if", "condition"),
    "then": _one("then", "consequence"),
    "else": _one("else", "alternative"),
    "contentEncoding": _encoding,
    "contentMediaType": _encoding,
}
_FROM_2019: Final[dict[str, Reader]] = {
    "$defs": _definitions("$defs"),
    "dependentRequired": _dependent_required,
    "dependentSchemas": _dependent_schemas,
    "minContains": _plain("minContains", "min_contains", _count),
    "maxContains": _plain("maxContains", "max_contains", _count),
    "unevaluatedItems": _one("unevaluatedItems", "unevaluated_items"),
    "unevaluatedProperties": _one("unevaluatedProperties", "unevaluated_properties"),
}
_BY_POSITION: Final[dict[str, Reader]] = {"items": _items, "additionalItems": _additional_items}

KEYWORDS: Final[Mapping[int, Mapping[str, Reader]]] = {
    4: {
        **_EVERY,
        **_BY_POSITION,
        "exclusiveMinimum": _exclusive_flag("exclusiveMinimum", "minimum", upper=False),
        "exclusiveMaximum": _exclusive_flag("exclusiveMaximum", "maximum", upper=True),
    },
    6: {**_EVERY, **_BY_POSITION, **_FROM_6},
    7: {**_EVERY, **_BY_POSITION, **_FROM_6, **_FROM_7},
    2019: {
        **_EVERY,
        **_BY_POSITION,
        **_FROM_6,
        **_FROM_7,
        **_FROM_2019,
        "$recursiveRef": _unclear("$recursiveRef"),
    },
    2020: {
        **_EVERY,
        **_FROM_6,
        **_FROM_7,
        **_FROM_2019,
        "prefixItems": _several("prefixItems", "prefix"),
        "items": _one("items", "items"),
        "$dynamicRef": _unclear("$dynamicRef"),
    },
}
"""By draft: what each keyword says. What is not among them says nothing about values."""
