"""``prism dead-letters retry``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from prismlib.cli import logs
from prismlib.cli.app import App, colour, json_option, pass_app, print_json, printable, progress
from prismlib.cli.ends import INTERRUPTED
from prismlib.cli.letter_options import command, selection_of, selection_options
from prismlib.cli.project import load, pipeline_argument
from prismlib.cli.supervise import stop_on_signals
from prismlib.runtime.assemble import retry_stages
from prismlib.runtime.resolve import resolve
from prismlib.runtime.retry import Cause, Report, Result, Retry

_STYLES: dict[Result, str] = {"delivered": "green", "dropped": "yellow", "failed": "red", "left": "red"}
_DONE: dict[Result, str] = {
    "delivered": "delivered",
    "dropped": "dropped by the mapping",
    "failed": "failed again",
    "left": "left as they are",
}
_WOULD: dict[Result, str] = {
    "delivered": "would be delivered",
    "dropped": "would be dropped by the mapping",
    "failed": "would fail again",
    "left": "would be left as they are",
}


@click.command(
    short_help="Retry dead letters; a dry run unless --yes.",
    epilog="Example: prism dead-letters retry pipelines/air-traffic.toml --reason truncated --yes",
)
@pipeline_argument
@selection_options
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Retry at most this many letters.")
@click.option("--yes", is_flag=True, help="Do it. Without it nothing is written.")
@json_option
@pass_app
def retry(app: App, /, pipeline: Path, limit: int | None, yes: bool, as_json: bool, **options: Any) -> int:  # noqa: FBT001  # click passes options by name
    """Take dead letters through today's mapping, decoders and schemas again, in the order of their records.

    Without --yes it says what would become of them, and writes nothing. Workers may run meanwhile. Ctrl-C finishes what is
    under way; what is done is marked and is not done again.

    A retried record comes after newer records of its key. In a topic the newer ones stand before it; an index keeps the
    newest version, unless that was a delete and the server has forgotten it (index.gc_deletes, a minute).

    Ends with 0 when all were delivered or dropped, 1 when some failed again or were left as they are.
    """
    logs.configure("text", "warning", "retry", {plugin.module.partition(".")[0] for plugin in app.plugins.loaded})
    loaded = load(pipeline, app.plugins)
    stages = retry_stages(
        resolve(loaded.pipeline, app.plugins),
        app.plugins,
        registry=loaded.registry,
        storage=loaded.project.storage_path,
    )
    with progress("reading dead letters") as bar:
        work = Retry(
            stages,
            selection_of(**options),
            write=yes,
            limit=limit,
            scanned=lambda read: bar(read, None),
            progress=lambda report: bar(report.done, report.total),
        )
        with stop_on_signals(work.stop):
            report = work.run()
    if as_json:
        print_json(_document(report))
    else:
        _print(report, pipeline)
    if report.stopped:
        return INTERRUPTED
    return 1 if report.counts["failed"] or report.counts["left"] else 0


def _print(report: Report, pipeline: Path) -> None:
    words = _DONE if report.written else _WOULD
    for cause in _sorted(report):
        head = f"{cause.count:,} {words[cause.result]}"
        click.secho(head, fg=_STYLES[cause.result], bold=True, nl=False, color=colour(sys.stdout))
        reason = cause.reason
        about = [reason.topic, reason.stage, reason.code, f"field {reason.field}" if reason.field else ""]
        click.echo(printable(f"  {'  '.join(filter(None, about))}"))
        if cause.sentence:
            click.echo(f"    {printable(cause.sentence)}")
            click.echo(f"    for example {cause.example}")
    if not report.total:
        click.echo("No open dead letters to retry.", err=True)
        return
    if report.unproven:
        click.echo(
            f"{report.unproven:,} of those that would be delivered were refused by the sink before; whether it takes them"
            " now, only --yes shows.",
            err=True,
        )
    if report.stopped:
        click.echo(f"Stopped after {report.done:,} of {report.total:,} letters; the others are open.", err=True)
    if not report.written:
        click.echo("This was a dry run; nothing was written. Run it again with --yes to do it.", err=True)
    elif report.counts["failed"]:
        click.echo(f"What failed again is a new letter: {command('list', pipeline)}", err=True)


def _sorted(report: Report) -> Sequence[Cause]:
    order = list(_STYLES)
    return sorted(report.causes.values(), key=lambda one: (order.index(one.result), -one.count, one.reason))


def _document(report: Report) -> dict[str, Any]:
    return {
        "written": report.written,
        "stopped": report.stopped,
        "total": report.total,
        **{str(result): count for result, count in report.counts.items()},
        "unproven": report.unproven,
        "causes": [
            {
                "result": cause.result,
                "topic": cause.reason.topic,
                "stage": cause.reason.stage or None,
                "code": cause.reason.code or None,
                "field": cause.reason.field or None,
                "sentence": cause.sentence or None,
                "example": str(cause.example),
                "count": cause.count,
            }
            for cause in _sorted(report)
        ],
    }
