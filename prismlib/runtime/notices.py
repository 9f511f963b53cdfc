"""What somebody must be told of: refusals, pauses, stops. A worker makes notices; who is told is decided elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal, TypeAlias

from prismlib.errors import (
    ConfigError,
    DataLossError,
    FencedError,
    PrismError,
    SchemaDriftError,
    TooManyRejectedError,
)

log = logging.getLogger(__name__)

NoticeKind: TypeAlias = Literal["refused", "paused", "resumed", "stopped", "reload-failed"]
"""What kind of thing it is; :class:`Notice` says what each means."""

FILE = "PIPELINE.toml"
"""Stands for the pipeline's file in the command of a notice; whoever tells it puts the path there, where there is one."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell.

    Attributes:
        kind: ``refused``: the guard does not start. ``paused`` and ``resumed``: a route rests, and goes on. ``stopped``: the
            worker ended by an error. ``reload-failed``: a changed file is wrong, and the worker goes on with the old one.
        subject: what it is about, such as a topic. A pause is one story from ``paused`` to ``resumed`` of the same subject:
            told once, and repeated while it lasts. Of the other kinds, the same notice again is told once an hour.
        what: what happened, one sentence.
        stake: what is lost or late if nobody does anything, one sentence; empty when it is over.
        command: what to run next, with ``PIPELINE.toml`` for the pipeline's file; empty when there is nothing to do.
    """

    kind: NoticeKind
    subject: str
    what: str
    stake: str
    command: str


Tell: TypeAlias = Callable[[Notice], None]
"""Takes a notice over at once, without waiting for its delivery; never raises."""


def careful(tell: Tell | None) -> Tell:
    """The same, and what it raises against its contract is logged: telling must not end what it tells of."""

    def carefully(notice: Notice) -> None:
        if tell is None:
            return
        try:
            tell(notice)
        except Exception:  # code of somebody else, and the worker has more important things to do
            log.exception("a notice was not taken over", extra={"kind": notice.kind, "subject": notice.subject})

    return carefully


def waiting(topics: Collection[str]) -> str:
    """What is at stake while nobody reads these topics, for the end of a sentence."""
    return (
        f"the records of {listed(topics)} wait; the broker deletes the oldest of them after the topic's retention,"
        " and forgets the group's offsets after its own"
    )


def listed(topics: Collection[str]) -> str:
    """The names of topics for people; of many, the first three."""
    names = sorted(topics)
    if not names:
        return "its topics"
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"topic{'s' if len(names) > 1 else ''} {', '.join(names[:3])}{more}"


def notice_of_end(error: BaseException, topics: Collection[str]) -> Notice:
    """What to tell of a worker that an error has ended, or that could not begin.

    Args:
        error: why. Of what is no PrismError only the type is told: its text may hold values of records.
        topics: those that the worker reads; empty where that is not known.
    """
    subject = listed(topics)
    what = str(error) if isinstance(error, PrismError) else f"internal error {type(error).__name__}; the log says where"
    wait = f"Unless other workers of this pipeline run, {waiting(topics)}."
    if isinstance(error, DataLossError):
        stake = f"No record is skipped before you decide; until then {waiting(topics)}."
        return Notice("refused", subject, what, stake, f"prism offsets show {FILE}")
    if isinstance(error, FencedError):
        stake = f"Nothing while its successor runs; when two workers of one name stop each other, {waiting(topics)}."
        return Notice("stopped", subject, what, stake, f"prism check {FILE}")
    if isinstance(error, TooManyRejectedError):
        return Notice("stopped", subject, what, wait, f"prism dead-letters list {FILE}")
    command = f"prism check {FILE}" if isinstance(error, ConfigError | SchemaDriftError) else f"prism run {FILE}"
    return Notice("stopped", subject, what, wait, command)
