"""A plan as Python source: the decoder of one writer schema, for what is read of it.

The code keeps a position ``p`` in the payload ``buf``. One-byte numbers, by far the most, are read in place, others by
:mod:`prism_avro.numbers`. Short of the checks there, nothing compares ``p`` with the end: reading past it raises, and
every record checks its end once.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any, Final, TypeAlias

from prism_avro import numbers
from prism_avro.numbers import MAX_DEPTH, MAX_EMPTY_ITEMS, MalformedError, UnreadableError
from prism_avro.resolution import Plan, ReadArray, ReadEnum, ReadMap, ReadRecord, ReadUnion, ReadValue, Unreadable
from prism_avro.schema import Array, Enum, Fixed, Map, Primitive, Record, Type, Union
from prism_avro.sizes import constant_size, least_size
from prism_avro.source import MAX_INDENTS, Item, Locator, Source
from prismlib.errors import DecodeError
from prismlib.records import Row

Run: TypeAlias = Callable[[Iterable[bytes | None], list[Row | None]], bytes | None]
"""Decodes values up to the first with another header, which it returns; appends a row for each. Raises at the first that
it cannot decode, with ``len(rows)`` as its row; the values after that are left in the iterator."""

FAULTS: Final = (LookupError, ValueError, ArithmeticError, struct.error)
"""What generated code raises for malformed bytes; :meth:`Program.explain` tells them apart."""


@dataclass(frozen=True, slots=True)
class Program:
    """Compiled code for one writer schema."""

    run: Run
    locator: Locator

    def explain(self, error: BaseException) -> DecodeError:
        """Why a record cannot be decoded, from what ``run`` raised."""
        field = self.locator.field(error)
        where = f" in the field {field}" if field else ""
        match error:
            case MalformedError():
                code, reason = error.code, str(error)
            case UnicodeDecodeError():
                code, reason = "invalid-utf8", "a string is not UTF-8"
            case KeyError():
                code, reason = "invalid-index", "a byte stands for no symbol, branch or boolean"
            case _:
                code, reason = "truncated", "the value ends too early"
        return DecodeError(f"{reason}{where}; it was not written with the schema that it names", code=code, field=field)


def compile_plan(plan: Plan, header: bytes, filename: str) -> Program:
    """Generate and compile the decoder of ``plan``.

    Args:
        plan: of the root, which reads a record.
        header: what every value starts with; empty for values without a header.
        filename: for tracebacks.

    Raises:
        RecursionError, MemoryError: the schema is too large to be compiled.
    """
    return _Writer(filename).program(header, lambda source: source.read(plan, "row"), "row")


def compile_skip(writer: Type, header: bytes, filename: str) -> Program:
    """Like :func:`compile_plan`, for a decoder that finds out whether values are sound and gives rows of None."""
    return _Writer(filename).program(header, lambda source: source.skip(writer), "None")


def _names() -> dict[str, Any]:
    return {
        "RAW": numbers.long_raw,
        "LENGTH": numbers.length_tail,
        "COUNT": numbers.count_tail,
        "SKIP_BLOCK": numbers.skip_block,
        "SKIP_VARINT": numbers.skip_varint,
        "DECIMAL": numbers.decimal_of,
        "UUID": uuid.UUID,
        "FLOAT": struct.Struct("<f").unpack_from,
        "DOUBLE": struct.Struct("<d").unpack_from,
        "BOOLEAN": {0: False, 1: True},
        "COPY": _copy,
        "MALFORMED": MalformedError,
        "UNREADABLE": UnreadableError,
        "EMPTY": [0],
    }


def _copy(value: Any) -> Any:
    """A default that rows do not share."""
    if isinstance(value, dict):
        return {key: _copy(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_copy(one) for one in value]
    return value


class _Writer:
    """Writes the source; ``read`` and ``skip`` of a type that is used twice, or in itself, become functions."""

    def __init__(self, filename: str) -> None:
        self._source = Source(filename, _names())
        self._functions: dict[int, str] = {}
        self._waiting: list[tuple[str, Plan | Type]] = []
        self._seen: dict[int, Plan | Type] = {}
        self._depth = "0"
        self._empty_items = False

    def program(self, header: bytes, body: Callable[[_Writer], None], row: str) -> Program:
        out = self._source
        with out.function("def run(values, rows):"):
            out("append = rows.append")
            with out.block("for buf in values:"):
                with out.block("if buf is None:"):
                    out("append(None)", "continue")
                if header:
                    with out.block(f"if buf[:{len(header)}] != {out.constant(header)}:"):
                        out("return buf")
                out("end = len(buf)", f"p = {len(header)}")
                budget = out.reserve()
                body(self)
                with out.block("if p != end:"):
                    out(
                        "if p > end: raise MALFORMED('truncated', 'the value ends too early')",
                        "raise MALFORMED('trailing-bytes', 'there are bytes after the end of the record')",
                    )
                out(f"append({row})")
        while self._waiting:
            self._function(*self._waiting.pop())
        if self._empty_items:
            out.fill(budget, f"EMPTY[0] = {MAX_EMPTY_ITEMS}")
        return Program(*out.compile("run"))

    def _function(self, name: str, what: Plan | Type) -> None:
        out = self._source
        self._depth = "depth + 1"
        with out.function(f"def {name}(buf, p, end, depth):"):
            with out.block(f"if depth > {MAX_DEPTH}:"):
                out("raise MALFORMED('too-deep', 'records are nested too deeply')")
            if isinstance(what, _PLANS):
                self._read(what, "v")
                out("return v, p")
            else:
                self._skip(what)
                out("return p")

    def _call(self, what: Plan | Type) -> str | None:
        """The function for ``what``, or None where it is to be written in place: a record met for the first time is."""
        name = self._functions.get(id(what))
        if name is None:
            repeated = isinstance(what, ReadRecord | Record) and id(what) in self._seen
            self._seen[id(what)] = what
            if not repeated and self._source.indents < MAX_INDENTS:
                return None
            name = self._functions[id(what)] = self._source.name("f")
            self._waiting.append((name, what))
        return name

    def read(self, plan: Plan, into: str) -> None:
        """Lines that read ``plan`` into the variable ``into`` and move ``p`` on."""
        name = self._call(plan)
        if name:
            self._source(f"{into}, p = {name}(buf, p, end, {self._depth})")
        else:
            self._read(plan, into)

    def _read(self, plan: Plan, into: str) -> None:
        match plan:
            case ReadValue():
                self._value(plan, into)
            case ReadEnum():
                self._enum(plan, into)
            case ReadArray():
                self._array(plan, into)
            case ReadMap():
                self._map(plan, into)
            case ReadUnion():
                self._union([partial(self.read, branch, into) for branch in plan.branches])
            case ReadRecord():
                self._record(plan, into)
            case Unreadable():
                self._source(f"raise UNREADABLE({self._source.constant(plan.reason)})")

    def _record(self, plan: ReadRecord, into: str) -> None:
        out = self._source
        values = {name: self._default(value) for name, value in plan.defaults.items()}
        for step in plan.steps:
            if step.plan is None:
                with out.at(step.writer.name):
                    self.skip(step.writer.type)
                continue
            with out.at(step.target):
                values[step.target] = variable = out.name("v")
                self.read(step.plan, variable)
        out(f"{into} = {{{', '.join(f'{name!r}: {values[name]}' for name in plan.row)}}}")

    def _default(self, value: Any) -> str:
        constant = self._source.constant(value)
        return f"COPY({constant})" if isinstance(value, dict | list) else constant

    def _value(self, plan: ReadValue, into: str) -> None:
        out = self._source
        writer = plan.writer
        kind = writer.kind if isinstance(writer, Primitive) else "fixed"
        match kind:
            case "null":
                out(f"{into} = None")
            case "boolean":
                out(f"{into} = BOOLEAN[buf[p]]; p += 1")
            case "int" | "long":
                out(f"{into} = buf[p]; p += 1")
                with out.block(f"if {into} > 127:"):
                    out(f"{into}, p = RAW(buf, p)")
                    if kind == "int":
                        out(f"if {into} >> 32: raise MALFORMED('invalid-number', 'an int is longer than 32 bits')")
                out(f"{into} = ~({into} >> 1) if {into} & 1 else {into} >> 1")
                if plan.kind in {"float", "double"}:
                    out(f"{into} = float({into})")
            case "float":
                out(f"{into}, = FLOAT(buf, p); p += 4")
            case "double":
                out(f"{into}, = DOUBLE(buf, p); p += 8")
            case _:
                self._bytes(plan, into)

    def _bytes(self, plan: ReadValue, into: str) -> None:
        out = self._source
        if isinstance(plan.writer, Fixed):
            out(f"q = p + {plan.writer.size}")
            out("if q > end: raise MALFORMED('truncated', 'the value ends too early')")
        else:
            self._length()
        piece = "buf[p:q]"
        if plan.kind == "string":
            piece = f"{piece}.decode()"
        elif plan.logical == "decimal":
            piece = f"DECIMAL({piece}, {out.constant(Decimal(-plan.scale))})"
        elif plan.logical == "uuid":
            piece = f"str(UUID(bytes={piece}))"
        out(f"{into} = {piece}; p = q")

    def _length(self) -> None:
        """Bytes from ``p`` to ``q`` follow."""
        self._source(
            "q = buf[p]; p += 1",
            "if q > 127 or q & 1: p, q = LENGTH(buf, p)",
            "else: q = p + (q >> 1)",
        )

    def _enum(self, plan: ReadEnum, into: str) -> None:
        out = self._source
        out(f"{into} = buf[p]; p += 1")
        out(f"if {into} > 127: {into}, p = RAW(buf, p)")
        if plan.unreadable:
            unreadable = out.constant({2 * index: reason for index, reason in plan.unreadable.items()})
            out(f"if {into} in {unreadable}: raise UNREADABLE({unreadable}[{into}])")
        out(f"{into} = {out.constant({2 * index: symbol for index, symbol in plan.symbols.items()})}[{into}]")

    def _array(self, plan: ReadArray, into: str) -> None:
        out = self._source
        made, item = out.name("a"), out.name("v")
        out(f"{made} = []")
        with out.at(Item(made)), self._items(least_size(plan.writer.items)):
            self.read(plan.items, item)
            out(f"{made}.append({item})")
        out(f"{into} = {made}")

    def _map(self, plan: ReadMap, into: str) -> None:
        out = self._source
        made, key, item = out.name("m"), out.name("k"), out.name("v")
        out(f"{made} = {{}}")
        with out.at("*"), self._items(1 + least_size(plan.writer.values)):
            self._length()
            out(f"{key} = buf[p:q].decode(); p = q")
            self.read(plan.values, item)
            out(f"{made}[{key}] = {item}")
        out(f"{into} = {made}")

    @contextmanager
    def _items(self, least: int) -> Iterator[None]:
        """The loops around the items of an array or map, whose smallest has ``least`` bytes."""
        out = self._source
        count = out.name("n")
        with out.block("while True:"):
            out(
                f"{count} = buf[p]; p += 1",
                f"if {count} > 127 or {count} & 1: {count}, p = COUNT(buf, p)",
                f"else: {count} >>= 1",
                f"if not {count}: break",
            )
            self._check_count(count, least)
            with out.block(f"for _ in range({count}):"):
                yield

    def _check_count(self, count: str, least: int) -> None:
        """A count may announce no more items than the bytes that are left can hold."""
        out = self._source
        if least:
            limit = "end - p" if least == 1 else f"(end - p) // {least}"
            out(f"if {count} > {limit}: raise MALFORMED('truncated', 'an array or map has fewer items than it says')")
        else:
            self._empty_items = True
            out(f"EMPTY[0] -= {count}")
            out("if EMPTY[0] < 0: raise MALFORMED('too-many-items', 'too many items without bytes')")

    def _union(self, branches: list[Callable[[], None]]) -> None:
        out = self._source
        index = out.name("b")
        out(f"{index} = buf[p]; p += 1")
        out(f"if {index} > 127: {index}, p = RAW(buf, p)")
        word = "if"
        for number, branch in enumerate(branches):
            with out.block(f"{word} {index} == {2 * number}:"):
                out("pass")  # a branch may have no bytes to skip
                branch()
            word = "elif"
        out("else: raise MALFORMED('invalid-index', 'a byte stands for no branch of a union')")

    def skip(self, writer: Type) -> None:
        """Lines that move ``p`` past a value as it was written."""
        size = constant_size(writer)
        if size is not None:
            if size:
                self._source(f"p += {size}")
            return
        name = self._call(writer)
        if name:
            self._source(f"p = {name}(buf, p, end, {self._depth})")
        else:
            self._skip(writer)

    def _skip(self, writer: Type) -> None:
        out = self._source
        match writer:
            case Primitive(kind="string" | "bytes"):
                self._length()
                out("p = q")
            case Primitive() | Enum():
                out("p += 1", "if buf[p - 1] > 127: p = SKIP_VARINT(buf, p)")
            case Array():
                self._skip_blocks(writer.items, keyed=False)
            case Map():
                self._skip_blocks(writer.values, keyed=True)
            case Union():
                self._union([partial(self.skip, branch) for branch in writer.branches])
            case Record():
                for one in writer.fields:
                    with out.at(one.name):
                        self.skip(one.type)
            case Fixed():
                raise AssertionError("a fixed type has a constant size")

    def _skip_blocks(self, items: Type, *, keyed: bool) -> None:
        out = self._source
        count, has_items = out.name("n"), out.name("s")
        with out.block("while True:"):
            out(f"{count} = buf[p]; p += 1; {has_items} = True")
            out(f"if {count} > 127 or {count} & 1: {count}, p, {has_items} = SKIP_BLOCK(buf, p)")
            out(f"else: {count} >>= 1")
            out(f"if not {has_items}: continue", f"if not {count}: break")
            size = None if keyed else constant_size(items)
            if size is not None:
                if size:
                    self._check_count(count, size)
                    out(f"p += {count} * {size}")
                return
            self._check_count(count, keyed + least_size(items))
            with out.block(f"for _ in range({count}):"):
                if keyed:
                    self._length()
                    out("p = q")
                self.skip(items)


_PLANS: Final = (ReadValue, ReadEnum, ReadArray, ReadMap, ReadUnion, ReadRecord, Unreadable)
