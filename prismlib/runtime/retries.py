"""Backoff: how long to wait before the same call is made again. Waiting itself is the runner's, which goes on polling."""

from __future__ import annotations

import random
from typing import Final

LONGEST_ASKED: Final = 300.0
"""Seconds that a server can make a caller wait: after an absurd answer, or a wrong clock, it is asked again all the same."""


class Backoff:
    """Exponential backoff with full jitter, for one thing that is tried again and again."""

    def __init__(self, first: float = 0.1, longest: float = 30.0, rng: random.Random | None = None) -> None:
        """Waits at most ``first`` seconds, then twice as much each time, up to ``longest``."""
        self._first = first
        self._longest = longest
        self._rng = rng or random.Random()  # noqa: S311  # spreads load, guards nothing
        self.attempts = 0

    def next(self, retry_after: float | None = None) -> float:
        """Seconds to wait now; never less than what the server asked for, up to ``LONGEST_ASKED``."""
        ceiling = min(self._longest, self._first * 2.0 ** min(self.attempts, 20))
        self.attempts += 1
        asked = retry_after if retry_after is not None and retry_after > 0 else 0.0  # NaN is not
        return max(min(asked, LONGEST_ASKED), self._rng.uniform(ceiling / 2, ceiling))

    def reset(self) -> None:
        """It worked: the next failure starts small again."""
        self.attempts = 0
