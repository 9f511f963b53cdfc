"""What ``prism-check-schema`` asks of a registry over HTTP. Pays for plugins and configuration, which a folder does not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from prismlib.cli.schema_questions import Asked, Repository, format_of, inside, parse_references
from prismlib.config.project import load_project
from prismlib.contracts.check import Proposal, Question
from prismlib.contracts.consumers import read_consumer
from prismlib.contracts.format import SchemaText
from prismlib.contracts.gate import imports_of, read_schema, versions_of
from prismlib.contracts.registry import KeepsContracts, KeepsLevels, KnowsDetails, Registry
from prismlib.contracts.report import SubjectReport
from prismlib.contracts.subject import Subject
from prismlib.errors import ConfigError, ContractError, SchemaNotFoundError
from prismlib.plugin.manager import load_plugins
from prismlib.plugin.registries import open_project_registry

if TYPE_CHECKING:
    from prismlib.plugin.manager import Plugins


def remote_questions(
    asked: Asked, repository: Repository, url: str, seconds: int | None, now: datetime
) -> Iterator[Question | SubjectReport]:
    """What is asked: one schema, one contract, or every ``[[subject]]`` of ``prism.toml``.

    Args:
        asked: the options.
        repository: what ``prism.toml`` says.
        url: of the registry.
        seconds: of ``--window``.
        now: its end.

    Yields:
        Questions; a report where one subject of several cannot be looked up.

    Raises:
        ConfigError: the options do not go together, or name what is not there.
        ContractError: the registry does not answer, does not allow it, or says what cannot be used.
    """
    if asked.against is not None:
        raise ConfigError(f"--against compares with the folder at a git revision, and released versions are in {url}")
    registry = open_remote(url, load_plugins())
    for question in _questions(asked, repository, registry):
        if seconds is None or isinstance(question, SubjectReport):
            yield question
        else:
            yield _inside(question, registry, seconds, now)


def open_remote(url: str | None, plugins: Plugins) -> Registry:
    """The registry at an address, or the one of the project, with the project's settings. Raises ConfigError."""
    environ = dict(os.environ)
    if url is not None:
        # As if it were set from outside, so that what goes with the address goes with this one.
        environ["PRISM_REGISTRY_URL"] = url if "://" in url else str(Path(url).resolve())
    registry = open_project_registry(load_project(Path.cwd(), environ), plugins)
    if registry is None:
        raise ConfigError(
            "there is no prism.toml with a [registry] and no folder schemas/ here; name one with --registry"
        )
    return registry


def question_of(registry: Registry, name: str, path: Path, references: tuple[str, ...] = ()) -> Question:
    """A schema file that is proposed for a subject of a registry, which may not have it yet.

    Raises:
        ConfigError: the file cannot be read, or is of another format than the subject.
        ContractError: the registry does not answer, does not allow it, or says what cannot be used.
    """
    fmt = format_of(path)
    versions = versions_of(registry, name)
    if versions:
        released = registry.latest(name).format
        if released != fmt:
            raise ConfigError(f"{path}: is {fmt}, and {name} is {released}; a subject keeps its format: take a new one")
    imported = imports_of(registry, parse_references(references))
    proposal = Proposal(SchemaText(read_schema(path), imported, str(path)), str(path))
    consumers = registry.consumers(name) if isinstance(registry, KeepsContracts) else ()
    level = registry.compatibility(name) if isinstance(registry, KeepsLevels) else "BACKWARD"
    return Question(Subject(name, fmt, level, owner="", contact=""), versions, proposal, consumers)


def contract_of(registry: Registry, path: Path, name: str | None, *, all_versions: bool = True) -> Question:
    """One contract, held against every version of a subject, or the latest alone.

    Raises:
        ConfigError: its files cannot be read.
        ContractError: as for :func:`question_of`; SchemaNotFoundError where the subject has no version.
    """
    name = name or path.resolve().parent.parent.name
    versions = versions_of(registry, name)
    if not versions:
        raise SchemaNotFoundError(
            f"{name} has no version in {registry!r}; check --subject, which names what {path} reads"
        )
    subject = Subject(name, registry.latest(name).format, "NONE", owner="", contact="")
    return Question(subject, versions, None, [read_consumer(path, subject)], all_versions=all_versions)


def _questions(asked: Asked, repository: Repository, registry: Registry) -> Iterator[Question | SubjectReport]:
    if asked.consumer is not None:
        yield contract_of(registry, asked.consumer, asked.subject)
    elif asked.schema is not None:
        yield question_of(registry, _named(asked, repository, asked.schema), asked.schema, asked.references)
    else:
        names = [name for name in repository.proposals if asked.subject in {None, name}]
        if not names:
            raise ConfigError(
                "there is nothing to check: name a SCHEMA and its --subject, or write a [[subject]] with name and schema "
                "into prism.toml"
            )
        for name in names:
            path = repository.proposals[name]
            try:
                yield question_of(registry, name, path)
            except ContractError as error:
                subject = Subject(name, format_of(path), "NONE", owner="", contact="")
                yield SubjectReport(subject, "undecided", proposal=str(path), error=str(error))


def _named(asked: Asked, repository: Repository, path: Path) -> str:
    if asked.subject is not None:
        return asked.subject
    for name, proposal in repository.proposals.items():
        if proposal.resolve() == path.resolve():
            return name
    raise ConfigError(f"{path}: --subject is missing: say which subject the schema is proposed for")


def _inside(question: Question, registry: Registry, seconds: int, now: datetime) -> Question:
    if len(question.versions) < 2:
        return question
    name = question.subject.name

    def registered_ms(number: int) -> int:
        found = registry.details(name, number).registered_ms if isinstance(registry, KnowsDetails) else None
        if found is None:
            raise ConfigError("--window: this registry does not tell when versions were registered; leave it out")
        return found

    return inside(question, seconds, now, registered_ms)
