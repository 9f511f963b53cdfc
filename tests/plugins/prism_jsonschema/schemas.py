"""Random schemas, what becomes of them from one version to the next, and values that are valid for them."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

NAMES = ("a", "b", "n_x", "kind")
PATTERNS = ("^n_", "x$", "^[ab]$")
TEXTS = ("", "a", "ab", "abcd", "x y", "2026-01-01")
NUMBERS = (-3, 0, 1, 2, 2.5, 7, 10, 12, 100)
SMALL = st.integers(0, 3)

values = st.recursive(
    st.sampled_from([None, True, False, *NUMBERS, *TEXTS]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=8,
)


@st.composite
def _scalars(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(["string", "integer", "number", "null", "boolean", "enum", "const", "list", "any"]))
    some = lambda *keywords: draw(st.lists(st.sampled_from(keywords), unique=True, max_size=2))  # noqa: E731
    schema: dict[str, Any] = {}
    if kind == "enum":
        return {"enum": draw(st.lists(st.sampled_from([*TEXTS, *NUMBERS, None, True]), min_size=1, max_size=4))}
    if kind == "const":
        return {"const": draw(st.sampled_from([*TEXTS, 0, 1, True]))}
    if kind == "list":
        return {
            "type": draw(st.lists(st.sampled_from(["string", "integer", "null", "object"]), unique=True, min_size=1))
        }
    if kind != "any":
        schema["type"] = kind
    if kind in ("string", "any"):
        for keyword in some("minLength", "maxLength", "pattern"):
            schema[keyword] = draw(st.sampled_from(["^a", "b"]) if keyword == "pattern" else SMALL)
    if kind in ("integer", "number", "any"):
        for keyword in some("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"):
            schema[keyword] = draw(st.sampled_from([1, 2, 5, 0.5] if keyword == "multipleOf" else NUMBERS))
    if draw(st.booleans()):
        schema["default"] = draw(st.sampled_from(TEXTS))
    return schema


@st.composite
def _objects(draw: st.DrawFn, inner: st.SearchStrategy[Any]) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"} if draw(st.integers(0, 3)) else {}
    schema["properties"] = draw(st.dictionaries(st.sampled_from(NAMES), inner, max_size=3))
    keywords = draw(
        st.lists(
            st.sampled_from(
                [
                    "required",
                    "additionalProperties",
                    "closed",
                    "patternProperties",
                    "minProperties",
                    "maxProperties",
                    "propertyNames",
                    "dependentRequired",
                    "dependentSchemas",
                    "unevaluatedProperties",
                ]
            ),
            unique=True,
            max_size=3,
        )
    )
    names = st.lists(st.sampled_from(NAMES), unique=True, max_size=2)
    for keyword in keywords:
        match keyword:
            case "required":
                schema[keyword] = draw(names)
            case "closed":
                schema["additionalProperties"] = False
            case "patternProperties":
                schema[keyword] = draw(st.dictionaries(st.sampled_from(PATTERNS), inner, max_size=2))
            case "minProperties" | "maxProperties":
                schema[keyword] = draw(SMALL)
            case "propertyNames":
                schema[keyword] = draw(st.sampled_from([{"maxLength": 1}, {"enum": ["a", "b"]}, {"minLength": 2}]))
            case "dependentRequired":
                schema[keyword] = draw(st.dictionaries(st.sampled_from(NAMES), names, max_size=2))
            case "dependentSchemas":
                schema[keyword] = draw(st.dictionaries(st.sampled_from(NAMES), inner, max_size=1))
            case "unevaluatedProperties":
                schema[keyword] = draw(st.just(False) | inner)
            case _:
                schema[keyword] = draw(inner)
    return schema


@st.composite
def _arrays(draw: st.DrawFn, inner: st.SearchStrategy[Any]) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "array"} if draw(st.integers(0, 3)) else {}
    words = [
        "items",
        "prefixItems",
        "minItems",
        "maxItems",
        "uniqueItems",
        "contains",
        "maxContains",
        "unevaluatedItems",
    ]
    for keyword in draw(st.lists(st.sampled_from(words), unique=True, max_size=3)):
        match keyword:
            case "prefixItems":
                schema[keyword] = draw(st.lists(inner, min_size=1, max_size=2))
            case "minItems" | "maxItems" | "maxContains":
                schema[keyword] = draw(SMALL)
            case "uniqueItems":
                schema[keyword] = True
            case _:
                schema[keyword] = draw(inner)
    return schema


@st.composite
def _combined(draw: st.DrawFn, inner: st.SearchStrategy[Any]) -> dict[str, Any]:
    keyword = draw(st.sampled_from(["allOf", "anyOf", "oneOf", "not", "if", "beside"]))
    if keyword == "not":
        return {"not": draw(inner)}
    if keyword == "if":
        return {"if": draw(inner), "then": draw(inner), "else": draw(inner)}
    if keyword == "beside":
        base = draw(inner)
        extra = {draw(st.sampled_from(["anyOf", "oneOf"])): draw(st.lists(inner, min_size=1, max_size=3))}
        return {**base, **extra} if isinstance(base, dict) else extra
    return {keyword: draw(st.lists(inner, min_size=1, max_size=3))}


def _more(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return _objects(inner) | _objects(inner) | _arrays(inner) | _combined(inner)


_leaves = st.one_of(*[_scalars()] * 6, st.booleans(), st.just({"$ref": "#/$defs/one"}))
subschemas = st.recursive(_leaves, _more, max_leaves=6)


@st.composite
def schemas(draw: st.DrawFn) -> dict[str, Any]:
    """A schema of draft 2020-12 with a definition that may contain itself."""
    root = draw(_more(subschemas))
    one = draw(_objects(subschemas))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **root, "$defs": {"one": one}}


def places(schema: Any, keys: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where in a schema there are objects, its own among them."""
    found = [keys] if isinstance(schema, dict) else []
    parts = schema.items() if isinstance(schema, dict) else enumerate(schema) if isinstance(schema, list) else ()
    for key, value in parts:
        found += places(value, (*keys, key))
    return found


@st.composite
def evolved(draw: st.DrawFn, schema: dict[str, Any]) -> dict[str, Any]:
    """The same schema with a few changes, most of them such as people make."""
    new = copy.deepcopy(schema)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.sampled_from(places(new)))
        node = new
        for key in at:
            node = node[key]
        match draw(st.sampled_from(["drop", "number", "add", "replace", "mingle", "branch", "type"])):
            case "drop" if node:
                key = draw(st.sampled_from(sorted(node)))
                if key not in ("$schema", "$defs", "one"):
                    del node[key]
            case "number":
                for key, value in node.items():
                    if isinstance(value, int | float) and not isinstance(value, bool):
                        node[key] = max(1, value + draw(st.sampled_from([-1, 1])))
            case "add" if isinstance(node.get("properties"), dict):
                node["properties"][draw(st.sampled_from(NAMES))] = draw(subschemas)
            case "replace":
                for key, value in node.items():
                    if isinstance(value, dict) and key not in ("$defs", "properties") and at[-1:] == ("properties",):
                        node[key] = draw(subschemas)
                        break
            case "branch":
                for key in ("anyOf", "oneOf", "allOf"):
                    if isinstance(node.get(key), list):
                        node[key].insert(draw(st.integers(0, len(node[key]))), draw(subschemas))
            case "type" if isinstance(node.get("type"), str):
                node["type"] = [node["type"], "null"]
            case "mingle" if "type" in node:
                node.update(draw(_scalars()))
            case _:
                pass
    return new


@st.composite
def guided(draw: st.DrawFn, schema: Any, root: dict[str, Any], depth: int = 4) -> Any:
    """A value that has a good chance to be valid, often at the edge of it."""
    if not isinstance(schema, dict) or depth == 0 or not draw(st.integers(0, 12)):
        return draw(values)
    if "$ref" in schema:
        return draw(guided(root["$defs"]["one"], root, depth - 1))
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return draw(st.sampled_from(schema["enum"]))
    branches = [one for key in ("anyOf", "oneOf", "allOf") for one in schema.get(key, ())]
    branches += [schema[key] for key in ("then", "else") if key in schema]
    chosen = [one for one in branches if isinstance(one, dict) and draw(st.booleans())][:2]
    schema = {**{key: value for one in chosen for key, value in one.items()}, **schema}
    kind = schema.get("type") or draw(
        st.sampled_from(
            ["object"] * (2 + 3 * ("properties" in schema))
            + ["array"] * (1 + 3 * bool({"items", "prefixItems", "contains"} & schema.keys()))
            + ["string", "integer", "number", "null", "boolean"]
        )
    )
    if isinstance(kind, list):
        kind = draw(st.sampled_from(kind))
    match kind:
        case "string":
            return draw(st.sampled_from(TEXTS))
        case "integer" | "number":
            bounds = [one for key in ("minimum", "maximum") if isinstance(one := schema.get(key), int | float)]
            near = [one + step for one in bounds for step in (-1, 0, 1)]
            numbers = [one for one in (*NUMBERS, *near, 5, 20) if kind == "number" or one == int(one)]
            return draw(st.sampled_from(numbers))
        case "boolean":
            return draw(st.booleans())
        case "null":
            return None
        case "array":
            count = draw(st.integers(schema.get("minItems", 0), 4))
            prefix = schema.get("prefixItems", [])
            rest = schema.get("items", schema.get("contains", True))
            shapes = [*prefix, *[rest] * 4][:count]
            return [draw(guided(one, root, depth - 1)) for one in shapes]
        case _:
            properties = schema.get("properties", {})
            names = [name for name in NAMES if name in schema.get("required", ()) or draw(st.integers(0, 2)) == 0]
            names += [name for name in properties if name not in names and draw(st.booleans())]
            rest = schema.get("additionalProperties", True)
            if rest is False:
                names = [name for name in names if name in properties or "patternProperties" in schema]
            patterns = list(schema.get("patternProperties", {}).values())
            others = [rest, *patterns]
            return {
                name: draw(
                    guided(properties[name] if name in properties else draw(st.sampled_from(others)), root, depth - 1)
                )
                for name in names
            }
