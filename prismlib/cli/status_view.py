"""How a status is shown: a table and sentences for people, a document for programs."""

from __future__ import annotations

import shlex
import shutil
import sys
import textwrap
from pathlib import Path
from typing import Any, Final

import click

from prismlib.cli.app import colour, print_table, printable
from prismlib.runtime.notices import FILE
from prismlib.watch.alerts import AlertPath
from prismlib.watch.findings import findings
from prismlib.watch.message import moment, span
from prismlib.watch.status import Deadline, DeadlineState, ExpiryState, Line, LineState, Status

_STYLES: Final[dict[LineState, str]] = {
    "ok": "green",
    "never read": "yellow",
    "not known": "yellow",
    "nobody reads": "red",
    "at risk": "red",
    "paused": "red",
    "refuses": "red",
}
_LOSSES: Final[dict[DeadlineState, str]] = {
    "nothing unread": "-",
    "never": "never",
    "unknown": "unknown",
    "by size": "size-based, cannot be predicted",
    "due": "at any moment",
    "lost": "has happened",
}
_EXPIRIES: Final[dict[ExpiryState, str]] = {
    "nothing committed": "nothing is committed",
    "never": "never",
    "while a worker runs": "while a worker runs: never",
    "unknown": "unknown",
    "due": "at any moment; the ledger restores them",
    "forgotten": "has happened; a worker that starts restores them from the ledger",
}
_LABEL: Final = 15  # columns


# --- for people ----------------------------------------------------------------------------------------------------------


def print_status(status: Status, file: Path, *, partitions: bool) -> None:
    """One pipeline: its lines, what is known of all of it, and last what a person must look at."""
    at = moment(status.now_ms // 1000)
    click.secho(f"{status.facts.pipeline}  {printable(str(file))}  {at}", bold=True, color=colour(sys.stdout))
    rows: list[list[tuple[str, str] | str]] = [
        [
            line.name,
            (line.state, _STYLES[line.state]),
            "-" if line.lag is None else f"{line.lag:,}",
            "-" if line.behind_ms is None else span(line.behind_ms / 1000),
            deadline_words(line.loss, status.now_ms),
        ]
        for line in (status.partitions if partitions else status.topics)
    ]
    print_table(["partition" if partitions else "topic", "state", "lag", "behind", "data loss"], rows)
    click.echo()
    _fact("running", "; ".join(status.facts.members) or "nobody")
    _fact("last progress", _progress(status))
    _fact("offset expiry", _expiry(status))
    _fact("dead letters", _letters(status, file))
    for sentence in status.facts.unknown:
        _fact("not known", sentence, "yellow")
    found = findings(status)
    if not found and status.facts.ledger:
        _fact("to do", "nothing", "green")
    if found:
        click.echo()
    for finding in found:
        _fact(finding.kind, finding.what, "red")
        _fact("", _command(finding.command, file))
    click.echo()


def print_alerts(path: AlertPath) -> None:
    """Who is told."""
    for wrong in path.wrong:
        _fact("alerts", wrong, "red")
    nobody = path.nobody()
    if nobody is not None:
        _fact("alerts", f"nobody will be told: {nobody}", "yellow")
        return
    told = ", ".join(f"{address}, last at {moment(at.timestamp())}" for address, at in path.tested.items())
    _fact("alerts", f"go to {told}")
    if path.untested():
        _fact(
            "", f"not known to work: {', '.join(map(str, path.untested()))}; `prism alerts test` tries them", "yellow"
        )


def deadline_words(loss: Deadline, now_ms: int) -> str:
    """When the oldest unread record is deleted, for a cell."""
    if loss.state != "at":
        return _LOSSES[loss.state]
    sooner = ", or sooner by size" if loss.by_size else ""
    return f"in {span((loss.at_ms - now_ms) / 1000)}{sooner}"


def _progress(status: Status) -> str:
    if status.progress_ms < 0:
        return "unknown" if not status.facts.ledger else "none yet"
    ago = span(max(0, status.now_ms - status.progress_ms) / 1000)
    return f"{moment(status.progress_ms // 1000)}, {ago} ago"


def _expiry(status: Status) -> str:
    if status.expiry.state != "at":
        return _EXPIRIES[status.expiry.state]
    left = span((status.expiry.at_ms - status.now_ms) / 1000)
    return f"in about {left} at the earliest; the ledger restores them then"


def _letters(status: Status, file: Path) -> str:
    letters = status.facts.letters
    command = _command(f"prism dead-letters list {FILE}", file)
    if letters.open is not None:
        return f"{letters.open:,} open" + (f": {command}" if letters.open else "")
    return f"up to {letters.at_most:,}; to count the open ones: {command}" if letters.at_most >= 0 else "unknown"


def _command(command: str, file: Path) -> str:
    return command.replace(FILE, shlex.quote(str(file)))


def _fact(label: str, text: str, style: str = "") -> None:
    """A label and a text, which on a terminal is folded between words."""
    lines = [printable(text)]
    if sys.stdout.isatty():
        width = max(40, shutil.get_terminal_size().columns - _LABEL)
        lines = textwrap.wrap(lines[0], width, break_long_words=False, break_on_hyphens=False)
    head = (
        click.style(f"{label:<{_LABEL}}", fg=style or None, bold=bool(style))
        if colour(sys.stdout)
        else f"{label:<{_LABEL}}"
    )
    for number, line in enumerate(lines):
        click.echo(f"{' ' * _LABEL if number else head}{line}")


# --- for programs --------------------------------------------------------------------------------------------------------


def document(status: Status, file: Path) -> dict[str, Any]:
    """A status as JSON; times in ms since the epoch, null where there is none."""
    facts = status.facts
    places = list(zip(facts.standings, status.partitions, strict=True))
    return {
        "pipeline": facts.pipeline,
        "at_ms": status.now_ms,
        "topics": [
            {
                "topic": topic.name,
                **_line(topic, status.now_ms),
                "partitions": [
                    {"partition": standing.partition.index, **_line(line, status.now_ms)}
                    for standing, line in places
                    if line.topic == topic.name
                ],
            }
            for topic in status.topics
        ],
        "members": list(facts.members),
        "last_progress_ms": _time(status.progress_ms),
        "offset_expiry": {"state": _key(status.expiry.state), "at_ms": _time(status.expiry.at_ms)},
        "paused": [{"topic": one.topic, "since_ms": one.since_ms, "why": one.why} for one in status.pauses],
        "dead_letters": {
            "topic": facts.letters.topic,
            "open": facts.letters.open,
            "at_most": facts.letters.at_most if facts.letters.at_most >= 0 else None,
        },
        "not_known": list(facts.unknown),
        "findings": [
            {"kind": _key(one.kind), "topic": one.topic, "what": one.what, "command": _command(one.command, file)}
            for one in findings(status)
        ],
    }


def _line(line: Line, now_ms: int) -> dict[str, Any]:
    at_ms = line.loss.at_ms
    return {
        "state": _key(line.state),
        "lag": line.lag,
        "lag_seconds": None if line.behind_ms is None else line.behind_ms / 1000,
        "data_loss": {
            "state": _key(line.loss.state),
            "at_ms": _time(at_ms),
            "seconds": max(0, at_ms - now_ms) / 1000 if at_ms >= 0 else None,
            "or_sooner_by_size": line.loss.by_size,
        },
        "problem": line.problem,
    }


def _time(at_ms: int) -> int | None:
    return at_ms if at_ms >= 0 else None


def _key(state: str) -> str:
    return state.replace(" ", "_")
