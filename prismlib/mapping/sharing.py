"""Which fields of an event may be the very lists and maps of the row, and which must be copies."""

from __future__ import annotations

from collections.abc import Iterator

from prismlib.mapping.model import EachField, FromField, Table
from prismlib.mapping.paths import Key, parse_path


def shared_keys(event: Table) -> frozenset[str]:
    """Keys of the fields that must be copies, since another field hands out the same part of a row, or one around it.

    All others hand out the row's own values, which nobody else uses. Indexes and keys of maps are left out of account.
    """
    passed = list(_passed(event, ()))
    return frozenset(
        key
        for at, (key, path) in enumerate(passed)
        for other, (_, beside) in enumerate(passed)
        if other != at and path[: len(beside)] == beside[: len(path)]
    )


def _passed(table: Table, inside: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Key and path of each field whose value is one of the row's; ``inside`` is the list that they lie in."""
    for _, node in table.fields:
        if isinstance(node, Table):
            yield from _passed(node, inside)
        elif isinstance(node.spec, FromField):
            if node.spec.cast is None and node.spec.parse is None:
                yield node.key, (*inside, *_names(node.spec.source))
        elif isinstance(node.spec, EachField) and node.item is not None:
            yield from _passed(node.item, (*inside, *_names(node.spec.each)))


def _names(text: str) -> tuple[str, ...]:
    return tuple(step for step in parse_path(text) if isinstance(step, str) and not isinstance(step, Key))
