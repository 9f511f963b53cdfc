"""The reader schema of somebody who reads some fields: cut out of what a writer writes, with all that it needs inside.

A type that is read in different parts at different places is defined once for each. Avro allows a name only once, and compares
names without their namespace: so the later definitions keep the name and the old full name as an alias, in a namespace of
their own. Of a record that contains itself this reads as many levels as the paths say.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from prism_avro.compatibility.defaults import Defaults
from prism_avro.parsing import MAX_JSON_DEPTH
from prism_avro.projection import WHOLE, Projection, check_reads, project
from prism_avro.schema import Array, Enum, Field, Fixed, Map, Primitive, Record, Type, Union, short_name
from prismlib.errors import ContractError

_MAX_TYPES: Final = 10_000


def contract(root: Type, reads: frozenset[str]) -> str:
    """The text of the reader schema that has just the fields that are read.

    Raises:
        UnknownFieldError: a path names nothing.
        ContractError: it cannot be written as one schema.
    """
    check_reads(root, reads, "the schema")
    writer = _Writer()
    schema = writer.type(root, project(reads), "", "", 0)
    text = json.dumps(schema, indent=2, ensure_ascii=False)
    # half a surrogate pair, in a doc or a default, can be written in JSON and not in UTF-8
    return text if text.isascii() or text.encode(errors="replace").decode() == text else json.dumps(schema, indent=2)


class _Writer:
    def __init__(self) -> None:
        self._given: dict[tuple[int, Projection], str] = {}
        self._taken: set[str] = set()
        self._judge = Defaults(strict=False)

    def type(self, schema: Type, reads: Projection, space: str, path: str, depth: int) -> Any:
        """The JSON of a type.

        Args:
            schema: the type.
            reads: what is read of it.
            space: the namespace around it.
            path: the fields that lead here, joined by dots.
            depth: levels of JSON around it.
        """
        if depth > MAX_JSON_DEPTH - 4:
            raise ContractError(
                f"{path!r} is nested too deeply to be written as one schema; read the fields that are needed, not all"
            )
        match schema:
            case Primitive():
                kind = {"type": schema.kind, **_logical(schema)}
                return kind if len(kind) > 1 else schema.kind
            case Array():
                return {
                    "type": "array",
                    "items": self.type(schema.items, reads, space, path, depth + 1),
                    **_logical(schema),
                }
            case Map():
                return {
                    "type": "map",
                    "values": self.type(schema.values, reads, space, path, depth + 1),
                    **_logical(schema),
                }
            case Union():
                return [self.type(branch, reads, space, path, depth + 1) for branch in schema.branches]
            case Record():
                return self._named(schema, reads, space, path, depth)
            case Fixed() | Enum():
                return self._named(schema, WHOLE, space, path, depth)

    def _named(self, schema: Record | Enum | Fixed, reads: Projection, space: str, path: str, depth: int) -> Any:
        key = (id(schema), reads)
        if key in self._given:
            return self._given[key]
        if len(self._given) >= _MAX_TYPES:
            raise ContractError(f"the fields that are read take more than {_MAX_TYPES:,} types; read fewer")
        name, aliases = schema.name, schema.aliases
        if name in self._taken:
            aliases |= {name}
            name = f"{name}.{path}.{short_name(name)}"
        self._taken.add(name)
        self._given[key] = name
        inner, _, short = name.rpartition(".")
        made: dict[str, Any] = {"type": _kind(schema), "name": short}
        if inner != space:
            made["namespace"] = inner
        if schema.doc:
            made["doc"] = schema.doc
        if aliases:
            made["aliases"] = sorted(aliases)
        match schema:
            case Fixed():
                made["size"] = schema.size
            case Enum():
                made["symbols"] = list(schema.symbols)
                if schema.default is not None:
                    made["default"] = schema.default
            case Record():
                read = ((one, reads.of(one.name)) for one in schema.fields)
                names = {one.name for one in schema.fields}
                made["fields"] = [
                    self._field(one, below, names, inner, f"{path}.{one.name}" if path else one.name, depth + 2)
                    for one, below in read
                    if below is not None
                ]
        return {**made, **_logical(schema)}

    def _field(
        self, field: Field, reads: Projection, names: set[str], space: str, path: str, depth: int
    ) -> dict[str, Any]:
        made: dict[str, Any] = {"name": field.name, "type": self.type(field.type, reads, space, path, depth + 1)}
        if field.has_default:
            made["default"] = self._cut(field.type, field.default, reads)
        if field.doc:
            made["doc"] = field.doc
        aliases = [alias for alias in dict.fromkeys(field.aliases) if alias not in names]  # others are ambiguous
        if aliases:
            made["aliases"] = aliases
        return made

    def _cut(self, schema: Type, value: Any, reads: Projection) -> Any:
        """A default without the fields that are not read."""
        if reads.whole or not isinstance(value, dict | list):
            return value
        match schema:
            case Union():
                branch = next((one for one in schema.branches if self._judge.fits(one, value)), None)
                return value if branch is None else self._cut(branch, value, reads)
            case Array() if isinstance(value, list):
                return [self._cut(schema.items, item, reads) for item in value]
            case Map() if isinstance(value, dict):
                return {key: self._cut(schema.values, item, reads) for key, item in value.items()}
            case Record() if isinstance(value, dict):
                return dict(self._members(schema.fields, value, reads))
        return value

    def _members(self, fields: Iterable[Field], value: dict[str, Any], reads: Projection) -> Iterable[tuple[str, Any]]:
        for one in fields:
            below = reads.of(one.name)
            if below is not None and one.name in value:
                yield one.name, self._cut(one.type, value[one.name], below)


def _kind(schema: Record | Enum | Fixed) -> str:
    return type(schema).__name__.lower()


def _logical(schema: Primitive | Fixed | Enum | Array | Map | Record) -> dict[str, Any]:
    """The members that say what values mean."""
    if isinstance(schema, Primitive | Fixed):
        if schema.logical == "decimal":
            return {"logicalType": "decimal", "precision": schema.precision, "scale": schema.scale}
        if schema.logical:
            return {"logicalType": schema.logical}
    if schema.annotation.startswith("decimal("):
        precision, _, scale = schema.annotation[8:-1].partition(", ")
        return {"logicalType": "decimal", "precision": int(precision), "scale": int(scale)}
    return {"logicalType": schema.annotation} if schema.annotation else {}
