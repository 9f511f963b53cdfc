"""``prism alerts``: whether somebody will be told. And what the other commands need for it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import click

from prismlib.cli.app import App, json_option, pass_app, print_error, print_json, print_table
from prismlib.config.pipeline import load_pipeline
from prismlib.config.project import ProjectConfig, load_project
from prismlib.errors import ConfigError, UnreachableError
from prismlib.plugin.hookspecs import Check
from prismlib.watch.alerts import AlertPath, Alerts, project_alerts
from prismlib.watch.message import project_test

production_option = click.option(
    "--production",
    is_flag=True,
    help="End with 2 when nobody would be told, because no alert address is known to work.",
)


def alerts_of(pipeline: Path, worker: str) -> Alerts:
    """Those of the project that a pipeline file belongs to. The file may be wrong: that has to be told as well.

    Raises:
        ConfigError: ``prism.toml`` is wrong.
    """
    try:
        name = load_pipeline(pipeline).name
    except ConfigError:
        name = pipeline.name
    return project_alerts(load_project(pipeline.parent), pipeline=name, file=pipeline, worker=worker)


def alert_checks(project: ProjectConfig, *, production: bool) -> Iterator[Check]:
    """Whether somebody will be told, as far as is known without sending anything."""
    path = AlertPath.of(project)
    for wrong in path.wrong:
        yield Check("alert address", "wrong", wrong)
    for address in path.addresses:
        at = path.tested.get(address)
        if at is None:
            yield Check("alert address", "warning", f"{address}: no delivery has worked yet; run `prism alerts test`")
        else:
            yield Check(
                "alert address", "ok", f"{address}: the last delivery that worked was at {_time(at.isoformat())}"
            )
    nobody = path.nobody()
    if nobody is None:
        yield Check("alerts", "ok", f"{len(path.tested)} of {len(project.alerts.to)} addresses are known to work")
    else:
        detail = f"nobody will be told when it stops: {nobody}"
        yield Check("alerts", "wrong" if production else "warning", detail)


@click.group(epilog="Example: prism alerts test")
def alerts() -> None:
    """Who is told when a pipeline refuses to start, pauses or stops: [alerts] in prism.toml."""


@alerts.command(epilog="Example: prism alerts test")
@json_option
@pass_app
def test(_: App, as_json: bool) -> int:  # noqa: FBT001  # click passes options by name
    """Send one real message to every address of [alerts] to, and keep which of them work.

    Ends with 0 when every address has taken it, 2 when one is wrong or there is none, 3 when one did not take it, or the result cannot be kept.
    """
    project = load_project(Path.cwd())
    path = AlertPath.of(project)
    if not project.alerts.to:
        raise ConfigError(
            f"{project.path or 'there is no prism.toml here or above, which'} names no address; add for instance"
            ' [alerts] with to = [{ env = "PRISM_ALERT_URL" }]'
        )
    results = path.test(project_test(project.path or project.base, socket.gethostname()))
    if as_json:
        rows = [
            {"address": a.place, "scheme": a.scheme, "delivered": why is None, "why": why} for a, why in results.items()
        ]
        print_json({"tested": rows, "wrong": list(path.wrong)})
    elif results:
        states = {True: ("delivered", "green"), False: ("not delivered", "red")}
        print_table(
            ["address", "state", "why"], [[str(a), states[why is None], why or ""] for a, why in results.items()]
        )
    for wrong in path.wrong:
        print_error(wrong)
    forgotten = [str(a) for a, why in results.items() if why is None and path.proofs.tested_at(a.secret) is None]
    if forgotten:
        print_error(
            f"{path.proofs.file} cannot be written, so nothing else will know that {', '.join(forgotten)} works; make it"
            " writable, or name another folder in [storage] path"
        )
    if path.wrong:
        return ConfigError.exit_code
    if forgotten:
        return UnreachableError.exit_code
    return UnreachableError.exit_code if any(results.values()) else 0


def _time(text: str) -> str:
    return text.replace("+00:00", "Z")
