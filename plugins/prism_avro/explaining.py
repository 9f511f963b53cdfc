"""How far one value can be read: a walk through its writer schema, field by field, with positions.

Slow, for one value at a time; what decodes batches is :mod:`prism_avro.decoding`, which must come to the same verdict.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, Final

from prism_avro import numbers
from prism_avro.numbers import MAX_DEPTH, MAX_EMPTY_ITEMS, MalformedError
from prism_avro.schema import Array, Enum, Fixed, Map, Primitive, Record, Type, Union
from prism_avro.sizes import least_size
from prismlib.errors import DecodeError
from prismlib.stages.trail import Trail

_FLOATS: Final = {"float": struct.Struct("<f"), "double": struct.Struct("<d")}


class Walk:
    """One walk through one value.

    Attributes:
        trail: the fields that were read.
        path: of the field that is read now, or where it failed.
        at: the byte where that field begins.
    """

    def __init__(self, value: bytes, start: int) -> None:
        """``start`` is where the payload begins, behind the registry's header."""
        self.trail = Trail()
        self.path = ""
        self.at = start
        self._buf = value
        self._pos = start
        self._empty_items = MAX_EMPTY_ITEMS

    def run(self, root: Type) -> DecodeError | None:
        """Read the value; returns why it cannot be read to its end, or None."""
        try:
            self._read(root, "", 0)
            self.path, self.at = "", self._pos
            if self._pos < len(self._buf):
                raise MalformedError("trailing-bytes", "there are bytes after the end of the record")
        except MalformedError as error:
            return self._error(error.code, str(error))
        except UnicodeDecodeError:
            return self._error("invalid-utf8", "a string is not UTF-8")
        except (LookupError, struct.error):
            return self._error("truncated", "the value ends too early")
        except (ValueError, ArithmeticError):
            return self._error("invalid-value", "a value is not of its logical type")
        except RecursionError:
            return self._error("too-deep", "records are nested too deeply")
        return None

    def _error(self, code: str, reason: str) -> DecodeError:
        where = f" in the field {self.path}" if self.path else ""
        return DecodeError(
            f"{reason}{where}; it was not written with the schema that it names", code=code, field=self.path or None
        )

    def _read(self, schema: Type, path: str, depth: int) -> None:
        self.path, self.at = path, self._pos
        match schema:
            case Record():
                if depth > MAX_DEPTH:
                    raise MalformedError("too-deep", "records are nested too deeply")
                for one in schema.fields:
                    self._read(one.type, f"{path}.{one.name}" if path else one.name, depth + 1)
            case Union():
                index = self._number()
                self._read(self._chosen(schema.branches, index, "branch of a union"), path, depth)
            case Array():
                count = 0
                for _ in self._items(path, least_size(schema.items)):
                    self._read(schema.items, f"{path}[{count}]", depth)
                    count += 1
                if not count:
                    self.trail.add(path, [])
            case Map():
                empty = True
                for _ in self._items(path, 1 + least_size(schema.values)):
                    self.path, self.at = path, self._pos
                    self._read(schema.values, f"{path}.{self._bytes().decode()}", depth)
                    empty = False
                if empty:
                    self.trail.add(path, {})
            case Enum():
                self.trail.add(path, self._chosen(schema.symbols, self._number(), "symbol of an enum"))
            case Fixed():
                self.trail.add(path, _logical(schema, self._take(schema.size)))
            case Primitive():
                self.trail.add(path, self._primitive(schema))

    def _primitive(self, schema: Primitive) -> Any:
        match schema.kind:
            case "null":
                return None
            case "boolean":
                return bool(self._chosen((False, True), self._take(1)[0], "boolean"))
            case "int" | "long":
                raw = self._raw()
                if schema.kind == "int" and raw >> 32:
                    raise MalformedError("invalid-number", "an int is longer than 32 bits")
                return (raw >> 1) ^ -(raw & 1)
            case "float" | "double":
                layout = _FLOATS[schema.kind]
                return layout.unpack(self._take(layout.size))[0]
            case "string":
                return self._bytes().decode()
            case _:
                return _logical(schema, self._bytes())

    def _items(self, path: str, least: int) -> Iterator[None]:
        """Once for each item of the blocks of an array or map, whose smallest has ``least`` bytes."""
        while True:
            self.path, self.at = path, self._pos
            count, self._pos = numbers.count_tail(self._buf, self._pos + 1)
            if not count:
                return
            if least and count > (len(self._buf) - self._pos) // least:
                raise MalformedError("truncated", "an array or map has fewer items than it says")
            if not least:
                self._empty_items -= count
                if self._empty_items < 0:
                    raise MalformedError("too-many-items", "too many items without bytes")
            for _ in range(count):
                yield

    def _chosen(self, choices: Any, index: int, what: str) -> Any:
        if not 0 <= index < len(choices):
            raise MalformedError("invalid-index", f"a byte stands for no {what}")
        return choices[index]

    def _raw(self) -> int:
        return self._by(numbers.long_raw)

    def _number(self) -> int:
        return self._by(numbers.long_tail)

    def _by(self, read: Callable[[bytes, int], tuple[int, int]]) -> int:
        """A number; one byte is read in place, as the readers of longer ones expect."""
        if self._buf[self._pos] < 128:
            raw = self._buf[self._pos]
            self._pos += 1
            return raw if read is numbers.long_raw else (raw >> 1) ^ -(raw & 1)
        found, self._pos = read(self._buf, self._pos + 1)
        return found

    def _bytes(self) -> bytes:
        start, end = numbers.length_tail(self._buf, self._pos + 1)
        self._pos = end
        return self._buf[start:end]

    def _take(self, size: int) -> bytes:
        end = self._pos + size
        if end > len(self._buf):
            raise MalformedError("truncated", "the value ends too early")
        taken = self._buf[self._pos : end]
        self._pos = end
        return taken


def _logical(schema: Primitive | Fixed, raw: bytes) -> Any:
    if schema.logical == "decimal":
        return numbers.decimal_of(raw, Decimal(-schema.scale))
    if schema.logical == "uuid":
        return str(uuid.UUID(bytes=raw))
    return raw
