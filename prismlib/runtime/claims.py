"""Whether this process is still the worker of its name, asked now and then of a sink that can tell.

Writes and commits find out by themselves. A worker that has nothing to commit would not, and would live on beside its
successor; and one that slept would first send what it held when it fell asleep.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from prismlib.errors import RetryableError
from prismlib.runtime.retries import Backoff
from prismlib.stages import ClaimsWorker

log = logging.getLogger(__name__)

CLAIM_SECONDS: Final = 5.0
"""Between two questions; a process that was stopped for longer asks before it does anything else."""


class ClaimWatch:
    """Asks one sink; does nothing for one that has no such capability. Used from the runner's thread only."""

    def __init__(self, sink: object, clock: Callable[[], float] = time.monotonic) -> None:
        """The sink is not open yet, and is asked only after a while: opening it claims the name."""
        self._sink: ClaimsWorker | None = sink if isinstance(sink, ClaimsWorker) else None
        self._clock = clock
        self._due = clock() + CLAIM_SECONDS
        self._backoff = Backoff(first=CLAIM_SECONDS, longest=60.0)

    def check(self) -> None:
        """Ask if it is time. A server that does not answer is asked again later.

        Raises:
            FencedError: another process has become this worker.
        """
        if self._sink is None or self._clock() < self._due:
            return
        try:
            self._sink.check_claim()
        except RetryableError as error:
            log.info("cannot ask whether another process has this worker's name", extra={"reason": str(error)})
            self._due = self._clock() + self._backoff.next(error.retry_after)
            return
        self._backoff.reset()
        self._due = self._clock() + CLAIM_SECONDS
