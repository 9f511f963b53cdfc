"""``prism offsets``: where a pipeline stands, in its ledger and with the broker, and how to move it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import click

from prismlib.cli.app import App, json_option, pass_app, print_json, print_table, printable
from prismlib.cli.offset_options import (
    broker_document,
    choice_options,
    command,
    ledger_document,
    log_range,
    moment,
    opened,
)
from prismlib.cli.offsets_move import reset, restore
from prismlib.cli.project import pipeline_argument
from prismlib.records import LedgerNote
from prismlib.runtime.offsets import Standing
from prismlib.timestamps import utc

_NOTES: Final = 10  # lines of the tail
_STYLES: Final = {"equal": "green", "not started": "yellow"}


@click.group("offsets", epilog="Example: prism offsets show pipelines/air-traffic.toml")
def offsets() -> None:
    """Show where a pipeline stands, in its ledger and with the broker, and move both together."""


offsets.add_command(restore)
offsets.add_command(reset)


@offsets.command(epilog="Example: prism offsets show pipelines/air-traffic.toml --topic flights")
@pipeline_argument
@choice_options
@json_option
@pass_app
def show(app: App, pipeline: Path, topic: str | None, partitions: tuple[int, ...], as_json: bool) -> None:  # noqa: FBT001  # click passes options by name
    """Show ledger and broker side by side, with times, and what was done to them.

    The times are those of the next record to read, where there is one already, and of the last one that was settled. Changes
    nothing, and may be run while the workers run.
    """
    with opened(app, pipeline) as found:
        standings = found.standings(topic, partitions)
        notes = found.ledger.load_notes()
        members = found.group.members()
        name = found.loaded.pipeline.name
    if as_json:
        print_json(
            {
                "pipeline": name,
                "members": list(members),
                "partitions": [_document(standing) for standing in standings],
                "notes": [_note_document(note) for note in notes],
            }
        )
        return
    _print(standings)
    click.echo(f"\nLive members: {printable('; '.join(members)) or 'none'}")
    _print_notes(notes)
    _print_next(standings, pipeline)


# --- for people ----------------------------------------------------------------------------------------------------------


def _print(standings: Sequence[Standing]) -> None:
    rows: list[list[tuple[str, str] | str]] = []
    for one in standings:
        state = "; ".join(filter(None, [one.state, one.problem]))
        style = "red" if one.problem else _STYLES.get(one.state, "yellow")
        rows.append(
            [
                str(one.partition),
                log_range(one),
                "-" if one.row is None else str(one.row.next_offset),
                moment(one.ledger_ms),
                moment(-1 if one.row is None else one.row.timestamp_ms),
                "-" if one.committed is None else str(one.committed),
                moment(one.committed_ms),
                "-" if one.lag is None else str(one.lag),
                (state, style),
            ]
        )
    columns = (
        "partition",
        "log",
        "ledger",
        "next record of",
        "last settled of",
        "broker",
        "next record of",
        "lag",
        "state",
    )
    print_table(columns, rows)


def _print_notes(notes: Sequence[LedgerNote]) -> None:
    lines = [_note_line(list(same)) for _, same in groupby(notes, lambda n: (n.at_ms, n.kind, n.who, n.stream))]
    if not lines:
        click.echo("Notes: none")
        return
    older = len(lines) - _NOTES
    click.echo(f"Notes, the last {_NOTES} of {len(lines)} (--json has all):" if older > 0 else "Notes:")
    for line in lines[-_NOTES:]:
        click.echo(f"  {line}")


def _note_line(same: Sequence[LedgerNote]) -> str:
    """One line for what was done to several partitions of a topic at once."""
    note = same[0]
    about = str(note.partition) if note.partition is not None else note.stream or "all of it"
    more = f" (and {len(same) - 1} more of this topic)" if len(same) > 1 else ""
    return printable(f"{utc(note.at_ms)}  {note.kind}  {about}  {note.who}: {note.what}{more}")


def _print_next(standings: Iterable[Standing], pipeline: Path) -> None:
    settled = [one for one in standings if one.row is not None and one.row.timestamp_ms >= 0]
    if any(one.state == "no broker offset" for one in settled):
        click.echo(
            f"A worker that starts goes on from the ledger; for other tools, {command('restore', pipeline)} gives the broker"
            " the same",
            err=True,
        )


# --- for programs --------------------------------------------------------------------------------------------------------


def _document(standing: Standing) -> dict[str, Any]:
    horizon = standing.horizon
    return {
        "topic": standing.partition.stream,
        "partition": standing.partition.index,
        "log": {
            "start": horizon.start,
            "end": horizon.end,
            "start_ms": horizon.start_timestamp_ms,
            "topic_id": horizon.topic_id,
        },
        "ledger": ledger_document(standing),
        "broker": broker_document(standing),
        "lag": standing.lag,
        "state": standing.state.replace(" ", "_"),
        "problem": standing.problem,
    }


def _note_document(note: LedgerNote) -> dict[str, Any]:
    document = asdict(note)
    document["topic"] = document.pop("stream")
    document["partition"] = None if note.partition is None else note.partition.index
    return document
