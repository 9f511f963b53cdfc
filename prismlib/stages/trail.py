"""The fields that a decoder met on its way through one value, for explanations that stay small whatever the value."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

_KEPT: Final = 1_000


class Trail:
    """Keeps the first and the last fields: a fault is near the end, and what a record is shows at its start."""

    def __init__(self) -> None:
        """Nothing was met yet."""
        self._first: list[tuple[str, Any]] = []
        self._last: deque[tuple[str, Any]] = deque(maxlen=_KEPT)
        self._count = 0

    def add(self, path: str, value: Any) -> None:
        """A field was read."""
        self._count += 1
        if len(self._first) < _KEPT:
            self._first.append((path, value))
        else:
            self._last.append((path, value))

    @property
    def fields(self) -> list[tuple[str, Any]]:
        """Path and value, in the order of the value; one entry ``...`` stands for what is left out."""
        left_out = self._count - len(self._first) - len(self._last)
        gap = [("...", f"{left_out:,} fields are not shown")] if left_out else []
        return [*self._first, *gap, *self._last]
