"""What generated encoders call where a value is not one of the plain, short ones, and their checks.

Reasons name types, never values.
"""

from __future__ import annotations

import datetime as dt
import decimal
import struct
import uuid
from typing import Any, Final

from prismlib.errors import InvalidValueError

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_EPOCH_DAY: Final = _EPOCH.date().toordinal()
_MICROSECOND: Final = dt.timedelta(microseconds=1)
_PACK_FLOAT: Final = struct.Struct("<f").pack

SHORT_INTEGERS: Final = tuple(bytes([n << 1]) for n in range(64)) + tuple(bytes([(-n << 1) - 1]) for n in range(-64, 0))
"""Numbers from -64 to 63 in one byte, at their own index: negative ones count from the end."""


class UnfitError(ValueError):
    """A value does not fit its type; ``args[0]`` says which, without the value."""


def unfit(value: Any, wanted: str) -> UnfitError:
    """The error for a value of another type."""
    return UnfitError(f"must be {wanted}, not {type(value).__name__}")


def long_bytes(n: int) -> bytes:
    """A 64-bit integer, zigzag encoded as a varint."""
    if not -0x8000_0000_0000_0000 <= n <= 0x7FFF_FFFF_FFFF_FFFF:
        raise UnfitError("does not fit into 64 bits")
    n = (n << 1) ^ (n >> 63)
    if n < 0x10_0000:
        if n < 128:
            return bytes((n,))
        return bytes((n & 127 | 128, n >> 7)) if n < 0x4000 else bytes((n & 127 | 128, n >> 7 & 127 | 128, n >> 14))
    if 0x8_0000_0000 <= n < 0x400_0000_0000:  # six bytes: the milliseconds of our time
        low, high = n & 0xFFF_FFFF, n >> 28
        return bytes(
            (low & 127 | 128, low >> 7 & 127 | 128, low >> 14 & 127 | 128, low >> 21 | 128, high & 127 | 128, high >> 7)
        )
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def int_bytes(n: int) -> bytes:
    """A 32-bit integer, zigzag encoded as a varint."""
    if not -0x8000_0000 <= n <= 0x7FFF_FFFF:
        raise UnfitError("does not fit into 32 bits")
    return long_bytes(n)


def integer(value: Any) -> int:
    """An integer of a subclass, such as an IntEnum, as a plain one. A boolean is no number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    raise unfit(value, "an integer")


def floating(value: Any) -> float:
    """An integer as a float, where that is exact."""
    if isinstance(value, float):
        return float(value)
    whole = integer_or_unfit(value, "a number")
    try:
        exact = float(whole)
    except OverflowError as error:
        raise UnfitError("is too large for a float") from error
    if exact != whole:
        raise UnfitError("is an integer that a float cannot hold exactly")
    return exact


def integer_or_unfit(value: Any, wanted: str) -> int:
    """Like :func:`integer`, for a place that wants more than integers."""
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    raise unfit(value, wanted)


def single(value: float) -> bytes:
    """A 32-bit float; digits beyond its seven are lost, as the schema wants it."""
    try:
        return _PACK_FLOAT(value)
    except OverflowError as error:
        raise UnfitError("is too large for a 32-bit float") from error


def text(value: Any) -> str:
    """A string of a subclass, such as a StrEnum, as a plain one."""
    if isinstance(value, str):
        return str.__str__(value)
    raise unfit(value, "a string")


def octets(value: Any) -> bytes:
    """Bytes, also from a bytearray or memoryview."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    raise unfit(value, "bytes")


def fixed(value: Any, size: int) -> bytes:
    """Exactly ``size`` bytes."""
    raw = octets(value)
    if len(raw) != size:
        raise UnfitError(f"must be {size} bytes long, not {len(raw)}")
    return raw


def uuid_bytes(value: Any) -> bytes:
    """A uuid, text or ``uuid.UUID``, as its 16 bytes."""
    if isinstance(value, uuid.UUID):
        return value.bytes
    try:
        return uuid.UUID(text(value)).bytes
    except ValueError as error:
        raise UnfitError("must be a uuid") from error


def decimal_bytes(value: Any, precision: int, scale: int, size: int | None) -> bytes:
    """A decimal or integer as two's complement, in ``size`` bytes or as few as it takes. Never rounded."""
    if not isinstance(value, decimal.Decimal):
        value = decimal.Decimal(integer_or_unfit(value, "a Decimal"))
    if not value.is_finite():
        raise UnfitError("must be a finite decimal")
    sign, digits, exponent = value.as_tuple()
    shift = int(exponent) + scale
    while shift < 0 and digits and digits[-1] == 0:
        digits, shift = digits[:-1], shift + 1
    if any(digits) and (shift < 0 or len(digits) + shift > precision):
        raise UnfitError(f"does not fit into {precision} digits, {scale} of them after the point")
    unscaled = int("".join(map(str, digits))) * 10**shift if any(digits) else 0
    unscaled = -unscaled if sign else unscaled
    least = (unscaled + (unscaled < 0)).bit_length() // 8 + 1
    if size is not None and least > size:
        raise UnfitError(f"does not fit into {size} bytes")
    return unscaled.to_bytes(size if size is not None else least, "big", signed=True)


def timestamp(value: Any, microseconds: int) -> int:
    """A datetime with time zone as units of so many microseconds, rounded down; an integer stays what it is."""
    if not isinstance(value, dt.datetime):
        return integer_or_unfit(value, "an integer or a datetime")
    if value.tzinfo is None:
        raise UnfitError("is a datetime without time zone; give it one")
    since = (value - _EPOCH) // _MICROSECOND
    return since // microseconds if microseconds else since * 1000


def day(value: Any) -> int:
    """A date as days since 1970-01-01; an integer stays what it is."""
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value.toordinal() - _EPOCH_DAY
    return integer_or_unfit(value, "an integer or a date")


def check_names(value: dict[str, Any], names: frozenset[str]) -> None:
    """A record must not bring fields that the schema would drop."""
    for name in value:
        if name not in names:
            shown = name if isinstance(name, str) and len(name) <= 100 else type(name).__name__
            raise InvalidValueError(
                f"the field {shown!r} is not in the schema and would be lost; add it there, or leave it out",
                code="unknown-field",
            )
