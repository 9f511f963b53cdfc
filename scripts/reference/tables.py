"""Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a table, with an empty line behind it; nothing where there are no rows."""
    cells = list(rows)
    if not cells:
        return
    yield _line(columns)
    yield _line(["---"] * len(columns))
    yield from map(_line, cells)
    yield ""


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in cells)} |"
