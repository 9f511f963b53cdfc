"""Normalizer: rows to standard events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from prismlib.records import Normalized, RecordBatch, Row

FieldSet: TypeAlias = frozenset[str]
"""Dotted paths of the fields that are read, such as ``{"carrier", "lines.sku"}``; arrays and maps are passed through
silently (``lines.sku`` is the ``sku`` of every line). ``{"*"}`` reads everything, the empty set nothing."""


class Normalizer(Protocol):
    """Maps rows to standard events. One instance serves one route, in one thread.

    Rows are not used again, so that a body may hold a list or map of its row instead of a copy.

    - ``NRM-01`` bodies (and ids, when given) are aligned with the rows
    - ``NRM-02`` a row that cannot be normalized is in ``errors``, its body None; its neighbours are normalized
    - ``NRM-03`` a row that is None stays None and is no error
    - ``NRM-04`` rows and batch are not changed, and no mutable value is in two places of bodies
    - ``NRM-05`` it reads no field outside ``reads``
    - ``NRM-06`` the same rows give the same events again
    """

    reads: FieldSet

    def normalize(self, batch: RecordBatch, rows: Sequence[Row | None]) -> Normalized:
        """Normalize rows; ``batch`` gives keys, headers and timestamps, row by row."""
        ...
