"""Where something stands in a JSON text. Imported only where a person is told so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from json.decoder import JSONDecoder, scanstring  # type: ignore[attr-defined]  # not in the type stubs
from typing import Final

_SCAN: Final = JSONDecoder().scan_once  # type: ignore[attr-defined]  # raw_decode without a copy of its error handling
_SPACE: Final = " \t\n\r"


def locate(text: str, keys: Sequence[str | int]) -> tuple[int, int]:
    """Where in a valid JSON text the last of the keys and indexes stands, and where its value starts."""
    named = start = _skip(text, 0)
    for key in keys:
        named, start = [(at, value) for name, at, value in _members(text, start) if name == key][-1]  # of two the last
    return named, start


def _members(text: str, start: int) -> Iterator[tuple[str | int, int, int]]:
    """Keys, or indexes, of an object or list; where each stands, and where its value starts."""
    index, at = 0, _skip(text, start + 1)
    while text[at] not in "]}":
        name: str | int = index
        named = at
        if text[start] == "{":
            name, at = scanstring(text, at + 1)
            at = _skip(text, _skip(text, at) + 1)
        yield name, named, at
        _, at = _SCAN(text, at)
        at = _skip(text, at)
        if text[at] == ",":
            at = _skip(text, at + 1)
        index += 1


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at
