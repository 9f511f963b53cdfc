"""How far one value can be read: a walk over its bytes, with names from the writer's descriptor and positions.

Slow, for one value at a time; what decodes batches is protobuf itself, with :mod:`prism_protobuf.picking`. The wire format:
https://protobuf.dev/programming-guides/encoding/. A field that the schema does not know, or has with another wire type,
is legal; it shows as its number, ``#7``.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

from prism_protobuf.picking import KINDS
from prism_protobuf.schema import is_repeated
from prismlib.errors import DecodeError
from prismlib.stages.trail import Trail

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, FieldDescriptor

MAX_DEPTH: Final = 100
"""How deeply protobuf nests messages, unless it is told otherwise."""

_VARINT, _I64, _LEN, _START, _END, _I32 = range(6)
_LAYOUTS: Final = {1: "<d", 2: "<f", 6: "<Q", 7: "<I", 15: "<i", 16: "<q"}
"""By ``FieldDescriptor.type``: the layout of what has a fixed size."""
_ZIGZAG: Final = frozenset({17, 18})
_SIGNED: Final = {3: 64, 5: 32, 14: 32}
_NARROW: Final = 13


class _FaultError(Exception):
    """The bytes are no Protobuf."""


class Walk:
    """One walk through one payload.

    Attributes:
        trail: the fields that were read.
        path: of the field that is read now, or where it failed.
        at: the byte where that field begins.
    """

    def __init__(self, value: bytes, start: int) -> None:
        """``start`` is where the payload begins, behind id and indexes."""
        self.trail = Trail()
        self.path = ""
        self.at = start
        self._buf = value
        self._pos = start

    def run(self, root: Descriptor) -> DecodeError | None:
        """Read the payload; returns why it cannot be read to its end, or None."""
        try:
            self._message(root, "", len(self._buf), 0)
        except _FaultError as fault:
            where = f" in the field {self.path}" if self.path else ""
            return DecodeError(f"not a Protobuf record: {fault}{where}", code="malformed", field=self.path or None)
        return None

    def _message(self, message: Descriptor | None, path: str, end: int, depth: int, group: int | None = None) -> None:
        """Fields up to ``end``, or to the end tag of a group of that number; a message that is None has no names."""
        if depth > MAX_DEPTH:
            raise _FaultError("the record is nested too deeply")
        counts: dict[int, int] = {}
        if self._pos == end and path:
            self.trail.add(path, {})
        while group is not None or self._pos < end:
            self.path, self.at = path, self._pos
            number, wire = self._tag(end)
            if wire == _END:
                if number != group:
                    raise _FaultError("a group ends that did not begin")
                return
            field = message.fields_by_number.get(number) if message is not None else None
            name = field.name if field is not None else f"#{number}"
            count = counts.get(number, 0)
            if field is not None and is_repeated(field):
                name += f"[{count}]"
            self.path = f"{path}.{name}" if path else name
            if field is not None and wire == _LEN and _is_packable(field):
                counts[number] = self._packed(field, self.path, self._limit(end), count)
                continue
            known = field if field is not None and wire == _wire(field) else None
            if wire == _START:
                inner = known.message_type if known is not None else None
                self._message(inner, self.path, end, depth + 1, number)
            elif wire == _LEN and known is not None and known.message_type is not None:
                self._message(known.message_type, self.path, self._limit(end), depth + 1)
            else:
                self.trail.add(self.path, self._value(known, wire, end))
            counts[number] = count + 1

    def _value(self, field: FieldDescriptor | None, wire: int, end: int) -> Any:
        """One value that holds no other; a field that is None is shown as it is written."""
        match wire:
            case 0:
                raw = self._varint(end)
                return raw if field is None else _number(field, raw)
            case 1 | 5:
                taken = self._take(8 if wire == _I64 else 4, end)
                return taken if field is None else struct.unpack(_LAYOUTS[field.type], taken)[0]
            case 2:
                limit = self._limit(end)
                taken = self._take(limit - self._pos, limit)
                return _text(taken) if field is not None and KINDS[field.type] == "str" else taken
            case _:
                raise _FaultError("there is no such wire type")

    def _packed(self, field: FieldDescriptor, path: str, end: int, count: int) -> int:
        """A list of numbers in one field; returns how many the list has now."""
        base = path.rpartition("[")[0]
        if self._pos == end and not count:
            self.trail.add(base, [])
        while self._pos < end:
            self.path, self.at = f"{base}[{count}]", self._pos
            self.trail.add(self.path, self._value(field, _wire(field), end))
            count += 1
        return count

    def _tag(self, end: int) -> tuple[int, int]:
        tag = self._varint(end)
        number = tag >> 3
        if not 0 < number < 1 << 29:
            raise _FaultError("there is no such field number")
        return number, tag & 7

    def _limit(self, end: int) -> int:
        """Where what has a length ends."""
        length = self._varint(end)
        if length > end - self._pos:
            raise _FaultError("the value ends before a length is used up")
        return self._pos + length

    def _varint(self, end: int) -> int:
        number = 0
        for shift in range(0, 70, 7):
            if self._pos >= end:
                raise _FaultError("the value ends too early")
            byte = self._buf[self._pos]
            self._pos += 1
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number & (1 << 64) - 1
        raise _FaultError("a number is longer than 64 bits")

    def _take(self, size: int, end: int) -> bytes:
        if size > end - self._pos:
            raise _FaultError("the value ends too early")
        taken = self._buf[self._pos : self._pos + size]
        self._pos += size
        return taken


def _text(taken: bytes) -> str:
    try:
        return taken.decode()
    except UnicodeDecodeError:
        raise _FaultError("a string is not valid UTF-8") from None


def _wire(field: FieldDescriptor) -> int:
    if field.type in _LAYOUTS:
        return _I64 if struct.calcsize(_LAYOUTS[field.type]) == 8 else _I32
    if field.type == 10:
        return _START
    return _LEN if KINDS[field.type] in {"str", "bytes", "message"} else _VARINT


def _is_packable(field: FieldDescriptor) -> bool:
    return is_repeated(field) and _wire(field) in {_VARINT, _I64, _I32}


def _number(field: FieldDescriptor, raw: int) -> Any:
    """What a varint means."""
    if field.type in _ZIGZAG:
        return (raw >> 1) ^ -(raw & 1)
    if field.type in _SIGNED:
        bits = _SIGNED[field.type]
        raw &= (1 << bits) - 1
        value = raw - (1 << bits) if raw >> (bits - 1) else raw
        symbol = field.enum_type.values_by_number.get(value) if field.enum_type is not None else None
        return value if symbol is None else symbol.name
    if field.type == 8:
        return bool(raw)
    return raw & 0xFFFFFFFF if field.type == _NARROW else raw
