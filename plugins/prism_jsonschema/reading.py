"""JSON as far as it goes: the fields of a text up to the first character that cannot stand there. For people, not for batches."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from typing import Any, Final

import orjson

MOST_NAMES: Final = 4 << 20
"""Characters and steps that the paths of all fields may have together; fields beyond them are left out. A name that holds ten
thousand fields would otherwise be written out as often."""

_TOKEN: Final = re.compile(
    r"""[ \t\n\r]*(?:
        (?P<mark>[{}\[\],:])
      | (?P<text>"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+")
      | (?P<other>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null)
    )""",
    re.VERBOSE,
)
_OPEN_TEXT: Final = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*+\\?\Z')
_SPACE: Final = re.compile(r"[ \t\n\r]*")


def path_of(steps: Iterable[str | int]) -> str:
    """The path of a field, such as ``lines[2].sku``."""
    path = ""
    for step in steps:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path


def explain_payload(payload: bytes) -> tuple[list[tuple[str, Any]], int | None]:
    """Every field, and the byte at which the payload stops being JSON; None where it does not.

    A field is what holds no others: a scalar, or an empty object or array.
    """
    try:
        text, broken = payload.decode(), None
    except UnicodeDecodeError as error:
        text, broken = payload[: error.start].decode(), error.start
    fields, at = _read(text)
    if broken is not None and (at is None or at == len(text) or _OPEN_TEXT.match(text, at)):
        return fields, broken
    return fields, None if at is None else len(text[:at].encode())


class _Expect(enum.Enum):
    """What may come next."""

    VALUE = enum.auto()
    VALUE_OR_END = enum.auto()
    KEY = enum.auto()
    KEY_OR_END = enum.auto()
    COLON = enum.auto()
    COMMA_OR_END = enum.auto()


def _read(text: str) -> tuple[list[tuple[str, Any]], int | None]:
    """The fields, and the character that cannot stand there."""
    fields = _Fields()
    way = fields.way
    expect = _Expect.VALUE
    at = 0
    while True:
        token = _TOKEN.match(text, at)
        if token is None:
            break
        mark, key = token["mark"], token["text"]
        end = mark is not None and mark == _end_of(way)
        if expect is _Expect.COLON and mark == ":":
            expect = _Expect.VALUE
        elif expect in _KEYS and key is not None and (name := _scalar(key)) is not _REFUSED:
            way[-1] = name
            expect = _Expect.COLON
        elif expect in _VALUES and mark is None and (value := _scalar(key or token["other"])) is not _REFUSED:
            fields.add(value)
            expect = _Expect.COMMA_OR_END
        elif expect in _VALUES and mark == "{":
            way.append("")
            expect = _Expect.KEY_OR_END
        elif expect in _VALUES and mark == "[":
            way.append(0)
            expect = _Expect.VALUE_OR_END
        elif expect in _EMPTY and end:
            way.pop()
            fields.add({} if mark == "}" else [])
            expect = _Expect.COMMA_OR_END
        elif expect is _Expect.COMMA_OR_END and end:
            way.pop()
        elif expect is _Expect.COMMA_OR_END and mark == ",":
            index = way[-1]
            expect = _Expect.KEY if isinstance(index, str) else _Expect.VALUE
            if isinstance(index, int):
                way[-1] = index + 1
        else:
            break
        at = token.end()
        if not way and expect is _Expect.COMMA_OR_END:
            rest = _past_space(text, at)
            return fields.found, None if rest == len(text) else rest
    return fields.found, _past_space(text, at)


def _scalar(token: str) -> Any:
    """A text, number, boolean or null as the decoder reads it; ``_REFUSED`` for half a surrogate pair and huge numbers."""
    try:
        return orjson.loads(token)
    except orjson.JSONDecodeError:
        return _REFUSED


_REFUSED: Final = object()
_KEYS: Final = (_Expect.KEY, _Expect.KEY_OR_END)
_VALUES: Final = (_Expect.VALUE, _Expect.VALUE_OR_END)
_EMPTY: Final = (_Expect.KEY_OR_END, _Expect.VALUE_OR_END)


class _Fields:
    """What was read so far.

    Attributes:
        found: path and value of each field.
        way: key or index of what is being read, for each open object or array.
    """

    def __init__(self) -> None:
        self.found: list[tuple[str, Any]] = []
        self.way: list[str | int] = []
        self._names = 0

    def add(self, value: Any) -> None:
        if not self.way or self._names > MOST_NAMES:
            return
        path = path_of(self.way)
        self._names += len(path) + len(self.way)
        self.found.append((path, value))


def _end_of(way: list[str | int]) -> str | None:
    return None if not way else "}" if isinstance(way[-1], str) else "]"


def _past_space(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return at if space is None else space.end()
