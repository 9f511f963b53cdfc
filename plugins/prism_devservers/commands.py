"""``prism dev``: real servers on this machine, kept running by a supervisor."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from rich.console import Console

from prism_devservers.control import Control
from prism_devservers.download import fetch
from prism_devservers.java import java, java_flags
from prism_devservers.server import START_SECONDS
from prism_devservers.stack import CLASSES, KINDS, Kind, ServerStatus, brokers_of, data_folders
from prismlib.cli.app import json_option, print_json, print_table
from prismlib.errors import UnreachableError

_POLL_SECONDS: Final = 0.25
_LOG_LINES: Final = 20
Command = TypeVar("Command", bound=Callable[..., Any])


def _folder_option(command: Command) -> Command:
    return click.option(
        "--folder",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path(".prism/dev"),
        show_default=True,
        help="Where the servers keep their data and logs.",
    )(command)


def _kinds(_context: click.Context, _parameter: click.Parameter, value: str | None) -> Sequence[Kind]:
    if value is None:
        return KINDS
    named = [name.strip() for name in value.split(",")]
    for name in named:
        if name not in KINDS:
            raise click.BadParameter(f"{name!r} is none of {', '.join(KINDS)}")
    return [kind for kind in KINDS if kind in named]


@click.group(epilog="Example: prism dev up --only kafka,elasticsearch")
def dev() -> None:
    """Run a real Kafka, Elasticsearch, registry and object store on this machine."""


@dev.command(epilog="Example: prism dev up --kafka 3 --only kafka,registry")
@click.option("--kafka", "brokers", type=click.IntRange(1, 9), help="Number of brokers.  [default: as before, or 1]")
@click.option("--only", "kinds", callback=_kinds, metavar="SERVER,...", help=f"Only these of {', '.join(KINDS)}.")
@_folder_option
@json_option
def up(brokers: int | None, kinds: Sequence[Kind], folder: Path, *, as_json: bool) -> None:
    """Start the servers and leave them running; what runs already is left alone.

    Ports and data are those of the last time. The files of the servers are fetched once.
    """
    control = Control(folder)
    brokers_of(control.folder, brokers)
    java_flags(java())
    fetch("build", *(name for kind in kinds for name in CLASSES[kind].artifact_sets))
    launched = control.launch()
    try:
        before = {server.name for server in control.status() if server.state == "up"}
        control.start(kinds, brokers)
        servers = _started(control, kinds)
    except KeyboardInterrupt:
        if launched:
            control.down()  # who interrupts does not expect servers to go on starting
        raise
    asked_for = [server for server in servers if server.kind in kinds]
    already_up = before >= {server.name for server in asked_for}
    _show(control, servers, as_json=as_json, already_up=already_up)
    if already_up and not as_json:
        click.echo("They were already up.", err=True)
    failed = [server for server in asked_for if server.state != "up"]
    if failed:
        for server in failed:
            _show_log(server)
        raise UnreachableError("\n".join(server.detail or f"{server.name} is {server.state}" for server in failed))


@dev.command(epilog="Example: prism dev status --json")
@_folder_option
@json_option
@click.pass_context
def status(context: click.Context, folder: Path, *, as_json: bool) -> None:
    """Say which servers are up and where; exit code 0 when all are, 1 otherwise."""
    control = Control(folder)
    servers = control.status()
    _show(control, servers, as_json=as_json)
    if not servers or any(server.state != "up" for server in servers):
        context.exit(1)


@dev.command(epilog="Example: prism dev down --delete-data")
@click.option("--delete-data", is_flag=True, help="Delete what the servers stored, and forget their ports.")
@_folder_option
def down(folder: Path, *, delete_data: bool) -> None:
    """End all servers and their supervisor; their data stays."""
    control = Control(folder)
    click.echo("The servers are down." if control.down() else f"Nothing was up in {folder}.")
    if delete_data:
        for data in data_folders(control.folder):
            shutil.rmtree(data)
        click.echo("Their data is deleted.")


@dev.command(epilog="Example: prism dev kill kafka")
@click.argument("server")
@_folder_option
@json_option
def kill(server: str, folder: Path, *, as_json: bool) -> None:
    """Kill one server as by kill -9; `prism dev restart` starts it again with what it had saved."""
    control = Control(folder)
    _show(control, control.kill(server), as_json=as_json)


@dev.command(epilog="Example: prism dev restart elasticsearch")
@click.argument("server")
@_folder_option
@json_option
def restart(server: str, folder: Path, *, as_json: bool) -> None:
    """Shut one server down if it runs, start it, and wait until it answers."""
    control = Control(folder)
    try:
        servers = control.restart(server)
    except UnreachableError:
        for one in control.status():
            if one.name == server:
                _show_log(one)
        raise
    _show(control, servers, as_json=as_json)


def _started(control: Control, kinds: Sequence[Kind]) -> Sequence[ServerStatus]:
    """Wait until no server is starting any more."""
    console = Console(stderr=True, highlight=False)
    waiting = f"starting {', '.join(kinds)}"
    if not console.is_terminal:
        console.print(waiting, markup=False)
    deadline = time.monotonic() + 2 * START_SECONDS
    with console.status(waiting) as spinner:
        while True:
            servers = control.status()
            starting = ", ".join(server.name for server in servers if server.state == "starting")
            if not starting:
                return servers
            if time.monotonic() > deadline:
                raise UnreachableError(f"{starting} did not start: see the logs in {control.folder}")
            spinner.update(f"starting {starting}")
            time.sleep(_POLL_SECONDS)


def _show(control: Control, servers: Sequence[ServerStatus], *, as_json: bool, already_up: bool | None = None) -> None:
    if as_json:
        shown: dict[str, object] = {"folder": str(control.folder), "servers": [asdict(server) for server in servers]}
        if already_up is not None:
            shown["already_up"] = already_up
        print_json(shown)
    elif servers:
        print_table(["server", "state", "address", "process"], [_row(server) for server in servers])
        for server in servers:
            if server.credentials:
                needs = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in server.credentials.items())
                click.echo(f"{server.name}: {needs}")
    else:
        click.echo(f"Nothing is up in {control.folder}: start it with `prism dev up`.")


def _row(server: ServerStatus) -> Sequence[tuple[str, str] | str]:
    state = (server.state, "green" if server.state == "up" else "red")
    process = server.detail if server.pid is None and server.state == "ended" else str(server.pid or "")
    return server.name, state, server.address, process


def _show_log(server: ServerStatus) -> None:
    """The end of the log of a server that should be up, for whoever has to find out why it is not."""
    log = Path(server.log)
    if log.is_file():
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
        click.echo("\n".join([f"the log of {server.name} ends:", *lines]), err=True)
