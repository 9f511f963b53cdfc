"""The line of a ``.proto`` file on which the thing at a path is defined.

The file is not compiled again, since that would need what it imports: it is read token by token, as far as names need it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

_TOKEN: Final = re.compile(
    r"""
      (?P<skip> [\s\ufeff]+ | //[^\n]* | /\*.*?\*/ )
    | (?P<text> "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' )
    | (?P<name> \.?[A-Za-z_][\w]*(?:\.[A-Za-z_]\w*)* )
    | (?P<other> -?[\w.+]+ | . )
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCKS: Final = frozenset({"message", "enum", "oneof", "group"})


@dataclass(slots=True)
class _Thing:
    """Something with a name: a message, an enum and its values, a oneof, or a field."""

    line: int
    kind: str
    up: _Thing | None = None
    type: str = ""
    inside: dict[str, _Thing] = field(default_factory=dict)


def line_of(text: str, path: str) -> int | None:
    """The line, from 1, of the thing at a path such as ``/Order/lines/sku``; None where the file has not got it."""
    file = _read(text)
    if file is None:
        return None
    here: _Thing | None = file
    steps = [step for step in path.split("/") if step]
    if not steps:
        return file.line
    for step in steps:
        if here is None:
            return None
        if here.kind == "field":
            here = _type_of(here)
        here = None if here is None else here.inside.get(step)
    return None if here is None else here.line


def _type_of(one: _Thing) -> _Thing | None:
    """The message or enum that a field holds, looked for from within outwards; None where the file does not define it."""
    names = one.type.lstrip(".").split(".")
    scope = one.up
    while scope is not None:
        found: _Thing | None = scope
        for name in names:
            found = None if found is None else found.inside.get(name)
        if found is not None and found.kind in ("message", "enum"):
            return found
        scope = scope.up
    return None


@lru_cache(maxsize=4)  # the findings of one schema are asked for one after the other
def _read(text: str) -> _Thing | None:
    """The file with all that is in it, not to be changed; None where it is no text in the Protobuf language."""
    reader = _Reader(text)
    file = _Thing(1, "message")
    reader.block(file)
    package = file.inside.pop("package ", None)
    if package is not None:  # so that full names are found, too
        top = _Thing(1, "message", None, "", dict(file.inside))
        for name in reversed(package.type.split(".")):
            top = _Thing(1, "message", None, "", {name: top})
        file.up = top
        file.line = package.line
    return file if file.inside else None


class _Reader:
    def __init__(self, text: str) -> None:
        self._words = self._scan(text)

    def _scan(self, text: str) -> Iterator[tuple[str, int]]:
        line = 1
        for match in _TOKEN.finditer(text):
            if match.lastgroup != "skip":
                yield match.group(), line
            line += match.group().count("\n")

    def block(self, file: _Thing) -> None:
        """Read to the end, with a stack of the blocks that are open: schemas may be nested deeper than Python's stack."""
        stack: list[_Thing | None] = [file]
        statement: list[tuple[str, int]] = []
        for word, line in self._words:
            if word == "{":
                stack.append(self._opened(stack[-1], statement))
                statement = []
            elif word == "}":
                statement = []
                if len(stack) > 1:
                    stack.pop()
            elif word == ";":
                self._stated(stack[-1], statement)
                statement = []
            else:
                statement.append((word, line))

    def _opened(self, here: _Thing | None, statement: list[tuple[str, int]]) -> _Thing | None:
        """What a brace begins; None for what has no names of ours, such as services, extensions and options."""
        words = [word for word, _ in statement]
        keyword = next((word for word in words if word in _BLOCKS), "")
        # a field's options may have braces: ``int32 a = 1 [(o) = { ... }];``
        if here is None or not keyword or "=" in words[: words.index(keyword)] or "extend" in words:
            return None
        at = words.index(keyword) + 1
        if at >= len(words):
            return None
        name, line = statement[at]
        if keyword == "oneof":
            made = here.inside[name] = _Thing(line, "oneof", here)
            # members are fields of the message
            return _Thing(line, "message", here.up, "", here.inside) if made else None
        made = here.inside[name] = _Thing(line, "enum" if keyword == "enum" else "message", here)
        if keyword == "group":
            here.inside[name.lower()] = _Thing(line, "field", here, name)
        return made

    def _stated(self, here: _Thing | None, statement: list[tuple[str, int]]) -> None:
        words = [word for word, _ in statement]
        if here is None or not words:
            return
        if words[0] == "package" and len(words) > 1:
            here.inside["package "] = _Thing(statement[0][1], "package", None, "".join(words[1:]))
            return
        if "=" not in words or words[0] in ("option", "syntax", "edition"):
            return
        at = words.index("=") - 1
        if at < 0:
            return
        name, line = statement[at]
        if here.kind == "enum":
            here.inside.setdefault(name, _Thing(line, "value", here))
        elif at > 0:
            # of a map, the type of its values: they are what a path goes on in
            held = words[at - 2] if words[at - 1] == ">" and at > 1 else words[at - 1]
            here.inside.setdefault(name, _Thing(line, "field", here, held))
