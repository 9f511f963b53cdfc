"""Google-style docstrings as Markdown: what a class is, and what each of its attributes means."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping

_SECTION = re.compile(r"^(Attributes|Args|Raises|Returns|Yields|Example|Note):$")
_ATTRIBUTE = re.compile(r"^ {4}(?P<names>\w+(?:, \w+)*): (?P<text>.+)$")
_CODE = re.compile(r"``(.+?)``", re.DOTALL)  # over the end of a line, too
_ROLE = re.compile(r":\w+:`")


class UndocumentedError(Exception):
    """Something that users can write does not say what it means; the message says where to write it."""


def description(cls: type) -> str:
    """The paragraphs before the first section, as Markdown.

    Raises:
        UndocumentedError: there are none.
    """
    lines: list[str] = []
    for line in ((cls.__doc__ and inspect.cleandoc(cls.__doc__)) or "").splitlines():
        if _SECTION.match(line):
            break
        lines.append(line)
    text = "\n".join(lines).strip()
    if not text:
        raise UndocumentedError(f"{_name(cls)} has no docstring")
    return markdown(text, _name(cls))


def attributes(cls: type) -> Mapping[str, str]:
    """What the ``Attributes:`` of a class and its bases say, by name, each on one line of Markdown."""
    found: dict[str, str] = {}
    for one in reversed(cls.__mro__):
        found |= {name: markdown(text, f"{_name(one)}.{name}") for name, text in _own_attributes(one)}
    return found


def meaning(cls: type, attribute: str, key: str) -> str:
    """What one attribute means. Raises UndocumentedError where the docstring does not say."""
    try:
        return attributes(cls)[attribute]
    except KeyError:
        raise UndocumentedError(
            f"the key {key!r} has no meaning: write a line for {attribute!r} under `Attributes:` of {_name(cls)}"
        ) from None


def markdown(text: str, where: str) -> str:
    """Double backticks to single ones. Raises UndocumentedError for references to code, which users do not read."""
    if _ROLE.search(text):
        raise UndocumentedError(f"{where}: its text is shown to users: say it without a reference to code: {text!r}")
    return _CODE.sub(r"`\1`", text)


def _own_attributes(cls: type) -> Iterator[tuple[str, str]]:
    names: list[str] = []
    text = ""
    inside = False
    for line in [*inspect.cleandoc(cls.__dict__.get("__doc__") or "").splitlines(), ""]:
        match = _ATTRIBUTE.match(line) if inside else None
        if names and (match or not line.startswith("        ")):
            yield from ((name, text) for name in names)
            names = []
        if match:
            names, text = match["names"].split(", "), match["text"]
        elif names:
            text += f" {line.strip()}"
        if _SECTION.match(line):
            inside = line == "Attributes:"


def _name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
