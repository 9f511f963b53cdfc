"""What Confluent's clients put between schema id and payload: the path of indexes of the message within its file.

The path is a count and then the indexes, outermost message first, all of them zigzag varints; the path ``[0]``, the
first message of the file, is written as the single byte zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from prismlib.contracts import framing
from prismlib.errors import DecodeError

MOST_INDEXES: Final = 64
"""Messages are never nested deeper than protoc allows; a longer path is no path."""
_MOST_VARINT: Final = 5


def header(schema_id: int, path: Sequence[int]) -> bytes:
    """All the bytes in front of a payload of the message at ``path``: schema id and indexes."""
    indexes = b"\0" if list(path) == [0] else b"".join(_varint(number) for number in (len(path), *path))
    return framing.header(schema_id) + indexes


def read_path(value: bytes) -> tuple[list[int], int]:
    """The index path after the id, and where the payload begins.

    Raises:
        DecodeError: the value ends before the path does (``truncated``), or it is no path (``message-index``).
    """
    count, at = _read_varint(value, framing.HEADER_LENGTH)
    if count == 0:
        return [0], at
    if not 0 < count <= MOST_INDEXES:
        raise DecodeError(f"the header counts {count} message indexes, which is no path", code="message-index")
    path = []
    for _ in range(count):
        index, at = _read_varint(value, at)
        path.append(index)
    return path, at


def _varint(number: int) -> bytes:
    zigzag = number << 1
    out = bytearray()
    while zigzag > 0x7F:
        out.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    out.append(zigzag)
    return bytes(out)


def _read_varint(value: bytes, at: int) -> tuple[int, int]:
    number = 0
    for position in range(_MOST_VARINT):
        if at + position >= len(value):
            raise DecodeError("the value ends within its message indexes", code="truncated")
        byte = value[at + position]
        number |= (byte & 0x7F) << (7 * position)
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), at + position + 1
    raise DecodeError("a message index in the header is too long to be one", code="message-index")
