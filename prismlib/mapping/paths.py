"""Source paths of a mapping, such as ``customer.name``, ``lines[0].sku``, ``lines[].sku`` and ``prices["EUR"]``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeAlias

from prismlib.stages import FieldSet


class Key(str):
    """A key of a map: data and no part of the schema, so that a FieldSet leaves it out."""

    __slots__ = ()


Step: TypeAlias = str | int | None
"""A field's name, a map's key, an index into a list, or None for every element of a list."""
Path: TypeAlias = tuple[Step, ...]

_STEP = re.compile(
    r"""(?P<dot>\.?)(?P<name>[^.\[\]\s][^.\[\]]*) | \[(?P<index>\d{0,6})\] | \[(?P<quote>["'])(?P<key>[^"']+)(?P=quote)\]""",
    re.VERBOSE,
)


def parse_path(text: str, *, lists: bool = True) -> Path:
    """Read one path.

    Args:
        text: as in the file.
        lists: whether ``[]``, which gives a list, may occur, and then once.

    Raises:
        ValueError: one sentence for the person who wrote it.
    """
    steps: list[Step] = []
    at = 0
    while at < len(text) or not steps:
        match = _STEP.match(text, at)
        name = match["name"] if match else None
        # A name comes first; every later one is behind a dot.
        if match is None or (name is None and not steps) or (name is not None and bool(match["dot"]) != bool(steps)):
            raise ValueError(
                f"{text!r} is no path; write one such as customer.name, lines[0].sku, lines[].sku or prices['EUR']"
            )
        at = match.end()
        if name is not None:
            steps.append(name)
        elif match["key"]:
            steps.append(Key(match["key"]))
        else:
            steps.append(int(match["index"]) if match["index"] else None)
    if None in steps and not lists:
        raise ValueError(f"{text!r} gives a list, and one value is needed; name an element, as in lines[0]")
    if steps.count(None) > 1:
        raise ValueError(f"{text!r} goes through two lists; map the outer one with each and item")
    return tuple(steps)


def field_of(path: Path, inside: str = "") -> str:
    """The dotted path of a FieldSet: without indexes and keys, and below the list ``inside`` that an item belongs to."""
    names = [step for step in path if isinstance(step, str) and not isinstance(step, Key)]
    return ".".join([inside, *names] if inside else names)


def field_set(fields: Iterable[str]) -> FieldSet:
    """The fields without those that another one already contains: ``lines`` holds ``lines.sku``."""
    every = set(fields)
    if "*" in every:
        return frozenset({"*"})
    return frozenset(field for field in every if not any(parent in every for parent in _parents(field)))


def _parents(field: str) -> Iterable[str]:
    parts = field.split(".")
    return (".".join(parts[:i]) for i in range(1, len(parts)))
