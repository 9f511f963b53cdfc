"""A folder as a schema registry: one folder a subject, one file a released version.

    schemas/weather-value/subject.toml      see prismlib.contracts.subject
    schemas/weather-value/v1.proto          released, immutable
    schemas/weather-value/v2.proto
    schemas/weather-value/next.proto        a proposal: never served

Ids come from the schemas themselves (:mod:`prismlib.contracts.fingerprint`), so every clone of a repository agrees.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prismlib.contracts.fingerprint import canonical, check_form, schema_id
from prismlib.contracts.registry import RegisteredSchema
from prismlib.contracts.subject import SUFFIXES, Subject, read_subject
from prismlib.errors import (
    ConfigError,
    ContractError,
    RegistryUnavailableError,
    SchemaNotFoundError,
    SchemaParseError,
)

_VERSION_FILE: Final = re.compile(r"v([1-9][0-9]{0,8})(\.avsc|\.proto|\.json)")
_ALMOST_VERSION_FILE: Final = re.compile(r"v\.?[0-9]+\.(avsc|proto|json)", re.IGNORECASE)

_ELSEWHERE: Final = frozenset("/\\:")
"""What would lead out of the folder."""


def _may_be_subject(name: str) -> bool:
    return bool(name) and name[0] != "." and name.isprintable() and not _ELSEWHERE.intersection(name)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A version whose file was read."""

    schema: RegisteredSchema
    canonical: str
    path: Path


class DirectoryRegistry:
    """Serves the released schemas of a folder. May be used by several threads.

    A released file is read once and never again, for it must not change. Versions, subjects and unknown ids are looked
    up in the folder every time, so that a file added while a worker runs is found without a restart.

    Besides what :class:`prismlib.contracts.registry.Registry` says, ``latest``, ``version`` and ``versions`` raise
    ConfigError for a subject whose folder is not in order, and SchemaParseError for a file that is not JSON where it
    should be. ``by_id`` must look everywhere: it finds an id in spite of broken subjects, and when it does not find it
    and there are any, says so as RegistryUnavailableError, since the id might be theirs.
    """

    def __init__(self, root: Path) -> None:
        """Serve the subject folders in ``root``.

        Raises:
            ConfigError: there is no such folder.
        """
        if not root.is_dir():
            raise ConfigError(f"{root}: no such schema folder; create it, or correct the url of [registry]")
        self._root = root
        self._lock = threading.RLock()
        self._entries: dict[tuple[str, int], _Entry] = {}
        self._by_id: dict[int, _Entry] = {}
        self._scanned = False

    def __repr__(self) -> str:
        return f"DirectoryRegistry({str(self._root)!r})"

    def by_id(self, schema_id: int) -> RegisteredSchema:
        """The schema with that id; under the first subject and version, where it is in several."""
        with self._lock:
            if self._scanned and (known := self._by_id.get(schema_id)):
                return known.schema
            broken = self._read_all()
            found = self._by_id.get(schema_id)
            if found is not None:
                return found.schema
            if broken is not None:
                raise RegistryUnavailableError(
                    f"{self._root}: the schema id {schema_id} is not found, and not all of the folder can be read: {broken}"
                ) from broken
            raise SchemaNotFoundError(f"{self._root}: no released schema has the id {schema_id}")

    def latest(self, subject: str) -> RegisteredSchema:
        """The newest released version, of what the folder holds now."""
        with self._lock:
            return self.version(subject, self._versions(subject)[-1])

    def version(self, subject: str, version: int) -> RegisteredSchema:
        """One released version."""
        with self._lock:
            known = self._entries.get((subject, version))
            if known is not None:
                return known.schema
            versions = self._versions(subject)
            if version not in versions:
                raise SchemaNotFoundError(
                    f"{self._folder(subject)}: version {version} is not released; versions are 1 to {versions[-1]}"
                )
            return self._read(self.subject(subject), version).schema

    def versions(self, subject: str) -> Sequence[int]:
        """All released versions, ascending: 1, 2, 3 and so on without gaps."""
        with self._lock:
            return self._versions(subject)

    def texts(self, subject: Subject) -> Sequence[str]:
        """The texts of all released versions, from version 1 on; none of a subject that has none.

        For checks, which go through a whole folder and ask for no ids: reads each file anew and keeps nothing. Raises as
        ``versions`` and ``version`` do.
        """
        texts = []
        for number in self._released(subject.name):
            path = self.path_of(subject, f"v{number}")
            texts.append(_read_text(path, subject))
            check_form(subject.format, texts[-1], str(path))
        return texts

    def subjects(self) -> Sequence[str]:
        """All subjects with a released version, sorted; their files are not read. A hidden folder is no subject."""
        return [name for name in self._names(self._root) if self.is_released(name)]

    def is_released(self, subject: str) -> bool:
        """Whether it has a released version; its files are not read."""
        return any(map(_VERSION_FILE.fullmatch, self._files(subject)))

    def all_subjects(self) -> Sequence[str]:
        """All folders with a ``subject.toml``, those without a released version among them, sorted."""
        return [name for name in self._names(self._root) if (self._root / name / "subject.toml").exists()]

    def folder(self, subject: str) -> Path:
        """The folder of a subject, there or not. Raises SchemaNotFoundError for what cannot be a subject."""
        return self._folder(subject)

    def path_of(self, subject: Subject, stem: str) -> Path:
        """The file of one of its schemas: ``v3``, or ``next`` for the proposal; there or not."""
        return self._folder(subject.name) / f"{stem}{SUFFIXES[subject.format]}"

    def subject(self, subject: str) -> Subject:
        """The ``subject.toml`` of a subject, read anew.

        Raises:
            SchemaNotFoundError: the folder has no such subject.
            ConfigError: as :func:`prismlib.contracts.subject.read_subject`.
        """
        folder = self._folder(subject)
        if not folder.is_dir():
            raise SchemaNotFoundError(f"{folder}: no such subject; known are {', '.join(self.subjects()) or 'none'}")
        return read_subject(folder / "subject.toml")

    def _folder(self, subject: str) -> Path:
        # A subject may come from a record or a request: it must not lead out of the folder.
        if not _may_be_subject(subject):
            raise SchemaNotFoundError(
                f"{self._root}: {subject!r} cannot be a subject of a schema folder: it must be the name of a folder, "
                "without slashes, colons and unprintable characters, and not start with a dot"
            )
        return self._root / subject

    def _names(self, folder: Path) -> list[str]:
        try:
            with os.scandir(folder) as entries:
                return sorted(e.name for e in entries if e.is_dir() and _may_be_subject(e.name))
        except OSError as error:
            raise RegistryUnavailableError(f"{folder}: the schema folder cannot be read: {error.strerror}") from error

    def _files(self, subject: str) -> list[str]:
        folder = self._folder(subject)
        try:
            return os.listdir(folder)  # noqa: PTH208  # names are enough, and this runs for every subject
        except (FileNotFoundError, NotADirectoryError):
            if self._root.is_dir():
                return []
            raise RegistryUnavailableError(f"{self._root}: the schema folder is not there any more") from None
        except OSError as error:
            raise RegistryUnavailableError(f"{folder}: the subject cannot be read: {error.strerror}") from error

    def _versions(self, subject: str) -> list[int]:
        numbers = self._released(subject)
        if not numbers:
            known = ", ".join(self.subjects()) or "none"
            raise SchemaNotFoundError(
                f"{self._folder(subject)}: no released version of {subject!r}; subjects with one are {known}"
            )
        return numbers

    def _released(self, subject: str) -> list[int]:
        names = self._files(subject)
        numbers: dict[int, str] = {}
        for name in sorted(names):
            match = _VERSION_FILE.fullmatch(name)
            if match is None:
                if _ALMOST_VERSION_FILE.fullmatch(name):
                    raise ConfigError(f"{self._folder(subject) / name}: versions are named v1, v2 ...; rename the file")
                continue
            number = int(match[1])
            if number in numbers:
                raise ConfigError(
                    f"{self._folder(subject)}: both {numbers[number]} and {name} claim to be version {number}; remove one"
                )
            numbers[number] = name
        for expected, number in enumerate(sorted(numbers), 1):
            if expected != number:
                raise ConfigError(
                    f"{self._folder(subject)}: there is {numbers[number]} but no version {expected}; released versions are "
                    "numbered from 1 without gaps and never removed: restore the missing file, or rename what follows"
                )
        return sorted(numbers)

    def _read(self, subject: Subject, version: int) -> _Entry:
        """Read a version's file, unless that was done already."""
        known = self._entries.get((subject.name, version))
        if known is not None:
            return known
        path = self.path_of(subject, f"v{version}")
        text = _read_text(path, subject)
        references = tuple(subject.references.get(f"v{version}", ()))
        form = canonical(subject.format, text, references, str(path))
        number = schema_id(form)
        entry = _Entry(RegisteredSchema(number, subject.name, version, subject.format, text, references), form, path)
        self._index(entry)
        self._entries[subject.name, version] = entry
        return entry

    def _index(self, entry: _Entry) -> None:
        other = self._by_id.setdefault(entry.schema.id, entry)
        if (other.canonical, other.schema.format) != (entry.canonical, entry.schema.format):
            raise ConfigError(
                f"{entry.path} and {other.path} are different schemas with the same id {entry.schema.id}; "
                "change the one that is not in use yet, for instance by a comment or a doc"
            )
        if (entry.schema.subject, entry.schema.version) < (other.schema.subject, other.schema.version):
            self._by_id[entry.schema.id] = entry

    def _read_all(self) -> ConfigError | ContractError | None:
        """Read every version that was not read yet; returns the first thing that is not in order."""
        broken: ConfigError | ContractError | None = None
        for name in self.subjects():
            try:
                missing = [v for v in self._versions(name) if (name, v) not in self._entries]
                subject = self.subject(name) if missing else None
            except (ConfigError, ContractError) as error:
                broken = broken or error
                continue
            for version in missing:
                try:
                    if subject is not None:
                        self._read(subject, version)
                except (ConfigError, ContractError) as error:
                    broken = broken or error
        self._scanned = True
        return broken


def _read_text(path: Path, subject: Subject) -> str:
    """The text of a released version."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: no such file, although subject.toml says format = {subject.format!r}; "
            f"version {path.stem.removeprefix('v')} has another extension: correct one of the two"
        ) from None
    except UnicodeDecodeError as error:
        raise SchemaParseError(f"{path}: not UTF-8 text: {error}; save it as UTF-8") from error
    except OSError as error:
        raise RegistryUnavailableError(f"{path}: cannot be read: {error.strerror}") from error
