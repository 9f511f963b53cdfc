"""Backoff: how long to wait before the same call is made again. Waiting itself is the runner's, which goes on polling."""

from __future__ import annotations

import random


class Backoff:
    """Exponential backoff with full jitter, for one thing that is tried again and again."""

    def __init__(self, first: float = 0.1, longest: float = 30.0, rng: random.Random | None = None) -> None:
        """Waits at most ``first`` seconds, then twice as much each time, up to ``longest``."""
        self._first = first
        self._longest = longest
        self._rng = rng or random.Random()  # noqa: S311  # spreads load, guards nothing
        self.attempts = 0

    def next(self, retry_after: float | None = None) -> float:
        """Seconds to wait now; never less than what the server asked for."""
        ceiling = min(self._longest, self._first * 2.0 ** min(self.attempts, 20))
        self.attempts += 1
        return max(retry_after or 0.0, self._rng.uniform(ceiling / 2, ceiling))

    def reset(self) -> None:
        """It worked: the next failure starts small again."""
        self.attempts = 0
