"""What there is to check in a repository: from folders, git revisions and registries to questions.

A version is released when it is in what the work is compared with: the git revision where one is named, the registry over
HTTP where ``[registry]`` names one, and otherwise the folder itself. What the working tree has beyond that is proposed:
``next.*``, and versions that were numbered already.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

from prismlib.contracts.check import Proposal, Question, Version, check_subject, make_finding, texts_of
from prismlib.contracts.consumers import read_consumers
from prismlib.contracts.core_rules import CORE_RULES
from prismlib.contracts.directory import DirectoryRegistry
from prismlib.contracts.format import SchemaText
from prismlib.contracts.formats import load_format
from prismlib.contracts.registry import KnowsVersions, Reference, Registry, resolve_references
from prismlib.contracts.report import Finding, SubjectReport
from prismlib.contracts.rules import Difference
from prismlib.contracts.subject import Subject
from prismlib.errors import ConfigError, ContractError, SchemaNotFoundError

_TEXTS_AT_ONCE: Final = 2000
"""That are parsed together: a process of protoc costs as much as hundreds of schemas in it."""
_CHARACTERS_AT_ONCE: Final = 4_000_000
"""Of these texts, beyond which what is parsed is not kept any longer."""


def questions_of_folder(
    folder: DirectoryRegistry, base: DirectoryRegistry | None = None, only: str | None = None
) -> Iterator[Question | SubjectReport]:
    """What a folder of schemas asks: of each subject its proposals in order, or else its contracts.

    Args:
        folder: the working tree.
        base: the same folder at the git revision that counts as released; None when the folder itself does.
        only: the one subject that is asked about; None for all.

    Yields:
        Questions; a report where a released version was changed, for nothing else can be said of that subject then, or
        where the subject cannot be read.
    """
    here = folder.all_subjects()
    before = base.all_subjects() if base is not None else []
    gone = [name for name in before if name not in here and only in (None, name)]
    for name in here if only is None else [name for name in [only] if name not in gone]:
        subject = folder.subject(name)
        try:
            promised = base.subject(name) if base is not None and name in before else subject
            yield from _of_subject(folder, base, subject, promised)
        except (ContractError, ConfigError) as error:
            yield SubjectReport(subject, "undecided", error=str(error))
    for name in gone:
        if base is not None and base.is_released(name):
            yield _gone(base.subject(name), folder)


def _gone(subject: Subject, folder: DirectoryRegistry) -> SubjectReport:
    rule = CORE_RULES["PSM001"]
    what = "the subject was released, and its folder is not there any more; one that is retired keeps its versions"
    place = str(folder.folder(subject.name))
    return SubjectReport(
        subject, "incompatible", findings=[make_finding(rule, Difference(rule.id, "", what), None, file=place)]
    )


def _of_subject(
    folder: DirectoryRegistry, base: DirectoryRegistry | None, subject: Subject, promised: Subject
) -> Iterator[Question | SubjectReport]:
    """``promised`` is the subject before the change: a promise that is lowered holds for the change that lowers it."""
    consumers = read_consumers(folder.folder(subject.name), subject)
    notes: list[str] = []
    if (subject.compatibility, subject.profile) != (promised.compatibility, promised.profile):
        notes.append(
            f"judged by {promised.compatibility} and profile {promised.profile}, as promised before this change; what"
            " subject.toml says now holds for the next one"
        )
        subject = replace(subject, compatibility=promised.compatibility, profile=promised.profile)
    here = versions_in(folder, subject)
    released = here if base is None else released_in(base, subject.name)
    changed = _changed(folder, subject, here, released)
    if changed:
        yield SubjectReport(subject, "incompatible", findings=changed)
        return
    proposals = [
        Proposal(version.schema, str(folder.path_of(subject, f"v{version.number}")))
        for version in here[len(released) :]
    ]
    upcoming = _next(folder, subject)
    if upcoming is not None:
        proposals.append(Proposal(upcoming, upcoming.where))
    if not proposals:
        yield Question(subject, released, None, consumers, notes=notes)
    for number, proposal in enumerate(proposals):
        # A version that was numbered in this very change is what the next proposal follows.
        yield Question(subject, here[: len(released) + number], proposal, consumers, notes=notes)


def versions_of(registry: Registry, subject: str) -> list[Version]:
    """All released versions with what they import, oldest first; none of a subject that has none. Raises ContractError."""
    try:
        numbers: Sequence[int] = registry.versions(subject)
    except SchemaNotFoundError:
        return []
    return [version_of(registry, subject, number) for number in numbers]


def released_in(folder: DirectoryRegistry, name: str) -> list[Version]:
    """The same of a folder, for which no ids are made. Raises as its files do."""
    return versions_in(folder, folder.subject(name)) if folder.is_released(name) else []


def versions_in(folder: DirectoryRegistry, subject: Subject) -> list[Version]:
    """The same of a subject whose file was read."""
    return [
        Version(
            number,
            SchemaText(
                text,
                imports_of(folder, subject.references.get(f"v{number}", ())),
                f"subject {subject.name} version {number}",
            ),
        )
        for number, text in enumerate(folder.texts(subject), 1)
    ]


def version_of(registry: Registry, subject: str, number: int) -> Version:
    """A released version with the texts of all it imports. Raises ContractError."""
    schema = registry.version(subject, number)
    imports = resolve_references(registry, schema) if schema.references else {}
    return Version(number, SchemaText(schema.text, imports, f"subject {subject} version {number}"))


def proposal_of(folder: DirectoryRegistry, name: str) -> SchemaText | None:
    """The schema ``next.*`` of a subject with what it imports, or None where there is none. Raises as its file does."""
    return _next(folder, folder.subject(name))


def _next(folder: DirectoryRegistry, subject: Subject) -> SchemaText | None:
    path = folder.path_of(subject, "next")
    if not path.exists():
        return None
    return SchemaText(read_schema(path), imports_of(folder, subject.references.get("next", ())), str(path))


def imports_of(registry: KnowsVersions, references: Sequence[Reference]) -> dict[str, str]:
    """Texts of what a schema that is not registered imports, directly or not, by name. Raises ContractError."""
    found: dict[str, str] = {}
    for reference in references:
        target = registry.version(reference.subject, reference.version)
        found |= resolve_references(registry, target)
        found[reference.name] = target.text
    return found


def read_schema(path: Path) -> str:
    """The text of a schema file. Raises ConfigError."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text: {error}; save it as UTF-8") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error


def _changed(
    folder: DirectoryRegistry, subject: Subject, here: Sequence[Version], released: Sequence[Version]
) -> list[Finding]:
    """Released versions that are not what they were."""
    rule = CORE_RULES["PSM001"]
    now = {version.number: version.schema for version in here}
    findings = []
    for version in released:
        file = folder.path_of(subject, f"v{version.number}")
        if version.number not in now:
            what = f"version {version.number} was released, and {file.name} is not there any more"
        elif now[version.number].text != version.schema.text:
            what = f"version {version.number} was released, and {file.name} says something else now"
        else:
            continue
        findings.append(make_finding(rule, Difference(rule.id, "", what), None, file=str(file)))
    return findings


def answer(questions: Iterator[Question | SubjectReport], today: date) -> Iterator[SubjectReport]:
    """Answer all; what cannot be decided is a report that says so, and the others are answered all the same."""
    for some in _batches(questions):
        parsed = _parse_together(some)
        for position, question in enumerate(some):
            if isinstance(question, SubjectReport):
                yield question
                continue
            try:
                fmt: Any = load_format(question.subject.format)
                yield check_subject(question, fmt, today, parsed.pop(position, None))
            except ContractError as error:
                yield SubjectReport(
                    question.subject,
                    "undecided",
                    proposal=question.proposal.file if question.proposal else "",
                    error=str(error),
                )


def _batches(questions: Iterator[Question | SubjectReport]) -> Iterator[list[Question | SubjectReport]]:
    batch: list[Question | SubjectReport] = []
    texts = characters = 0
    for one in questions:
        batch.append(one)
        if isinstance(one, Question):
            own = texts_of(one)
            texts += len(own)
            characters += sum(len(schema.text) for schema in own)
        if texts >= _TEXTS_AT_ONCE or characters >= _CHARACTERS_AT_ONCE:
            yield batch
            batch, texts, characters = [], 0, 0
    yield batch


def _parse_together(questions: Sequence[Question | SubjectReport]) -> dict[int, Sequence[Any]]:
    """The parsed schemas of each question, by its position.

    None of a format that raises, for it does not say which schema is at fault: each question is then parsed by itself.
    """
    texts: dict[str, dict[int, list[SchemaText]]] = {}
    for position, one in enumerate(questions):
        if isinstance(one, Question):
            texts.setdefault(one.subject.format, {})[position] = texts_of(one)
    found: dict[int, Sequence[Any]] = {}
    for name, by_position in texts.items():
        try:
            parsed = iter(load_format(name).parse_all(list(chain.from_iterable(by_position.values()))))
        except ContractError:
            continue
        found |= {position: list(islice(parsed, len(own))) for position, own in by_position.items()}
    return found
