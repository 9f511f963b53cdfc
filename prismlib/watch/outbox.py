"""Decides when a notice becomes a message: a pause is told once, repeated while it lasts, and its end is told too."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from prismlib.runtime.notices import Notice
from prismlib.watch.line import Line
from prismlib.watch.message import Message, Writer

log = logging.getLogger(__name__)

REPEAT = 3600.0
"""Seconds after which something that lasts is told again."""
CALM = 600.0
"""Seconds between two pauses of one subject that are told: one that comes and goes is not told each time."""


@dataclass(slots=True)
class _Pause:
    notice: Notice
    since: float
    """Wall clock."""
    began: float
    due: float
    """Monotonic clock, as the one above."""
    told: bool = False


class Outbox:
    """Takes notices over at once, and tells them on all lines."""

    def __init__(self, lines: Sequence[Line], writer: Writer, *, repeat: float = REPEAT, calm: float = CALM) -> None:
        """Nothing is told yet, and no thread runs.

        Args:
            lines: one for each address.
            writer: of the messages.
            repeat: seconds after which what lasts is told again.
            calm: seconds between two pauses of one subject that are told.
        """
        self._lines = lines
        self._writer = writer
        self._repeat = repeat
        self._calm = calm
        self._changed = threading.Condition()
        self._pauses: dict[str, _Pause] = {}
        self._pause_told: dict[str, float] = {}
        self._said: dict[Notice, float] = {}
        self._closed = False
        self._clock: threading.Thread | None = None

    def tell(self, notice: Notice) -> None:
        """A :data:`~prismlib.runtime.notices.Tell`; may be called from any thread."""
        now = time.monotonic()
        with self._changed:
            if self._closed or not self._lines:
                return
            if notice.kind == "paused":
                self._paused(notice, now)
            elif notice.kind == "resumed":
                self._resumed(notice, now)
            else:
                self._said = {old: at for old, at in self._said.items() if now - at < self._repeat}
                if notice not in self._said:
                    self._said[notice] = now
                    self._send(self._writer.notice(notice, time.time()))

    def close(self, seconds: float) -> int:
        """Deliver what waits, for so many seconds at most.

        Returns:
            How many messages were not delivered, each of which is logged.
        """
        deadline = time.monotonic() + seconds
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for line in self._lines:  # all of them at once, then wait for each
            line.begin_to_close()
        return sum(line.close(deadline) for line in self._lines)

    def _paused(self, notice: Notice, now: float) -> None:
        pause = self._pauses.get(notice.subject)
        if pause is not None:
            pause.notice = notice  # the latest reason is what a repetition tells
            return
        calm = self._pause_told.get(notice.subject, now - self._calm) + self._calm
        self._pauses[notice.subject] = _Pause(notice, time.time(), now, max(now, calm))
        self._tell_due(now)
        if self._clock is None:
            self._clock = threading.Thread(target=self._watch, name="prism-alerts-clock", daemon=True)
            self._clock.start()
        self._changed.notify_all()

    def _resumed(self, notice: Notice, now: float) -> None:
        pause = self._pauses.pop(notice.subject, None)
        if pause is not None and pause.told:
            self._send(self._writer.notice(notice, time.time(), lasted=now - pause.began))

    def _watch(self) -> None:
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                self._tell_due(now)
                next_due = min((pause.due for pause in self._pauses.values()), default=None)
                self._changed.wait(None if next_due is None else max(0.0, next_due - now))

    def _tell_due(self, now: float) -> None:
        for subject, pause in self._pauses.items():
            if pause.due > now:
                continue
            lasted = now - pause.began if pause.told else None
            self._send(self._writer.notice(pause.notice, pause.since, lasted=lasted), f"{subject} since {pause.began}")
            pause.told, pause.due = True, now + self._repeat
            self._pause_told[subject] = now

    def _send(self, message: Message, story: str | None = None) -> None:
        for line in self._lines:
            line.put(message, story)
