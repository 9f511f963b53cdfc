"""What the servers are made of: the artifacts that ``devservers.lock`` pins by version, size and SHA-256."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LOCK_FILE: Final = Path(__file__).with_name("devservers.lock")
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Artifact:
    """One line of the lock file: ``SET group:artifact:version[:classifier][@extension] SHA256 BYTES``.

    Attributes:
        set_name: which server needs it, such as ``"kafka"``.
        artifact: its name without version, such as ``"kafka-clients"``.
        version: its version.
        sha256: hexadecimal digest of the whole file.
        size: bytes.
        file_name: as in a Maven repository; unique in the lock file.
        repository_path: path below the root of a Maven repository.
    """

    set_name: str
    artifact: str
    version: str
    sha256: str
    size: int
    file_name: str
    repository_path: str

    @classmethod
    def parse(cls, line: str) -> Artifact:
        """Read one line of the lock file."""
        set_name, coordinates, sha256, size = line.split()
        coordinates, _, extension = coordinates.partition("@")
        group, artifact, version, *classifier = coordinates.split(":")
        file_name = "-".join([artifact, version, *classifier]) + f".{extension or 'jar'}"
        folder = f"{group.replace('.', '/')}/{artifact}/{version}"
        return cls(set_name, artifact, version, sha256, int(size), file_name, f"{folder}/{file_name}")


@functools.cache
def _lock() -> tuple[Artifact, ...]:
    lines = LOCK_FILE.read_text(encoding="utf-8").splitlines()
    return tuple(Artifact.parse(line) for line in lines if line and not line.startswith("#"))


def locked(*sets: str) -> Sequence[Artifact]:
    """The artifacts of these sets in the order of the lock file, which is the order of the class path."""
    return [artifact for artifact in _lock() if artifact.set_name in sets]


_intact: set[tuple[Path, str, int, int]] = set()  # files hashed by this process: path, digest, size, mtime


def is_intact(artifact: Artifact, path: Path) -> bool:
    """Whether the file is there and has the pinned size and SHA-256; a file is hashed again when it has changed."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    if found.st_size != artifact.size:
        return False
    known = (path, artifact.sha256, found.st_size, found.st_mtime_ns)
    if known in _intact:
        return True
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    if digest.hexdigest() != artifact.sha256:
        return False
    _intact.add(known)
    return True
