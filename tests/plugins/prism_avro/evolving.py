"""Draws pairs of schemas: one, and what a team could make of it in one or several changes, harmless or not."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from tests.plugins.prism_avro.drawing import Data, Schemas, named_types

PRIMITIVES = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"]
LOGICAL = [
    {"type": "int", "logicalType": "date"},
    {"type": "long", "logicalType": "timestamp-millis"},
    {"type": "long", "logicalType": "timestamp-micros"},
    {"type": "long", "logicalType": "local-timestamp-millis"},
    {"type": "int", "logicalType": "time-millis"},
    {"type": "long", "logicalType": "time-micros"},
    {"type": "string", "logicalType": "uuid"},
    {"type": "string", "logicalType": "iban"},
]
ADDED = [
    ("int", 7),
    ("string", "x"),
    ("double", 1.5),
    ("bytes", "ÿ"),
    (["null", "long"], None),
    ({"type": "array", "items": "int"}, [1, 2]),
    ({"type": "map", "values": "string"}, {"a": "b"}),
]


class MoreSchemas(Schemas):
    """Schemas with times and other logical types besides, and with defaults."""

    def type(self, depth: int, outer: tuple[str, ...]) -> Any:
        if self.draw(st.integers(0, 5)) == 0:
            return dict(self.draw(st.sampled_from(LOGICAL)))
        return super().type(depth, outer)

    def record(self, depth: int, outer: tuple[str, ...]) -> dict[str, Any]:
        record = super().record(depth, outer)
        for one in record["fields"]:
            if isinstance(one["type"], list) and one["type"][0] == "null" and self.draw(st.booleans()):
                one["default"] = None
            elif one["type"] in ("int", "long") and self.draw(st.booleans()):
                one["default"] = self.draw(st.integers(0, 3))
            if self.draw(st.integers(0, 5)) == 0:
                one["doc"] = "a field"
        return record


class MoreData(Data):
    """Values of such schemas: those of logical types as plain numbers and texts, within what every library can convert."""

    def value(self, schema: Any, depth: int = 0) -> Any:
        if isinstance(schema, dict) and schema.get("logicalType") in {one["logicalType"] for one in LOGICAL}:
            match schema["type"]:
                case "int" | "long":
                    return self.draw(st.integers(0, 86_399_999 if schema["logicalType"] == "time-millis" else 20_000))
                case "string" if schema["logicalType"] == "iban":
                    return self.draw(st.text(max_size=5))
        return super().value(schema, depth)


@st.composite
def rich_schemas(draw: st.DrawFn) -> dict[str, Any]:
    return MoreSchemas(draw).record(draw(st.integers(1, 3)), ())


def values_of(schema: Any) -> st.SearchStrategy[Any]:
    return st.composite(lambda draw: MoreData(draw, schema).value(schema))()


@st.composite
def pairs(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """A schema, and what became of it in up to four changes."""
    old = draw(rich_schemas())
    change = Change(draw, old)
    for _ in range(draw(st.integers(1, 4))):
        change.one()
    return old, change.schema


class Change:
    """Changes a copy of a schema, one step at a time."""

    def __init__(self, draw: st.DrawFn, schema: dict[str, Any]) -> None:
        self._draw = draw
        self._fresh = itertools.count(1)
        self.schema = copy.deepcopy(schema)

    def one(self) -> None:
        steps: list[Callable[[], None]] = [self._fields, self._field, self._type, self._type, self._named]
        self._draw(st.sampled_from(steps))()

    def _records(self) -> list[dict[str, Any]]:
        return [one for one in named_types(self.schema).values() if one["type"] == "record"]

    def _record(self) -> dict[str, Any]:
        return self._draw(st.sampled_from(self._records()))

    def _fields(self) -> None:
        """Remove, add or move fields. A definition that others name stays."""
        record = self._record()
        loose = [one for one in record["fields"] if not named_types(one["type"])]
        match self._draw(st.sampled_from(["remove", "add", "add", "add without", "move"])):
            case "remove" if loose:
                record["fields"].remove(self._draw(st.sampled_from(loose)))
            case "add":
                kind, default = copy.deepcopy(self._draw(st.sampled_from(ADDED)))
                record["fields"].append({"name": f"added{next(self._fresh)}", "type": kind, "default": default})
            case "add without":
                kind = self._draw(st.sampled_from(PRIMITIVES))
                record["fields"].append({"name": f"added{next(self._fresh)}", "type": kind})
            case "move" if len(loose) == len(record["fields"]):
                record["fields"] = self._draw(st.permutations(record["fields"]))

    def _field(self) -> None:
        """Rename a field with or without an alias, or change its default or doc."""
        record = self._record()
        if not record["fields"]:
            return
        one = self._draw(st.sampled_from(record["fields"]))
        match self._draw(st.sampled_from(["rename", "alias", "swap", "default", "no default", "doc"])):
            case "rename":
                one["name"] = f"renamed{next(self._fresh)}"
            case "alias":
                one["aliases"] = [*one.get("aliases", []), one["name"]]
                one["name"] = f"renamed{next(self._fresh)}"
            case "swap":
                other = self._draw(st.sampled_from(record["fields"]))
                one["aliases"] = [other["name"]]
            case "default" if isinstance(one["type"], str) and one["type"] in ("int", "long", "double"):
                one["default"] = self._draw(st.integers(0, 3))
            case "no default":
                one.pop("default", None)
            case "doc":
                one["doc"] = "another"

    def _type(self) -> None:
        """Change the type of a field, or what its array, map or union holds."""
        record = self._record()
        if not record["fields"]:
            return
        field = self._draw(st.sampled_from(record["fields"]))
        holder, key = field, "type"
        for _ in range(3):
            inner = holder[key]
            if isinstance(inner, dict) and inner["type"] in ("array", "map") and self._draw(st.booleans()):
                holder, key = inner, "items" if inner["type"] == "array" else "values"
            elif isinstance(inner, list) and self._draw(st.booleans()):
                holder, key = inner, self._draw(st.integers(0, len(inner) - 1))
        changed = copy.deepcopy(self._changed(holder[key]))
        if isinstance(holder, list):
            others = [_kind(one) for index, one in enumerate(holder) if index != key]
            if _kind(changed) in ["union", *others]:
                return
        holder[key] = changed
        field.pop("default", None)

    def _changed(self, schema: Any) -> Any:
        draw = self._draw
        if isinstance(schema, list):
            loose = [one for one in schema if not named_types(one)]
            match draw(st.sampled_from(["drop", "add", "reverse", "unwrap"])):
                case "drop" if loose and len(schema) > 1:
                    gone = draw(st.sampled_from(loose))
                    return [one for one in schema if one is not gone]
                case "add":
                    free = [one for one in PRIMITIVES if one not in map(_kind, schema)]
                    return [*schema, draw(st.sampled_from(free))]
                case "reverse" if not named_types(schema):
                    return schema[::-1]
                case "unwrap" if len(schema) - len(loose) == 0:
                    return draw(st.sampled_from(schema))
            return schema
        if _kind(schema) != "null" and draw(st.integers(0, 3)) == 0:
            return ["null", schema] if draw(st.booleans()) else [schema, "null"]
        if isinstance(schema, str) and schema in PRIMITIVES:
            return draw(st.sampled_from([*PRIMITIVES, *LOGICAL]))
        if isinstance(schema, dict) and schema["type"] in PRIMITIVES:
            if "scale" in schema and draw(st.booleans()):
                return {**schema, "scale": draw(st.integers(0, 12)), "precision": draw(st.sampled_from([12, 20]))}
            return draw(st.sampled_from([schema["type"], *LOGICAL]))
        return schema

    def _named(self) -> None:
        """Change a named type: its name, namespace, aliases, symbols, default or size."""
        name, one = self._draw(st.sampled_from(sorted(named_types(self.schema).items())))
        match self._draw(st.sampled_from(["rename", "alias", "namespace", "inside", "inside", "inside"])):
            case "rename":
                self._rename(name, f"test.N{next(self._fresh)}x")
            case "alias":
                self._rename(name, f"test.N{next(self._fresh)}x")
                one["aliases"] = [name]
            case "namespace":
                self._rename(name, f"moved.{name.rpartition('.')[2]}")
            case "inside" if one["type"] == "enum":
                self._enum(one)
            case "inside" if one["type"] == "fixed" and "logicalType" not in one:
                one["size"] = self._draw(st.integers(0, 5))

    def _enum(self, one: dict[str, Any]) -> None:
        match self._draw(st.sampled_from(["add", "remove", "default"])):
            case "add":
                one["symbols"] = [*one["symbols"], f"T{next(self._fresh)}"]
            case "remove" if len(one["symbols"]) > 1 and one.get("default") != one["symbols"][-1]:
                one["symbols"] = one["symbols"][:-1]
            case "default":
                one["default"] = one["symbols"][0]

    def _rename(self, name: str, to: str) -> None:
        def renamed(value: Any) -> Any:
            if isinstance(value, dict):
                return {key: value[key] if key in ("default", "aliases") else renamed(value[key]) for key in value}
            if isinstance(value, list):
                return [renamed(item) for item in value]
            return to if value == name else value

        if to not in named_types(self.schema):
            changed = renamed(self.schema)
            self.schema.clear()
            self.schema.update(changed)


def _kind(schema: Any) -> str:
    return "union" if isinstance(schema, list) else schema["type"] if isinstance(schema, dict) else schema
