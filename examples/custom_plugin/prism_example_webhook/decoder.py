"""The decoder ``msgpack``: one MessagePack map a value."""

from __future__ import annotations

from typing import Any

import msgpack  # type: ignore[import-untyped]

from prismlib import Decoded, DecodeError, FieldSet, RecordBatch, RecordError, Row


class MessagePackDecoder:
    """See :class:`prismlib.Decoder`. Timestamps become datetimes; every other extension type is refused.

    Memory is bounded whatever lengths a value claims: no list may claim more items than the value has bytes, or than
    ``max_items``, and the C library goes 1,024 levels deep at most before ``max_depth`` is looked at.
    """

    def __init__(self, reads: FieldSet, *, max_depth: int = 32, max_items: int = 4_096) -> None:
        """With empty ``reads`` rows are the payloads themselves, not looked at; otherwise whole maps."""
        self._parse = bool(reads)
        self._max_depth = max_depth
        self._max_items = max_items

    def decode(self, batch: RecordBatch) -> Decoded:
        """Decode all values; a value that is no map, or too deep or too long, is a DecodeError."""
        if not self._parse:
            return Decoded(batch.values)
        rows: list[Row | None] = []
        errors: dict[int, RecordError] = {}
        for value in batch.values:
            try:
                rows.append(None if value is None else self._row(value))
            except DecodeError as error:
                errors[len(rows)] = error.with_traceback(None)  # its traceback would keep the batch in memory
                rows.append(None)
        return Decoded(rows, errors)

    def _row(self, value: bytes) -> dict[str, Any]:
        most = min(self._max_items, len(value))
        try:
            row: object = msgpack.unpackb(
                value, timestamp=3, ext_hook=_refuse, max_array_len=most, max_map_len=most, strict_map_key=True
            )
        except msgpack.ExtraData:
            raise DecodeError("there are bytes behind the end of the MessagePack value", code="trailing") from None
        except (ValueError, OverflowError):  # its text may quote the value
            raise DecodeError("the value is not MessagePack, or claims too many items", code="invalid") from None
        if not isinstance(row, dict):
            raise DecodeError("the value is MessagePack, but no map; only maps become rows", code="no-map")
        self._check(row)
        return row

    def _check(self, row: dict[str, Any]) -> None:
        """Level by level, because a value of a stranger may be deeper than Python's stack."""
        level: list[Any] = [row]
        for _ in range(self._max_depth):
            below: list[Any] = []
            for value in level:
                if isinstance(value, dict):
                    if not all(isinstance(key, str) for key in value):
                        raise DecodeError("a map has keys that are no text", code="key")
                    below += value.values()
                elif isinstance(value, list):
                    below += value
            level = [value for value in below if isinstance(value, dict | list)]
            if not level:
                return
        raise DecodeError(f"maps and lists are more than {self._max_depth} levels deep", code="too-deep")


def _refuse(code: int, _: bytes) -> object:
    raise DecodeError(f"the value holds the extension type {code}; only timestamps are known", code="extension-type")
