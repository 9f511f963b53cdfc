"""The way to one address: what waits for it, in order, and the thread that delivers it, again and again until it is taken."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from prismlib.runtime.retries import Backoff
from prismlib.watch.address import Address
from prismlib.watch.message import Message

log = logging.getLogger(__name__)

WAITING = 100
"""Messages that may wait for one address; the oldest go when there are more."""
TOO_OLD = 24 * 3600.0
"""Seconds after which a message is given up: an address that has not worked for a day needs a person."""
FIRST_WAIT, LONGEST_WAIT = 1.0, 300.0
LAST_OPTIONAL = 3.0
"""Seconds that the end of a process waits at most for a message that it could do without, such as a test."""
LAST_WAIT = 1.0
"""Seconds between attempts while the process wants to end."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    message: Message
    story: str | None
    optional: bool
    since: float


class Line:
    """What waits for one address."""

    def __init__(self, address: Address, delivered: Callable[[Address], None]) -> None:
        """Nothing waits yet, and no thread runs.

        Args:
            address: where it goes.
            delivered: told of each delivery, in the line's thread.
        """
        self.address = address
        self._delivered = delivered
        self._waiting: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._given_up = False
        self._thread: threading.Thread | None = None
        self._failing = False

    def put(self, message: Message, story: str | None = None, *, optional: bool = False) -> None:
        """Take a message over; does not wait.

        Args:
            message: to deliver.
            story: a message of the same story that still waits is replaced: the newer one says all of it.
            optional: the end of the process need not wait for it.
        """
        with self._changed:
            new = _Waiting(message, story, optional, time.monotonic())
            same = next((i for i, w in enumerate(self._waiting) if story is not None and w.story == story), None)
            if same is not None:
                self._waiting[same] = new
            else:
                self._waiting.append(new)
            while len(self._waiting) > WAITING:
                self._give_up(self._waiting.popleft(), "too many wait")
            if self._thread is None:
                # A daemon: a service that hangs must not keep the process from ending.
                self._thread = threading.Thread(target=self._run, name="prism-alerts", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def begin_to_close(self) -> None:
        """Try what waits again now; the thread ends when nothing is left. Nothing may be put any more."""
        with self._changed:
            self._closing = True
            if self._failing:
                self._waiting = deque(waiting for waiting in self._waiting if not waiting.optional)
            self._changed.notify_all()

    def close(self, deadline: float) -> int:
        """Wait for what is left.

        Args:
            deadline: until when, in seconds of the monotonic clock.

        Returns:
            How many messages were not delivered.
        """
        self.begin_to_close()
        with self._changed:
            if all(waiting.optional for waiting in self._waiting):
                deadline = min(deadline, time.monotonic() + LAST_OPTIONAL)
        if self._thread is not None:
            self._thread.join(max(0.0, deadline - time.monotonic()))
        with self._changed:
            self._given_up = True
            self._changed.notify_all()
            for waiting in self._waiting:
                self._give_up(waiting, "the process ends")
            return len(self._waiting)

    def _run(self) -> None:
        backoff = Backoff(FIRST_WAIT, LONGEST_WAIT)
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                if not self._waiting or self._given_up:
                    return
                waiting = self._waiting[0]
            why = self.address.send(waiting.message)
            if why is None:
                backoff.reset()
                self._taken(waiting)
            else:
                self._refused(waiting, why, backoff)

    def _taken(self, waiting: _Waiting) -> None:
        with self._changed:
            self._remove(waiting)
            recovered, self._failing = self._failing and not self._given_up, False
        if recovered:
            log.info("alerts are delivered again", extra={"address": str(self.address)})
        self._delivered(self.address)

    def _refused(self, waiting: _Waiting, why: str, backoff: Backoff) -> None:
        with self._changed:
            if self._given_up:  # and said so; nobody listens any more
                return
            first, self._failing = not self._failing, True
            if first:
                facts = {"address": str(self.address), "alert": waiting.message.title, "reason": why}
                log.error("an alert was not delivered, and will be tried again", extra=facts)
            if time.monotonic() - waiting.since > TOO_OLD and self._remove(waiting):
                self._give_up(waiting, why)
            if self._closing:
                self._changed.wait_for(lambda: self._given_up, LAST_WAIT)
            else:
                self._changed.wait_for(lambda: self._closing, backoff.next())

    def _remove(self, waiting: _Waiting) -> bool:
        """False when it has been replaced meanwhile, or given up."""
        if self._waiting and self._waiting[0] is waiting:
            self._waiting.popleft()
            return True
        return False

    def _give_up(self, waiting: _Waiting, why: str) -> None:
        facts = {"address": str(self.address), "alert": waiting.message.title, "reason": why}
        log.error("an alert was not delivered, and is given up", extra=facts)
