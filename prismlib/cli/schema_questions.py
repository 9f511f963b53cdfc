"""From the options of ``prism-check-schema`` to what is asked: where schemas are, and what counts as released."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from prismlib.cli.schema_stale import StaleContracts
from prismlib.contracts.check import Proposal, Question, Version
from prismlib.contracts.consumers import read_consumer, read_consumers
from prismlib.contracts.directory import DirectoryRegistry
from prismlib.contracts.format import SchemaText
from prismlib.contracts.gate import imports_of, questions_of_folder, read_schema, released_in, versions_in
from prismlib.contracts.registry import FormatName, Reference
from prismlib.contracts.report import SubjectReport
from prismlib.contracts.subject import SUFFIXES, Subject
from prismlib.contracts.tables import read_table
from prismlib.errors import ConfigError, SchemaNotFoundError

PROJECT_FILE: Final = "prism.toml"
DEFAULT_FOLDER: Final = "schemas"
_GIT: Final = "git:"
_SECONDS: Final = {"h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class Asked:
    """The options as they were written."""

    schema: Path | None = None
    subject: str | None = None
    registry: str | None = None
    against: str | None = None
    consumer: Path | None = None
    references: tuple[str, ...] = ()
    window: str | None = None


@dataclass(frozen=True, slots=True)
class Repository:
    """What ``prism.toml`` says, or the defaults.

    Attributes:
        base: folder that relative paths start from.
        registry: its ``[registry] url``, or ``PRISM_REGISTRY_URL``, which comes before it everywhere.
        proposals: schema file of each ``[[subject]]``, by name.
    """

    base: Path
    registry: str
    proposals: dict[str, Path]


@contextmanager
def questions(asked: Asked, now: datetime) -> Iterator[Iterator[Question | SubjectReport]]:
    """What is asked, lazily; usable inside the ``with`` only.

    Raises:
        ConfigError: the options do not go together, or name what is not there.
    """
    seconds = _window(asked.window)
    if asked.schema is not None and asked.consumer is not None:
        raise ConfigError("SCHEMA and --consumer are two checks; run one after the other")
    if asked.references and asked.schema is None:
        raise ConfigError("--reference says what SCHEMA imports; name that file too")
    repository = _repository(Path.cwd())
    with ExitStack() as stack:
        url = asked.registry or repository.registry
        if "://" in url:
            from prismlib.cli.schema_remote import remote_questions  # noqa: PLC0415  # pays for plugins and configuration

            yield remote_questions(asked, repository, url, seconds, now)
            return
        root = repository.base / url if asked.registry is None else Path(url)
        root = Path(os.path.relpath(root))  # as people see it from here, and as CI services name files
        if not root.is_dir():
            raise ConfigError(_no_folder(asked, root))
        folder = DirectoryRegistry(root)
        base = None
        if asked.against is not None:
            from prismlib.contracts.revision import folder_at  # noqa: PLC0415  # only they need subprocesses

            if not asked.against.startswith(_GIT) or asked.against == _GIT:
                raise ConfigError(f"--against {asked.against}: write git:REVISION, such as git:origin/main")
            at = stack.enter_context(folder_at(asked.against.removeprefix(_GIT), root))
            base = DirectoryRegistry(at)
        found = map(StaleContracts(repository.base).look, _in_folder(asked, repository, folder, base))
        yield found if seconds is None else (_inside(one, folder, seconds, now) for one in found)


def _in_folder(
    asked: Asked, repository: Repository, folder: DirectoryRegistry, base: DirectoryRegistry | None
) -> Iterator[Question | SubjectReport]:
    if asked.consumer is not None:
        yield contract_in(folder, asked.consumer, asked.subject)
    elif asked.schema is not None:
        yield question_in(folder, asked.schema, asked, base)
    else:
        names = set(folder.all_subjects()) if repository.proposals else set()
        for name, path in sorted(repository.proposals.items()):
            if name not in names or path.resolve().parent != folder.folder(name).resolve():
                yield question_in(folder, path, replace(asked, subject=name), base)
        yield from questions_of_folder(folder, base, only=asked.subject)


def question_in(folder: DirectoryRegistry, path: Path, asked: Asked, base: DirectoryRegistry | None = None) -> Question:
    """One schema file for one subject of a folder, which may not have it yet.

    Args:
        folder: the working tree.
        path: of the schema.
        asked: names the subject, where the file is in no folder of one, and what it imports.
        base: the same folder at the git revision that counts as released; None when the folder itself does.
    """
    name = asked.subject or _subject_of(path, folder)
    references = parse_references(asked.references)
    try:
        subject = folder.subject(name)
    except SchemaNotFoundError:
        unknown = Subject(name, format_of(path), "BACKWARD", owner="", contact="")
        text = SchemaText(read_schema(path), imports_of(folder, references), str(path))
        return Question(
            unknown, (), Proposal(text, str(path)), notes=[f"{name} has no folder yet: write a subject.toml"]
        )
    imported = imports_of(folder, references or subject.references.get("next", ()))
    text = SchemaText(read_schema(path), imported, str(path))
    return Question(
        subject,
        released_in(base or folder, name),
        Proposal(text, str(path)),
        read_consumers(folder.folder(name), subject),
    )


def contract_in(folder: DirectoryRegistry, path: Path, name: str | None) -> Question:
    """One contract, held against every version."""
    name = name or path.resolve().parent.parent.name
    subject = folder.subject(name)
    return Question(subject, versions_in(folder, subject), None, [read_consumer(path, subject)], all_versions=True)


def _subject_of(path: Path, folder: DirectoryRegistry) -> str:
    name = path.resolve().parent.name
    if (folder.folder(name) / path.name).resolve() == path.resolve():
        return name
    raise ConfigError(f"{path}: --subject is missing: say which subject the schema is proposed for")


def format_of(path: Path) -> FormatName:
    """The format that a schema file's ending says. Raises ConfigError."""
    for name, suffix in SUFFIXES.items():
        if path.suffix == suffix:
            return name
    raise ConfigError(f"{path}: the ending must be {', '.join(SUFFIXES.values())}, which says the format")


def parse_references(texts: Sequence[str]) -> list[Reference]:
    """What ``--reference`` names. Raises ConfigError."""
    found = []
    for text in texts:
        name, equals, target = text.rpartition("=")
        subject, colon, version = target.rpartition(":")
        if not (name and equals and subject and colon and version.isascii() and version.isdigit() and int(version)):
            raise ConfigError(f"--reference {text}: write NAME=SUBJECT:VERSION, such as common.Place=place-value:2")
        found.append(Reference(name, subject, int(version)))
    return found


# --- the repository ----------------------------------------------------------------------------------------------------


def _repository(here: Path) -> Repository:
    here = here.resolve()
    path = next((f / PROJECT_FILE for f in (here, *here.parents) if (f / PROJECT_FILE).is_file()), None)
    named = os.environ.get("PRISM_REGISTRY_URL")
    if path is None:
        return Repository(here, named or DEFAULT_FOLDER, {})
    table = read_table(path, "write one")
    subjects = table.tables("subject")
    return Repository(
        path.parent,
        named or table.table("registry").text("url", default=DEFAULT_FOLDER),
        {one.text("name"): path.parent / one.text("schema") for one in subjects},
    )


def _no_folder(asked: Asked, root: Path) -> str:
    if asked.registry is not None:
        return f"--registry {asked.registry}: no such folder; name one, or write http:// or https:// for a registry"
    return (
        f"{root}: no such folder of schemas; run this in a repository with a {PROJECT_FILE} or a folder {DEFAULT_FOLDER}/,"
        " or name the released versions with --registry"
    )


# --- the window --------------------------------------------------------------------------------------------------------


def _window(text: str | None) -> int | None:
    if text is None:
        return None
    match = re.fullmatch(r"(\d+)([hd])", text)
    if match is None:
        raise ConfigError(f"--window {text}: must be a number of days or hours, such as 7d or 36h")
    return int(match[1]) * _SECONDS[match[2]]


def _inside(
    question: Question | SubjectReport, folder: DirectoryRegistry, seconds: int, now: datetime
) -> Question | SubjectReport:
    from prismlib.contracts.revision import added_ms, is_shallow  # noqa: PLC0415  # only they need subprocesses

    if isinstance(question, SubjectReport) or len(question.versions) < 2:
        return question
    subject = question.subject
    if is_shallow(folder.folder(subject.name)):
        raise ConfigError("--window asks git when versions were released, and this clone is shallow; fetch its history")
    return inside(question, seconds, now, lambda number: added_ms(folder.path_of(subject, f"v{number}")))


def inside(question: Question, seconds: int, now: datetime, released_ms: Callable[[int], int | None]) -> Question:
    """Without the versions that were followed by another one before the window began: nobody writes them any more.

    Args:
        question: with all versions.
        seconds: length of the window.
        now: its end.
        released_ms: when a version was released, in ms since the epoch; None where that is not known.
    """
    begin = now.timestamp() * 1000 - seconds * 1000
    kept: list[Version] = []
    for version, following in zip(question.versions, [*question.versions[1:], None], strict=True):
        if following is not None:
            released = released_ms(following.number)
            if released is not None and released < begin:
                continue
        kept.append(version)
    dropped = [v.number for v in question.versions if v not in kept]
    notes: Sequence[str] = question.notes
    if dropped:
        what = f"versions 1 to {dropped[-1]} are" if len(dropped) > 1 else f"version {dropped[0]} is"
        notes = [*notes, f"{what} older than the window and not looked at"]
    return replace(question, versions=kept, notes=notes)
