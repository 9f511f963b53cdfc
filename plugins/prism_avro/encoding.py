"""A type as Python source: the encoder of one schema.

A record becomes one ``join`` of the pieces of its fields. Values of the expected class and of short length are encoded
in place; others, and errors, are left to :mod:`prism_avro.writing`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from prism_avro import writing
from prism_avro.choosing import chooser
from prism_avro.defaults import default_of
from prism_avro.numbers import MAX_DEPTH
from prism_avro.schema import Array, Enum, Field, Fixed, Map, Primitive, Record, Type, Union, describe
from prism_avro.source import MAX_INDENTS, Item, Locator, Source
from prism_avro.writing import UnfitError
from prismlib.errors import InvalidValueError

Run: TypeAlias = Callable[[Iterable[Any], list[bytes | None]], None]
"""Encodes bodies and appends a value for each. Raises at the first that does not fit, with ``len(values)`` as its
position; the bodies after that are left in the iterator."""

FAULTS: Final = (KeyError, ValueError, InvalidValueError)
"""What generated code raises for bodies that do not fit; :meth:`EncoderProgram.explain` tells them apart."""

_MICROSECONDS: Final = {"timestamp-millis": 1000, "timestamp-micros": 1, "timestamp-nanos": 0}


@dataclass(frozen=True, slots=True)
class EncoderProgram:
    """Compiled code for one schema."""

    run: Run
    locator: Locator

    def explain(self, error: BaseException) -> InvalidValueError:
        """Why a body cannot be encoded, from what ``run`` raised."""
        field = self.locator.field(error)
        where = f"the field {field}" if field else "the body"
        match error:
            case InvalidValueError():
                return InvalidValueError(error.reason, code=error.code, field=field)
            case KeyError():
                reason = f"{where} is missing, and the schema has no default for it"
                return InvalidValueError(reason, code="missing-field", field=field)
            case UnicodeEncodeError():
                reason = f"{where} holds half of a surrogate pair, which is no text"
                return InvalidValueError(reason, field=field)
        return InvalidValueError(f"{where} {error}", field=field)


def compile_encoder(schema: Record, header: bytes, filename: str) -> EncoderProgram:
    """Generate and compile the encoder of ``schema``.

    Raises:
        SchemaParseError: a default is not a value of its type.
        RecursionError, MemoryError: the schema is too large to be compiled.
    """
    return _Writer(filename).program(schema, header)


def _names() -> dict[str, Any]:
    return {
        "SHORT": writing.SHORT_INTEGERS,
        "LONG": writing.long_bytes,
        "INT": writing.int_bytes,
        "INTEGER": writing.integer,
        "NUMBER": writing.floating,
        "DOUBLE": struct.Struct("<d").pack,
        "FLOAT": writing.single,
        "TEXT": writing.text,
        "OCTETS": writing.octets,
        "FIXED": writing.fixed,
        "UUID": writing.uuid_bytes,
        "DECIMAL": writing.decimal_bytes,
        "TIMESTAMP": writing.timestamp,
        "DAY": writing.day,
        "CHECK_NAMES": writing.check_names,
        "UNFIT": writing.unfit,
        "UNFIT_ERROR": UnfitError,
        "MISSING": object(),
        "join": b"".join,
    }


class _Writer:
    """Writes the source; records that are used twice, or in themselves, become functions."""

    def __init__(self, filename: str) -> None:
        self._source = Source(filename, _names())
        self._functions: dict[int, str] = {}
        self._waiting: list[tuple[str, Type]] = []
        self._seen: dict[int, Type] = {}
        self._depth = "0"

    def program(self, schema: Record, header: bytes) -> EncoderProgram:
        out = self._source
        with out.function("def run(bodies, values):"):
            out("append = values.append")
            with out.block("for body in bodies:"):
                with out.block("if body is None:"):
                    out("append(None)", "continue")
                pieces = self._write(schema, "body")
                out(f"append({_joined([out.constant(header), *pieces] if header else pieces)})")
        while self._waiting:
            name, what = self._waiting.pop()
            self._depth = "depth + 1"
            with out.function(f"def {name}(x, depth):"):
                out(f"if depth > {MAX_DEPTH}: raise UNFIT_ERROR('is nested too deeply')")
                out(f"return {_joined(self._pieces(what, 'x'))}")
        return EncoderProgram(*out.compile("run"))

    def _write(self, schema: Type, value: str) -> list[str]:
        """Lines that encode the variable ``value``, and the expressions whose bytes make it up."""
        name = self._functions.get(id(schema))
        if name is None:
            repeated = isinstance(schema, Record) and id(schema) in self._seen
            self._seen[id(schema)] = schema
            if not repeated and self._source.indents < MAX_INDENTS:
                return self._pieces(schema, value)
            name = self._functions[id(schema)] = self._source.name("f")
            self._waiting.append((name, schema))
        piece = self._source.name("s")
        self._source(f"{piece} = {name}({value}, {self._depth})")
        return [piece]

    def _pieces(self, schema: Type, value: str) -> list[str]:
        match schema:
            case Primitive():
                return self._primitive(schema, value)
            case Fixed():
                return self._fixed(schema, value)
            case Enum():
                return self._enum(schema, value)
            case Array():
                return self._array(schema, value)
            case Map():
                return self._map(schema, value)
            case Union():
                return self._union(schema, value)
            case Record():
                return self._record(schema, value)

    def _record(self, schema: Record, value: str) -> list[str]:
        out = self._source
        pieces: list[str] = []
        out(f"if {value}.__class__ is not dict: raise UNFIT({value}, {f'a dict for {describe(schema)}'!r})")
        for field in schema.fields:
            with out.at(field.name):
                item = out.name("x")
                self._fetch(field, value, item)
                pieces += self._write(field.type, item)
        names = out.constant(frozenset(field.name for field in schema.fields))
        out(f"if len({value}) != {len(schema.fields)}: CHECK_NAMES({value}, {names})")
        return pieces

    def _fetch(self, field: Field, value: str, item: str) -> None:
        out = self._source
        if not field.has_default:
            out(f"{item} = {value}[{field.name!r}]")
            return
        out(f"{item} = {value}.get({field.name!r}, MISSING)")
        out(f"if {item} is MISSING: {item} = {out.constant(default_of(field))}")

    def _primitive(self, schema: Primitive, value: str) -> list[str]:
        out = self._source
        piece = out.name("s")
        match schema.kind:
            case "null":
                out(f"if {value} is not None: raise UNFIT({value}, 'None')")
                return []
            case "boolean":
                out(
                    f"if {value} is True: {piece} = b'\\x01'",
                    f"elif {value} is False: {piece} = b'\\x00'",
                    f"else: raise UNFIT({value}, 'a boolean')",
                )
            case "int" | "long":
                out(f"if {value}.__class__ is not int: {value} = {_to_integer(schema, value)}")
                out(f"{piece} = SHORT[{value}] if -64 <= {value} < 64 else {schema.kind.upper()}({value})")
            case "float" | "double":
                out(f"if {value}.__class__ is not float: {value} = NUMBER({value})")
                out(f"{piece} = {schema.kind.upper()}({value})")
            case "string":
                out(f"if {value}.__class__ is not str: {value} = TEXT({value})")
                out(f"{piece} = {value}.encode()")
                return [self._length(piece), piece]
            case _:
                if schema.logical == "decimal":
                    out(f"{piece} = DECIMAL({value}, {schema.precision}, {schema.scale}, None)")
                else:
                    out(f"{piece} = {value} if {value}.__class__ is bytes else OCTETS({value})")
                return [self._length(piece), piece]
        return [piece]

    def _length(self, piece: str) -> str:
        length = self._source.name("l")
        self._source(f"{length} = len({piece})", f"{length} = SHORT[{length}] if {length} < 64 else LONG({length})")
        return length

    def _fixed(self, schema: Fixed, value: str) -> list[str]:
        piece = self._source.name("s")
        if schema.logical == "decimal":
            self._source(f"{piece} = DECIMAL({value}, {schema.precision}, {schema.scale}, {schema.size})")
        elif schema.logical == "uuid":
            self._source(f"{piece} = UUID({value})")
        else:
            self._source(f"{piece} = FIXED({value}, {schema.size})")
        return [piece]

    def _enum(self, schema: Enum, value: str) -> list[str]:
        out = self._source
        piece = out.name("s")
        symbols = out.constant({symbol: writing.long_bytes(index) for index, symbol in enumerate(schema.symbols)})
        out(
            f"if {value}.__class__ is not str: {value} = TEXT({value})",
            f"{piece} = {symbols}.get({value})",
            f"if {piece} is None: raise UNFIT_ERROR({f'is no symbol of {schema.name}'!r})",
        )
        return [piece]

    def _array(self, schema: Array, value: str) -> list[str]:
        out = self._source
        piece, made, item = out.name("s"), out.name("a"), out.name("x")
        out(f"if not isinstance({value}, (list, tuple)): raise UNFIT({value}, 'a list')")
        with out.block(f"if {value}:"):
            out(f"{made} = []")
            with out.at(Item(made)), out.block(f"for {item} in {value}:"):
                out(f"{made}.append({_joined(self._write(schema.items, item))})")
            out(f"{piece} = LONG(len({made})) + join({made}) + b'\\x00'")
        out(f"else: {piece} = b'\\x00'")
        return [piece]

    def _map(self, schema: Map, value: str) -> list[str]:
        out = self._source
        piece, made, item, key = out.name("s"), out.name("a"), out.name("x"), out.name("k")
        out(f"if {value}.__class__ is not dict: raise UNFIT({value}, 'a dict')")
        with out.block(f"if {value}:"):
            out(f"{made} = []")
            with out.at("*"), out.block(f"for {key}, {item} in {value}.items():"):
                pieces = self._primitive(Primitive("string"), key) + self._write(schema.values, item)
                out(f"{made}.append({_joined(pieces)})")
            out(f"{piece} = LONG(len({made})) + join({made}) + b'\\x00'")
        out(f"else: {piece} = b'\\x00'")
        return [piece]

    def _union(self, schema: Union, value: str) -> list[str]:
        out = self._source
        piece = out.name("s")
        nulls = [
            i for i, branch in enumerate(schema.branches) if isinstance(branch, Primitive) and branch.kind == "null"
        ]
        others = [index for index in range(len(schema.branches)) if index not in nulls]
        if nulls:
            out(f"if {value} is None: {piece} = {writing.long_bytes(nulls[0])!r}")
        with out.block("else:") if nulls else nullcontext():
            if len(others) == 1:
                self._union_branch(schema, others[0], value, piece)
                return [piece]
            index = out.name("b")
            out(f"{index} = {out.constant(chooser(schema))}({value})")
            out(f"if {index} < 0: raise UNFIT({value}, {f'of a type in the {describe(schema)}'!r})")
            for number in others:
                with out.block(f"if {index} == {number}:"):
                    self._union_branch(schema, number, value, piece)
        return [piece]

    def _union_branch(self, schema: Union, number: int, value: str, piece: str) -> None:
        pieces = self._write(schema.branches[number], value)
        self._source(f"{piece} = {_joined([repr(writing.long_bytes(number)), *pieces])}")


def _to_integer(schema: Primitive, value: str) -> str:
    if schema.logical in _MICROSECONDS:
        return f"TIMESTAMP({value}, {_MICROSECONDS[schema.logical]})"
    return f"DAY({value})" if schema.logical == "date" else f"INTEGER({value})"


def _joined(pieces: list[str]) -> str:
    if len(pieces) > 3:
        return f"join(({', '.join(pieces)}))"
    return " + ".join(pieces) or "b''"
