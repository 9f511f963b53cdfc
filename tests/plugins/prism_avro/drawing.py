"""Draws Avro schemas and values of them, and has fastavro write and read them."""

from __future__ import annotations

import copy
import decimal
import io
import itertools
from typing import Any

import fastavro
from hypothesis import strategies as st

LONG = st.integers(-(1 << 63), (1 << 63) - 1)
VALUES = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": st.integers(-(1 << 31), (1 << 31) - 1) | st.integers(-70, 70),
    "long": LONG | st.integers(-200, 200),
    "float": st.floats(width=32, allow_nan=False),
    "double": st.floats(allow_nan=False),
    "bytes": st.binary(max_size=80),
    "string": st.text(max_size=80),
}


class Schemas:
    """Draws one schema; named types get numbers, and inner records may name outer ones."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.numbers = itertools.count(1)

    def record(self, depth: int, outer: tuple[str, ...]) -> dict[str, Any]:
        name = f"test.R{next(self.numbers)}"
        count = self.draw(st.integers(1, 5))
        fields = [{"name": f"f{i}", "type": self.type(depth - 1, (*outer, name))} for i in range(count)]
        return {"type": "record", "name": name, "fields": fields}

    def type(self, depth: int, outer: tuple[str, ...]) -> Any:
        simple = ["primitive", "primitive", "enum", "fixed", "decimal", "decimal-fixed", "uuid"]
        kinds = [*simple, "array", "map", "union", "nullable", "record", "self"] if depth > 0 else simple
        match self.draw(st.sampled_from(kinds)):
            case "primitive":
                return self.draw(st.sampled_from(sorted(VALUES)))
            case "enum":
                count = self.draw(st.integers(1, 4))
                return {
                    "type": "enum",
                    "name": f"test.E{next(self.numbers)}",
                    "symbols": [f"S{i}" for i in range(count)],
                }
            case "fixed":
                size = self.draw(st.integers(0, 5))
                return {"type": "fixed", "name": f"test.F{next(self.numbers)}", "size": size}
            case "decimal":
                return {
                    "type": "bytes",
                    "logicalType": "decimal",
                    "precision": 12,
                    "scale": self.draw(st.integers(0, 12)),
                }
            case "decimal-fixed":
                name = f"test.D{next(self.numbers)}"
                return {"type": "fixed", "name": name, "size": 8, "logicalType": "decimal", "precision": 12, "scale": 3}
            case "uuid":
                return {"type": "string", "logicalType": "uuid"}
            case "array":
                return {"type": "array", "items": self.type(depth - 1, outer)}
            case "map":
                return {"type": "map", "values": self.type(depth - 1, outer)}
            case "nullable":
                other = self.draw(st.sampled_from(sorted(set(VALUES) - {"null"})))
                return ["null", other] if self.draw(st.booleans()) else [other, "null"]
            case "union":
                # one of each family, for fastavro takes the first branch that could be promoted to
                several = [
                    "null",
                    "boolean",
                    self.draw(st.sampled_from(["int", "long", "double"])),
                    self.draw(st.sampled_from(["string", "bytes"])),
                    {"type": "array", "items": self.type(depth - 1, outer)},
                    self.record(depth - 1, outer),
                ]
                kept = self.draw(st.lists(st.sampled_from(range(6)), min_size=1, unique=True))
                return [several[i] for i in kept]
            case "record":
                return self.record(depth - 1, outer)
            case _:
                return ["null", self.draw(st.sampled_from(outer))]


class Data:
    """Draws values of one schema."""

    def __init__(self, draw: st.DrawFn, root: Any) -> None:
        self.draw = draw
        self.named = named_types(root)

    def value(self, schema: Any, depth: int = 0) -> Any:
        draw = self.draw
        if isinstance(schema, list):
            if depth > 6 and "null" in schema:
                return None
            return self.value(draw(st.sampled_from(schema)), depth + 1)
        if isinstance(schema, str):
            return draw(VALUES[schema]) if schema in VALUES else self.value(self.named[schema], depth)
        limit = 3 if depth < 5 else 0
        match schema["type"]:
            case "record":
                return {one["name"]: self.value(one["type"], depth + 1) for one in schema["fields"]}
            case "array":
                return [self.value(schema["items"], depth + 1) for _ in range(draw(st.integers(0, limit)))]
            case "map":
                keys = draw(st.lists(st.text(max_size=5), max_size=limit, unique=True))
                return {key: self.value(schema["values"], depth + 1) for key in keys}
            case "enum":
                return draw(st.sampled_from(schema["symbols"]))
            case "string":
                return str(draw(st.uuids()))
            case _:
                if "precision" in schema:
                    unscaled = draw(st.integers(-(10**12) + 1, 10**12 - 1))
                    return decimal.Decimal(unscaled).scaleb(-schema["scale"])
                return draw(st.binary(min_size=schema["size"], max_size=schema["size"]))


def named_types(schema: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def visit(one: Any) -> None:
        if isinstance(one, list):
            for branch in one:
                visit(branch)
        elif isinstance(one, dict):
            if "name" in one and "type" in one and one["type"] in ("record", "enum", "fixed"):
                found[one["name"]] = one
            for inner in one.values():
                visit(inner)

    visit(schema)
    return found


@st.composite
def schemas(draw: st.DrawFn) -> dict[str, Any]:
    return Schemas(draw).record(draw(st.integers(1, 4)), ())


def records(schema: Any) -> st.SearchStrategy[Any]:
    return st.composite(lambda draw: Data(draw, schema).value(schema))()


def write(schema: Any, value: Any) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(copy.deepcopy(schema)), value)
    return out.getvalue()


def read(value: bytes, writer: Any, reader: Any = None) -> Any:
    parsed = [fastavro.parse_schema(copy.deepcopy(one)) for one in (writer, reader) if one is not None]
    return plain(fastavro.schemaless_reader(io.BytesIO(value), *parsed, *([None] * (2 - len(parsed)))))


def plain(value: Any) -> Any:
    """Rows as we give them: uuids as text."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return str(value) if type(value).__name__ == "UUID" else value


def cut(value: Any, schema: Any, reads: dict[str, Any], named: dict[str, Any]) -> Any:
    """``value`` with only what is read of it, found by walking the value along the schema."""
    if not reads or value is None:
        return value
    if isinstance(schema, str):
        schema = named.get(schema, schema)
    if isinstance(schema, list):
        records = [named.get(one, one) if isinstance(one, str) else one for one in schema]
        kinds = {dict: ("record", "map"), list: ("array",)}.get(type(value), ())
        schema = next((one for one in records if isinstance(one, dict) and one["type"] in kinds), None)
    if not isinstance(schema, dict):
        return value
    if schema["type"] == "array":
        return [cut(one, schema["items"], reads, named) for one in value]
    if schema["type"] == "map":
        return {key: cut(one, schema["values"], reads, named) for key, one in value.items()}
    if schema["type"] == "record":
        types = {one["name"]: one["type"] for one in schema["fields"]}
        return {name: cut(value[name], types[name], below, named) for name, below in reads.items() if name in types}
    return value


def draw_reads(draw: st.DrawFn, schema: Any, named: dict[str, Any], depth: int = 0) -> dict[str, Any]:
    """A tree of fields; an empty one reads all there is."""
    if isinstance(schema, str):
        schema = named.get(schema, schema)
    if isinstance(schema, list):
        inner = [draw_reads(draw, one, named, depth) for one in schema]
        return next((one for one in inner if one), {})
    if not isinstance(schema, dict) or depth > 3:
        return {}
    if schema["type"] == "array":
        return draw_reads(draw, schema["items"], named, depth)
    if schema["type"] == "map":
        return draw_reads(draw, schema["values"], named, depth)
    if schema["type"] != "record" or (depth and draw(st.booleans())) or not schema["fields"]:
        return {}
    chosen = draw(st.lists(st.sampled_from(schema["fields"]), min_size=1, unique_by=lambda one: one["name"]))
    return {one["name"]: draw_reads(draw, one["type"], named, depth + 1) for one in chosen}


def paths(reads: dict[str, Any]) -> set[str]:
    return {f"{name}.{path}" if path else name for name, below in reads.items() for path in (paths(below) or {""})}
