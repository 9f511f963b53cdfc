"""How a member shows that it lives, and finds out who does not: a thread of the source, with a connection of its own.

A thread, because the runner is away from ``poll`` for as long as a write, a drain or a decision takes. It beats only while the
runner comes back from time to time, so that a worker that hangs is taken for dead like one that was killed.

Clocks of processes are not compared. A member is dead when its count of beats has not moved for the session time-out, on the
clock of the one who looks. And only time in which that one could write is counted: while somebody holds the write lock, or the
disk is full, nobody can beat, and nobody is to blame.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from prism_embedded import group
from prism_embedded.database import Database
from prism_embedded.group import Membership, Session
from prismlib.errors import FatalError, RetryableError

log = logging.getLogger(__name__)

BEATS_PER_SESSION: Final = 5
LONGEST_SILENCE: Final = 300.0
"""Seconds that the runner may stay away from its source, as ``max.poll.interval.ms`` of Kafka's clients."""


class Watch:
    """How long each of the others has been silent."""

    def __init__(self, session_timeout: float, interval: float) -> None:
        """Two intervals are the most that one look can add."""
        self._timeout = session_timeout
        self._step = 2 * interval
        self._seen: dict[Session, tuple[int, float]] = {}
        self._looked = 0.0

    def dead(self, beats: Iterable[tuple[Session, int]], now: float) -> list[Session]:
        """Who has been silent for too long, given everybody's count of beats at this moment."""
        elapsed, self._looked = min(now - self._looked, self._step), now
        seen = {}
        for session, beat in beats:
            before, silent = self._seen.get(session, (None, 0.0))
            seen[session] = (beat, silent + elapsed if beat == before else 0.0)
        self._seen = seen
        return [session for session, (_, silent) in seen.items() if silent >= self._timeout]


class Heartbeat:
    """Beats for one member, and removes dead ones from its group."""

    def __init__(
        self,
        database: Database,
        membership: Membership,
        session_timeout: float,
        last_sign: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """The thread is not started yet.

        Args:
            database: a connection of its own, closed with this.
            membership: whom it beats for.
            session_timeout: seconds of silence after which a member is dead.
            last_sign: when the runner last came to its source, by ``clock``.
            clock: seconds.
        """
        self._database = database
        self._membership = membership
        self._interval = session_timeout / BEATS_PER_SESSION
        self._watch = Watch(session_timeout, self._interval)
        self._last_sign = last_sign
        self._clock = clock
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="prism-heartbeat", daemon=True)
        self._quiet = False
        self.failure: FatalError | None = None
        """Why it has ended by itself; the file is of no use any more."""

    def start(self) -> None:
        """Begin. Raises ConfigError, UnreachableError."""
        self._database.open()
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and wait for it."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._database.close()

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            try:
                self.beat()
            except RetryableError as error:
                log.warning("no heartbeat now", extra={"reason": str(error)})
            except FatalError as error:
                self.failure = error  # an idle worker would never find out by itself
                return

    def beat(self) -> Sequence[Session]:
        """Beat once, and remove the dead; returns those. Does nothing for a runner that stays away, or without a session."""
        session = self._membership.session
        silence = self._clock() - self._last_sign()
        if silence > LONGEST_SILENCE:
            if not self._quiet:
                log.error("the worker hangs, its partitions go to others", extra={"seconds": round(silence)})
            self._quiet = True
            return ()
        self._quiet = False
        if session is None:
            return ()
        name = self._membership.group
        with self._database.transaction() as connection:
            connection.execute("UPDATE members SET beat = beat + 1 WHERE number = ?", (session,))
            rows = connection.execute("SELECT number, beat FROM members WHERE group_name = ?", (name,)).fetchall()
            beats = dict(rows)
            if beats.pop(session, None) is None:
                return ()  # taken for dead itself; the next poll says so
            dead = self._watch.dead(beats.items(), self._clock())
            if dead:
                group.remove(connection, name, dead)
        if dead:
            log.warning("workers gave no sign of life, their partitions go to others", extra={"sessions": dead})
        return dead
