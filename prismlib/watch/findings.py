"""The sentences of a status: what a person must look at, and what to run next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from prismlib.runtime.notices import FILE, listed
from prismlib.watch.message import moment, span
from prismlib.watch.status import Line, Status

FindingKind: TypeAlias = Literal["refusal", "paused", "data loss", "nobody runs"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a person must look at.

    Attributes:
        kind: what sort.
        topic: which; "" for the whole pipeline.
        what: one sentence.
        command: what to run next, with ``PIPELINE.toml`` for its file.
    """

    kind: FindingKind
    topic: str
    what: str
    command: str


def findings(status: Status) -> list[Finding]:
    """All of a pipeline, in the order in which they need to be solved."""
    return [*_refusals(status), *_losses(status), *_paused(status), *_nobody(status)]


def _refusals(status: Status) -> Iterator[Finding]:
    for topic in status.topics:
        if topic.problem:
            yield Finding(
                "refusal",
                topic.name,
                f"a worker that starts refuses topic {topic.name}, so that nothing is skipped: {topic.problem}",
                f"prism offsets show {FILE} --topic {shlex.quote(topic.name)}",
            )


def _losses(status: Status) -> Iterator[Finding]:
    for topic in status.topics:
        risky = [one for one in status.partitions if one.at_risk and one.topic == topic.name]
        if risky:
            worst = min(risky, key=lambda one: one.loss.at_ms)
            yield Finding("data loss", topic.name, _loss(worst, status.now_ms), _reading(status))


def _loss(line: Line, now_ms: int) -> str:
    when = "at any moment" if line.loss.state == "due" else f"in {span((line.loss.at_ms - now_ms) / 1000)}"
    age = span((line.behind_ms or 0) / 1000)
    return f"the broker deletes unread records of {line.name} {when}: the oldest one has waited for {age}"


def _paused(status: Status) -> Iterator[Finding]:
    for pause in status.pauses:
        since = f"since {moment(pause.since_ms // 1000)} ({span((status.now_ms - pause.since_ms) / 1000)})"
        yield Finding(
            "paused", pause.topic, f"topic {pause.topic} is paused {since}: {pause.why}", f"prism check {FILE}"
        )


def _nobody(status: Status) -> Iterator[Finding]:
    if status.facts.members:
        return
    told = []
    waiting = [topic for topic in status.topics if topic.behind_ms]
    if waiting:
        lag, age = sum(topic.lag or 0 for topic in waiting), max(topic.behind_ms or 0 for topic in waiting)
        names = listed([topic.name for topic in waiting])
        told.append(f"up to {lag:,} records of {names} wait, the oldest for {span(age / 1000)}")
    unread = {one.topic for one in status.partitions if one.state == "never read"}
    if unread:
        told.append(f"there are records of {listed(unread)} in partitions that nobody ever read")
    if told:
        yield Finding("nobody runs", "", f"no worker runs, while {', and '.join(told)}", f"prism run {FILE}")


def _reading(status: Status) -> str:
    return f"prism offsets show {FILE}" if status.facts.members else f"prism run {FILE}"
