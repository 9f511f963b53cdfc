"""What somebody must be told of: refusals, pauses, stops. A worker makes notices; who is told is decided elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

NoticeKind: TypeAlias = Literal["refused", "paused", "resumed", "stopped", "reload-failed"]


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell.

    Attributes:
        kind: ``refused``: the guard does not start. ``paused`` and ``resumed``: a route rests, and goes on. ``stopped``: the
            worker ended by an error. ``reload-failed``: a changed file is wrong, and the worker goes on with the old one.
        subject: what it is about, such as a topic; notices of one kind and subject are one story, told once and repeated.
        what: what happened, one sentence.
        stake: what is lost or late if nobody does anything, one sentence.
        command: what to run next.
    """

    kind: NoticeKind
    subject: str
    what: str
    stake: str
    command: str


Tell: TypeAlias = Callable[[Notice], None]
"""Takes a notice over at once, without waiting for its delivery; never raises."""
