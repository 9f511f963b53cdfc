"""``prism schema``: the contract side by hand."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from prismlib.cli.app import App, json_option, pass_app, print_json, print_table
from prismlib.cli.project import load, pipeline_argument
from prismlib.cli.schema_register import import_, register, registry_option
from prismlib.cli.schema_remote import open_remote
from prismlib.contracts.deriving import Derived, derive
from prismlib.contracts.directory import DirectoryRegistry
from prismlib.contracts.formats import load_format
from prismlib.contracts.gate import proposal_of, version_of
from prismlib.contracts.registry import RegisteredSchema, Registry
from prismlib.errors import ConfigError, SchemaNotFoundError, SchemaParseError
from prismlib.runtime.assemble import subjects_read
from prismlib.runtime.resolve import resolve

_COLOURS = {"added": "green", "removed": "red", "changed": "yellow", "renamed": "yellow", "moved": "yellow"}


@click.group(epilog="Example: prism schema diff flights-value 1 2")
def schema() -> None:
    """Look at schemas and contracts, register new versions, and derive contracts from pipelines."""


@schema.command("list", epilog="Example: prism schema list --json")
@registry_option
@json_option
@pass_app
def list_(app: App, url: str | None, as_json: bool) -> None:  # noqa: FBT001  # click passes options by name
    """List the subjects with their latest version."""
    registry = open_remote(url, app.plugins)
    found = [registry.latest(name) for name in registry.subjects()]
    if as_json:
        print_json([_row(one) for one in found])
        return
    print_table(
        ["subject", "format", "versions", "latest id"],
        [[one.subject, one.format, str(one.version), str(one.id)] for one in found],
    )


@schema.command(epilog="Example: prism schema show flights-value 1")
@click.argument("subject")
@click.argument("version", required=False, type=click.IntRange(1))
@registry_option
@json_option
@pass_app
def show(app: App, subject: str, version: int | None, url: str | None, as_json: bool) -> None:  # noqa: FBT001  # as above
    """Print one version of a subject, the latest by default, as it was registered."""
    registry = open_remote(url, app.plugins)
    found = registry.latest(subject) if version is None else registry.version(subject, version)
    if as_json:
        print_json({**_row(found), "schema": found.text})
    else:
        click.echo(found.text.rstrip("\n"))


@schema.command(epilog="Example: prism schema diff flights-value 1 next")
@click.argument("subject")
@click.argument("older", required=False)
@click.argument("newer", required=False)
@registry_option
@json_option
@pass_app
def diff(
    app: App,
    subject: str,
    older: str | None,
    newer: str | None,
    url: str | None,
    as_json: bool,  # noqa: FBT001  # as above
) -> None:
    """Say what changed between two versions, by default the latest two; `next` is the proposal of a folder."""
    registry = open_remote(url, app.plugins)
    latest = registry.latest(subject)
    before, after = _two(registry, subject, latest, older, newer)
    fmt = load_format(latest.format)
    parsed = fmt.parse_all([before[1], after[1]])
    for one in parsed:
        if isinstance(one, SchemaParseError):
            raise one
    changes = fmt.changes(*parsed)
    if as_json:
        print_json(
            [{"kind": c.kind, "path": c.path, "before": c.before, "after": c.after} for c in changes],
        )
        return
    if not changes:
        click.echo(f"{subject}: {before[0]} and {after[0]} say the same")
        return
    print_table(
        ["what", "where", before[0], after[0]],
        [[(c.kind, _COLOURS[c.kind]), c.path or "/", c.before, c.after] for c in changes],
    )


def _two(registry: Registry, subject: str, latest: RegisteredSchema, older: str | None, newer: str | None) -> Any:
    """(name, schema) of the two sides."""
    if older is None:
        upcoming = _proposal(registry, subject)
        if upcoming is not None:
            return (f"version {latest.version}", version_of(registry, subject, latest.version).schema), (
                "next",
                upcoming,
            )
        if latest.version == 1:
            raise ConfigError(f"{subject} has one version and no proposal; there is nothing to compare it with")
        older = str(latest.version - 1)
    return _side(registry, subject, older), _side(registry, subject, newer or str(latest.version))


def _side(registry: Registry, subject: str, name: str) -> Any:
    if name == "next":
        upcoming = _proposal(registry, subject)
        if upcoming is None:
            raise SchemaNotFoundError(f"{subject} has no proposal `next` in a folder of schemas")
        return "next", upcoming
    if not name.isdigit() or int(name) < 1:
        raise ConfigError(f"{name!r} is no version; write a number from 1, or `next`")
    return f"version {name}", version_of(registry, subject, int(name)).schema


def _proposal(registry: Registry, subject: str) -> Any:
    return proposal_of(registry, subject) if isinstance(registry, DirectoryRegistry) else None


@schema.command("derive", epilog="Example: prism schema derive pipelines/air-traffic.toml --check")
@pipeline_argument
@click.option("--check", "check_only", is_flag=True, help="Write nothing; end with 1 when a contract is stale.")
@json_option
@pass_app
def derive_(app: App, pipeline: Path, check_only: bool, as_json: bool) -> int:  # noqa: FBT001  # as above
    """Write a pipeline's contracts from its mappings: which fields it reads of each subject.

    One contract a subject, in schemas/SUBJECT/consumers/. Waivers and comments of a contract stay.
    """
    loaded = load(pipeline, app.plugins)
    if not isinstance(loaded.registry, DirectoryRegistry):
        raise ConfigError(
            "contracts are files of a folder of schemas; publish them with `prism schema register --consumer`"
        )
    config = loaded.pipeline
    reads: dict[str, set[str]] = {}
    for read in subjects_read(resolve(config, app.plugins), app.plugins):
        reads.setdefault(read.subject, set()).update(read.reads)
    base = loaded.project.base
    files: list[Derived] = []
    for subject, fields in sorted(reads.items()):
        fmt = load_format(loaded.registry.subject(subject).format)
        files += derive(
            loaded.registry,
            fmt,
            subject,
            consumer=config.name,
            owner=config.owner,
            contact=config.contact,
            reads=sorted(fields),
            derived_from=os.path.relpath(pipeline.resolve(), base.resolve()),
        )
    states = ["current" if one.current else "stale" if check_only else "written" for one in files]
    if not check_only:
        for one in files:
            if not one.current:
                one.write()
    rows = [(os.path.relpath(one.path), state) for one, state in zip(files, states, strict=True)]
    if as_json:
        print_json([{"file": path, "state": state} for path, state in rows])
    elif not rows:
        click.echo(f"{config.name} reads no fields of any subject: its routes pass bodies through")
    else:
        print_table(["contract", "state"], [[path, state] for path, state in rows])
    return int("stale" in states)


def _row(one: RegisteredSchema) -> dict[str, Any]:
    return {"subject": one.subject, "version": one.version, "id": one.id, "format": one.format}


schema.add_command(register)
schema.add_command(import_)
