"""What a mapping reads, and which of it a schema does not have: asked by ``prism check`` before a pipeline runs."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from prismlib.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Use:
    """One key of a file that reads one field.

    Attributes:
        where: file and key, such as ``"mappings/flights.toml: event.airport"``.
        field: dotted path as in a FieldSet; ``"*"`` stands for everything.
    """

    where: str
    field: str


def check_against(uses: Iterable[Use], known: Collection[str] | Callable[[str], bool], schema: str) -> None:
    """Refuse what reads a field that the schema does not have.

    Args:
        uses: of a mapping, or of the function that stands for one.
        known: the schema's dotted paths, of leaves at least, or whether it has a path. A callable is needed where a
            schema has maps, whose keys no list of paths can hold; it gives no suggestions.
        schema: how to name it, such as ``"flights-value v2"``.

    Raises:
        ConfigError: one line for each such key, with the nearest path that the schema has.
    """
    has = known if callable(known) else _covers(known)
    candidates = [] if callable(known) else sorted(known)
    lines = []
    for use in uses:
        if use.field == "*" or has(use.field):
            continue
        near = difflib.get_close_matches(use.field, candidates, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "; correct the path or give the schema the field"
        lines.append(f"{use.where}: reads {use.field!r}, which {schema} does not have{hint}")
    if lines:
        raise ConfigError("\n".join(lines))


def _covers(known: Collection[str]) -> Callable[[str], bool]:
    every = {".".join(parts[: i + 1]) for parts in (path.split(".") for path in known) for i in range(len(parts))}
    return every.__contains__
