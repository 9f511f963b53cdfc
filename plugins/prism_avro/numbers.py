"""What generated decoders call where a value is longer than one byte, and the checks on lengths and counts.

Positions are indexes into the payload. A position past its end is no danger: reading there raises IndexError, and
positions only grow, so the check at the end of every record finds each overrun.
"""

from __future__ import annotations

import decimal
from typing import Final

from prism_avro.schema import MAX_DECIMAL_BYTES

MAX_DEPTH: Final = 200
"""How deeply named types may be nested in one record: below Python's own limit, and far above real data."""
MAX_EMPTY_ITEMS: Final = 10_000
"""Items without bytes (nulls, empty records) in one record: a few bytes could announce any number of them."""

_EXACT: Final = decimal.Context(prec=decimal.MAX_PREC, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN)
_scaled: Final = _EXACT.scaleb
_whole: Final = int.from_bytes


class MalformedError(ValueError):
    """The bytes are no Avro of this schema. ``code`` is a short word, ``args[0]`` a sentence without values."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class UnreadableError(Exception):
    """The bytes are sound, and the reader schema has no place for the value in them; ``args[0]`` says why."""


def long_raw(buf: bytes, pos: int) -> tuple[int, int]:
    """The varint whose first byte is at ``pos - 1``, not zigzag decoded, and the position after it."""
    pos -= 1
    b = buf[pos]
    c = buf[pos + 1]
    if c < 128:
        return b & 127 | c << 7, pos + 2
    d = buf[pos + 2]
    if d < 128:
        return b & 127 | (c & 127) << 7 | d << 14, pos + 3
    e = buf[pos + 3]
    n = b & 127 | (c & 127) << 7 | (d & 127) << 14 | (e & 127) << 21
    if e < 128:
        return n, pos + 4
    e = buf[pos + 4]
    if e < 128:
        return n | e << 28, pos + 5
    f = buf[pos + 5]
    if f < 128:
        return n | (e & 127 | f << 7) << 28, pos + 6
    g = buf[pos + 6]
    if g < 128:
        return n | (e & 127 | (f & 127) << 7 | g << 14) << 28, pos + 7
    h = buf[pos + 7]
    high = e & 127 | (f & 127) << 7 | (g & 127) << 14 | (h & 127) << 21
    if h < 128:
        return n | high << 28, pos + 8
    h = buf[pos + 8]
    high |= (h & 127) << 28
    if h < 128:
        return n | high << 28, pos + 9
    h = buf[pos + 9]
    if h > 1:
        raise MalformedError("invalid-number", "a number is longer than 64 bits")
    return n | high << 28 | h << 63, pos + 10


def long_tail(buf: bytes, pos: int) -> tuple[int, int]:
    """Like :func:`long_raw`, zigzag decoded."""
    n, pos = long_raw(buf, pos)
    return _zigzag(n), pos


def length_tail(buf: bytes, pos: int) -> tuple[int, int]:
    """The start and the end of the bytes whose length has its first byte at ``pos - 1``."""
    n, pos = long_raw(buf, pos) if buf[pos - 1] > 127 else (buf[pos - 1], pos)
    if n & 1:
        raise MalformedError("invalid-length", "a length is negative")
    end = pos + (n >> 1)
    if end > len(buf):
        raise MalformedError("truncated", "the value ends before a length is used up")
    return pos, end


def count_tail(buf: bytes, pos: int) -> tuple[int, int]:
    """The number of items of a block, positive, and where they start; the size of a sized block is passed over."""
    n, pos = long_tail(buf, pos) if buf[pos - 1] > 127 else (_zigzag(buf[pos - 1]), pos)
    if n < 0:
        _, _, pos = _block_size(buf, pos)
        n = -n
    return n, pos


def skip_block(buf: bytes, pos: int) -> tuple[int, int, bool]:
    """The number of items of a block, where its items start, and True; or, for a sized block, its end and False."""
    n, pos = long_tail(buf, pos) if buf[pos - 1] > 127 else (_zigzag(buf[pos - 1]), pos)
    if n >= 0:
        return n, pos, True
    _, end, _ = _block_size(buf, pos)
    return 0, end, False


def skip_varint(buf: bytes, pos: int) -> int:
    """The position after the varint whose first byte is at ``pos - 1``."""
    return long_raw(buf, pos)[1]


def decimal_of(raw: bytes, exponent: decimal.Decimal) -> decimal.Decimal:
    """Two's complement, big-endian, times ten to the power of ``exponent``; never rounded."""
    if len(raw) > MAX_DECIMAL_BYTES:
        raise MalformedError("invalid-decimal", f"a decimal is longer than {MAX_DECIMAL_BYTES} bytes")
    return _scaled(decimal.Decimal(_whole(raw, "big", signed=True)), exponent)


def _zigzag(n: int) -> int:
    return (n >> 1) ^ -(n & 1)


def _block_size(buf: bytes, pos: int) -> tuple[int, int, int]:
    size, start = long_tail(buf, pos + 1) if buf[pos] > 127 else (_zigzag(buf[pos]), pos + 1)
    if size < 0:
        raise MalformedError("invalid-length", "the size of a block is negative")
    if start + size > len(buf):
        raise MalformedError("truncated", "the value ends before a block does")
    return size, start + size, start
