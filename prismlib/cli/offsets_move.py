"""``prism offsets reset`` and ``restore``: move ledger and broker, or the broker alone; a dry run unless ``--yes``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from prismlib.cli.app import App, json_option, pass_app, print_json, print_table
from prismlib.cli.letter_options import Moment
from prismlib.cli.offset_options import (
    Opened,
    broker_document,
    choice_options,
    command,
    ledger_document,
    log_range,
    moment,
    opened,
)
from prismlib.cli.project import pipeline_argument
from prismlib.errors import FatalError
from prismlib.runtime.offsets import Move, Target, carry_out, operator, plan_reset, plan_restore, require_nobody
from prismlib.timestamps import utc

_yes = click.option("--yes", is_flag=True, help="Do it. Without it, nothing is changed.")


@click.command(epilog="Example: prism offsets reset pipelines/air-traffic.toml --to-time 2013-01-05T06:00:00Z --yes")
@pipeline_argument
@click.option("--to", "end", type=click.Choice(["earliest", "latest"]), help="To either end of the log.")
@click.option(
    "--to-time", type=Moment(), help="To the first record written since: 2025-03-01T06:00:00Z, or 2h for two hours ago."
)
@click.option("--to-offset", type=click.IntRange(min=0), metavar="OFFSET", help="To this offset, the next one to read.")
@choice_options
@_yes
@json_option
@pass_app
def reset(
    app: App,
    /,
    pipeline: Path,
    end: str | None,
    to_time: int | None,
    to_offset: int | None,
    topic: str | None,
    partitions: tuple[int, ...],
    yes: bool,  # noqa: FBT001  # click passes options by name
    as_json: bool,  # noqa: FBT001  # as above
) -> None:
    """Move a pipeline to a time, an offset, or either end: its ledger and the broker's offsets together.

    Shows the plan; with --yes, carries it out, and notes in the ledger who did it. Refused while workers run. Moved back, a
    pipeline reads records again: an index has them once all the same, a topic gets them twice. Moved forward, it never reads
    those in between.
    """
    target = _target(end, to_time, to_offset)
    chosen = [*(["--topic", topic] if topic else []), *(f"--partition={number}" for number in partitions)]
    words = command("reset", pipeline, *target.words.split(), *chosen)
    with opened(app, pipeline) as found:
        moves = plan_reset(
            found.group,
            found.standings(topic, partitions),
            target,
            key_fixes_partition=found.loaded.pipeline.key_fixes_partition,
        )
        _finish(found, moves, words=words, yes=yes, as_json=as_json)


@click.command(epilog="Example: prism offsets restore pipelines/air-traffic.toml --yes")
@pipeline_argument
@choice_options
@_yes
@json_option
@pass_app
def restore(
    app: App,
    pipeline: Path,
    topic: str | None,
    partitions: tuple[int, ...],
    yes: bool,  # noqa: FBT001  # click passes options by name
    as_json: bool,  # noqa: FBT001  # as above
) -> None:
    """Give the broker the offsets that the ledger knows, where it forgot them or somebody moved them.

    Shows the plan; with --yes, carries it out, and notes in the ledger who did it. Refused while workers run. Workers need no
    restoring, they look into the ledger themselves; other tools do not.
    """
    with opened(app, pipeline) as found:
        moves = plan_restore(found.standings(topic, partitions))
        _finish(found, moves, words=command("restore", pipeline), yes=yes, as_json=as_json)


def _target(end: str | None, to_time: int | None, to_offset: int | None) -> Target:
    targets = []
    if end == "earliest":
        targets.append(Target("earliest", "--to earliest"))
    elif end == "latest":
        targets.append(Target("latest", "--to latest"))
    if to_time is not None:
        targets.append(Target("time", f"--to-time {utc(to_time)}", to_time))
    if to_offset is not None:
        targets.append(Target("offset", f"--to-offset {to_offset}", to_offset))
    if len(targets) != 1:
        raise click.UsageError("Give one of --to, --to-time and --to-offset.")
    return targets[0]


def _finish(found: Opened, moves: Sequence[Move], *, words: str, yes: bool, as_json: bool) -> None:
    """Show the plan, refuse it while somebody reads, and carry it out if asked to."""
    members = found.group.members()
    needed = any(move.needed for move in moves)
    refusal: FatalError | None = None
    done = False
    try:
        require_nobody(members)
        if yes and needed:
            carry_out(found.group, found.ledger, moves, who=operator(), words=words, now_ms=time.time_ns() // 1_000_000)
            done = True
    except FatalError as error:
        refusal = error
    if as_json:
        print_json(
            {
                "pipeline": found.loaded.pipeline.name,
                "done": done,
                "members": list(members),
                "moves": [_document(move) for move in moves],
            }
        )
    else:
        _print(moves)
    if refusal is not None:
        raise refusal
    if not needed:
        click.echo("Nothing to do: ledger and broker are there already.", err=True)
    elif done:
        click.echo("Done; the ledger notes it. Workers that start now begin there.", err=True)
    else:
        click.echo("This was a dry run; nothing was changed. Run it again with --yes to do it.", err=True)


def _print(moves: Sequence[Move]) -> None:
    columns = ("partition", "log", "ledger", "broker", "to", "next record of", "effect")
    rows: list[list[tuple[str, str] | str]] = []
    for move in moves:
        before = move.standing
        style = "" if not move.needed else "yellow"
        rows.append(
            [
                str(move.partition),
                log_range(before),
                "-" if before.row is None else str(before.row.next_offset),
                "-" if before.committed is None else str(before.committed),
                str(move.to),
                moment(move.to_ms),
                (move.effect, style),
            ]
        )
    print_table(columns, rows)


def _document(move: Move) -> dict[str, Any]:
    return {
        "topic": move.partition.stream,
        "partition": move.partition.index,
        "ledger": ledger_document(move.standing),
        "broker": broker_document(move.standing),
        "to": move.to,
        "record_ms": move.to_ms,
        "needed": move.needed,
        "effect": move.effect,
    }
