"""The text of an alert: what happened, what is at stake, and what to run next."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeAlias

from prismlib.runtime.notices import FILE, Notice, NoticeKind

Severity: TypeAlias = Literal["info", "success", "warning", "failure"]
"""As Apprise names them; most services show them as a colour or a sign."""

_SEVERITIES: dict[NoticeKind, Severity] = {
    "refused": "failure",
    "stopped": "failure",
    "paused": "warning",
    "reload-failed": "warning",
    "resumed": "success",
}
_HEADLINES: dict[NoticeKind, str] = {
    "refused": "refuses to go on",
    "stopped": "stopped",
    "paused": "paused",
    "reload-failed": "goes on with its old files",
    "resumed": "resumed",
}


LONGEST = 2000
"""Characters of what happened."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is delivered, as plain text.

    Attributes:
        title: one line.
        body: the rest.
        severity: how it should look.
    """

    title: str
    body: str
    severity: Severity


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes the messages of one process.

    Attributes:
        pipeline: its name.
        file: its file; None where it has none.
        worker: the name of this worker.
        host: the machine that it runs on.
    """

    pipeline: str
    file: Path | None
    worker: str
    host: str

    def notice(self, notice: Notice, since: float, *, lasted: float | None = None) -> Message:
        """The message of a notice.

        Args:
            notice: what to tell.
            since: when it began, in seconds of the epoch.
            lasted: for how many seconds, of what was told before; None of what is new.
        """
        title = _one_line(f"Prism: {self.pipeline} {_HEADLINES[notice.kind]}: {notice.subject}")
        lines = [f"What happened: {_short(notice.what)}"]
        if lasted is not None and notice.kind == "resumed":
            lines.append(f"It was paused for {span(lasted)}.")
        elif lasted is not None:
            title += f", for {span(lasted)} now"
            lines.append(f"It has lasted for {span(lasted)}, and is told again while it lasts.")
        if notice.stake:
            lines.append(f"At stake: {notice.stake}")
        if notice.command:
            lines.append(f"Run next: {notice.command.replace(FILE, self._path())}")
        lines.append(f"Pipeline {self.pipeline}, worker {self.worker} on {self.host}, since {moment(since)}.")
        return Message(title, "\n".join(lines), _SEVERITIES[notice.kind])

    def test(self) -> Message:
        """The message that tries an address out."""
        body = (
            f"This is a test, and nothing has happened: the pipeline {self.pipeline} would tell you here when it refuses to"
            f" start, pauses or stops.\nSent by worker {self.worker} on {self.host}."
        )
        return Message(f"Prism: {self.pipeline} can reach you here", body, "info")

    def _path(self) -> str:
        return FILE if self.file is None else shlex.quote(str(self.file))


def project_test(project: Path, host: str) -> Message:
    """The message of ``prism alerts test``, which belongs to no pipeline.

    Args:
        project: the file whose addresses are tried.
        host: the machine that sends it.
    """
    body = f"This is a test, and nothing has happened: the pipelines of {project} would tell you here when they refuse"
    return Message("Prism can reach you here", f"{body} to start, pause or stop.\nSent from {host}.", "info")


def span(seconds: float) -> str:
    """A time that something lasted, for people: its two largest units."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [f"{n} {unit}" for n, unit in ((days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")) if n]
    return " ".join(parts[:2]) or "0 s"


def moment(seconds: float) -> str:
    """A time for people, in seconds since the epoch."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _short(text: str) -> str:
    """Services refuse what is too long for them, and a message that is refused tells nobody."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ... (the worker's log has all of it)"


def _one_line(text: str) -> str:
    return " ".join(text.split())
