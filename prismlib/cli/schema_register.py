"""``prism schema register`` and ``prism schema import``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from prismlib.cli.app import App, json_option, pass_app, print_json, print_table
from prismlib.cli.schema_questions import Asked, contract_in, parse_references, question_in
from prismlib.cli.schema_remote import contract_of, open_remote, question_of
from prismlib.cli.schema_reports import report_document, show
from prismlib.config.model import Secret, validate
from prismlib.config.project import RegistryConfig
from prismlib.contracts.check import Question
from prismlib.contracts.consumers import Consumer
from prismlib.contracts.directory import DirectoryRegistry
from prismlib.contracts.gate import answer
from prismlib.contracts.importing import Imported, carry_out, plan_import
from prismlib.contracts.registry import (
    KeepsContracts,
    KeepsLevels,
    RegisteredSchema,
    Registry,
    TakesImports,
    WritableRegistry,
)
from prismlib.contracts.releasing import release
from prismlib.contracts.report import exit_code
from prismlib.errors import ConfigError
from prismlib.plugin.registries import open_registry

T = TypeVar("T")

_SOURCE: Final = {"token": "PRISM_IMPORT_TOKEN", "user": "PRISM_IMPORT_USER", "password": "PRISM_IMPORT_PASSWORD"}
_STYLES: Final = {"to import": "yellow", "imported": "green", "there": "green", "clash": "red", "refused": "red"}

registry_option = click.option(
    "--registry", "url", metavar="URL|FOLDER", help="Another registry than the one of prism.toml."
)
yes_option = click.option("--yes", is_flag=True, help="Do it. Without it, nothing is changed.")


@click.command(epilog="Example: prism schema register schemas/flights-value/next.avsc --yes")
@click.argument("schema", required=False, type=click.Path(path_type=Path))
@click.option("--subject", metavar="NAME", help="Which subject gets it; that of the folder where it is in one.")
@click.option(
    "--reference",
    "references",
    multiple=True,
    metavar="NAME=SUBJECT:VERSION",
    help="What SCHEMA imports under NAME.",
)
@click.option("--consumer", type=click.Path(path_type=Path), metavar="FILE", help="Publish this contract instead.")
@registry_option
@yes_option
@json_option
@pass_app
def register(
    app: App,
    schema: Path | None,
    subject: str | None,
    references: tuple[str, ...],
    consumer: Path | None,
    url: str | None,
    yes: bool,  # noqa: FBT001  # click passes options by name
    as_json: bool,  # noqa: FBT001  # as above
) -> int:
    """Register SCHEMA as the next version of a subject, or publish a consumer's contract.

    Checks it first, like prism-check-schema, and shows the report; what fails is not registered. Into a folder,
    the version's file is written, and the proposal next.* removed.
    """
    if (schema is None) == (consumer is None):
        raise ConfigError("name either a SCHEMA or a contract with --consumer")
    asked = Asked(schema, subject, consumer=consumer, references=references)
    registry = open_remote(url, app.plugins)
    question, act = (
        _contract(registry, consumer, subject) if consumer is not None else _schema(registry, asked, schema or Path())
    )
    reports = list(answer(iter([question]), datetime.now(UTC).date()))
    code = exit_code(reports)
    registered = act() if code == 0 and yes else None
    if as_json:
        print_json(
            {"exit_code": code, "report": report_document(reports[0]), "registered": registered and _row(registered)}
        )
        return code
    show(reports, "text")
    if registered is not None:
        click.echo(f"registered {registered.subject} version {registered.version}, id {registered.id}")
    elif code == 0:
        click.echo("This was a dry run; nothing was registered. Run it again with --yes to register it.", err=True)
    else:
        click.echo("Nothing was registered.", err=True)
    return code


def _schema(registry: Registry, asked: Asked, path: Path) -> tuple[Question, Any]:
    """What is asked about it, and what registers it."""
    references = parse_references(asked.references)
    if isinstance(registry, DirectoryRegistry):
        question = question_in(registry, path, asked)
        name = question.subject.name
        if name not in registry.all_subjects():
            raise ConfigError(
                f"{registry.folder(name)}: has no subject.toml; write one with format, compatibility, owner, contact"
            )
        return question, lambda: release(registry, name, path, references)
    if not isinstance(registry, WritableRegistry):
        raise ConfigError(f"{registry!r} takes no schemas")
    if asked.subject is None:
        raise ConfigError("--subject is missing: say which subject the schema is for")
    name = asked.subject
    question = question_of(registry, name, path, asked.references)
    proposal = question.proposal
    if proposal is None:
        raise AssertionError("there is a proposal in a question about a schema")
    return question, lambda: registry.register(name, question.subject.format, proposal.schema.text, references)


def _contract(registry: Registry, path: Path, name: str | None) -> tuple[Question, Any]:
    if isinstance(registry, DirectoryRegistry):
        contract_in(registry, path, name)
        raise ConfigError(f"{path}: is registered by being there: a folder of schemas keeps contracts as files")
    if not isinstance(registry, KeepsContracts):
        raise ConfigError(f"{registry!r} keeps no contracts")
    question = contract_of(registry, path, name, all_versions=False)
    contract: Consumer = question.consumers[0]
    return question, lambda: registry.publish_contract(contract, question.subject.format)


@click.command("import", epilog="Example: prism schema import https://registry.example.org --subjects 'orders-*' --yes")
@click.argument("source", metavar="URL")
@click.option(
    "--subjects", "pattern", default="*", metavar="PATTERN", help="Only those whose name matches, as in a shell."
)
@registry_option
@yes_option
@json_option
@pass_app
def import_(
    app: App,
    source: str,
    pattern: str,
    url: str | None,
    yes: bool,  # noqa: FBT001  # click passes options by name
    as_json: bool,  # noqa: FBT001  # as above
) -> int:
    """Import subjects from the registry at URL, keeping ids, versions, references, metadata and levels.

    What they import comes along. The target must be a registry of `prism serve`; it can be in use. What is there already
    stays, so that it can be run again. Credentials for URL: PRISM_IMPORT_TOKEN, or PRISM_IMPORT_USER and PRISM_IMPORT_PASSWORD.
    """
    target = open_remote(url, app.plugins)
    if not (isinstance(target, TakesImports) and isinstance(target, KeepsLevels)):
        raise ConfigError(f"{target!r} takes no imports; name a registry of `prism serve` with --registry")
    if "://" not in source:
        raise ConfigError(f"{source}: write the address of a registry, such as https://registry.example.org")
    table: dict[str, Any] = {"url": source}
    table |= {key: Secret(os.environ[name]) for key, name in _SOURCE.items() if os.environ.get(name)}
    origin = open_registry(validate(RegistryConfig, table, source), app.plugins, Path.cwd(), source)
    names = [name for name in origin.subjects() if fnmatchcase(name, pattern)]
    if not names:
        raise ConfigError(f"{source}: no subject matches {pattern!r}")
    with _progress("comparing") as shown:
        done: list[Imported] = list(shown(plan_import(origin, target, names)))
    if yes:
        with _progress("importing", len(done)) as shown:
            done = list(shown(carry_out(origin, target, done)))
    if as_json:
        print_json([{**_row(one.schema), "state": one.state.replace(" ", "_"), "problem": one.problem} for one in done])
    else:
        print_table(
            ["subject", "version", "id", "state", "problem"],
            [
                [
                    one.schema.subject,
                    str(one.schema.version),
                    str(one.schema.id),
                    (one.state, _STYLES[one.state]),
                    one.problem,
                ]
                for one in done
            ],
        )
    if any(one.state == "to import" for one in done):
        click.echo("This was a dry run; nothing was changed. Run it again with --yes to import.", err=True)
    return int(any(one.problem for one in done))


@contextmanager
def _progress(what: str, total: int | None = None) -> Iterator[Any]:
    """Counts what passes, on standard error where that is a terminal."""
    from rich.console import Console  # noqa: PLC0415  # rich costs start-up time
    from rich.progress import MofNCompleteColumn, Progress, TextColumn  # noqa: PLC0415  # as above

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=total)

        def shown(found: Iterable[T]) -> Iterator[T]:
            for one in found:
                yield one
                progress.advance(task)

        yield shown


def _row(one: RegisteredSchema) -> dict[str, Any]:
    return {"subject": one.subject, "version": one.version, "id": one.id, "format": one.format}
