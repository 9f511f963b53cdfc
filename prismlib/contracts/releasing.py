"""Turns a proposal into a released version of a folder."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from prismlib.contracts.directory import DirectoryRegistry
from prismlib.contracts.gate import read_schema
from prismlib.contracts.registry import Reference, RegisteredSchema
from prismlib.errors import ConfigError, SchemaNotFoundError

_NEXT: Final = re.compile(r"^\[references\.(next|\"next\")\]", re.MULTILINE)


def release(folder: DirectoryRegistry, name: str, path: Path, references: Sequence[Reference] = ()) -> RegisteredSchema:
    """Write a schema as the next version of a subject; remove it where it was the proposal.

    Whether it may be released is for the caller to check.

    Args:
        folder: of schemas.
        name: of a subject with a ``subject.toml``.
        path: of the schema.
        references: what it imports; none where ``[references.next]`` of ``subject.toml`` says it.

    Raises:
        ConfigError: a file cannot be read or written, or the latest version says the same.
    """
    subject = folder.subject(name)
    try:
        number = folder.versions(name)[-1]
        latest = folder.version(name, number)
    except SchemaNotFoundError:
        number, latest = 0, None
    text = read_schema(path)
    imported = tuple(references or subject.references.get("next", ()))
    if latest is not None and (latest.text, tuple(latest.references)) == (text, imported):
        raise ConfigError(f"{path}: says the same as version {number} of {name}; there is nothing to register")
    released, proposal = folder.path_of(subject, f"v{number + 1}"), folder.path_of(subject, "next")
    try:
        if imported:  # first, for the version means nothing without them
            _refer(folder.folder(name) / "subject.toml", f"v{number + 1}", references)
        with released.open("x", encoding="utf-8", newline="") as file:  # never over a released version
            file.write(text)
        if proposal.exists() and proposal.resolve() == path.resolve():
            proposal.unlink()
    except OSError as error:
        raise ConfigError(f"{error.filename or released}: cannot be written: {error.strerror}") from error
    return folder.version(name, number + 1)


def _refer(path: Path, version: str, references: Sequence[Reference]) -> None:
    """Write what a version imports into ``subject.toml``, whose comments and order stay."""
    text = path.read_text(encoding="utf-8")
    if references:
        lines = [
            f"{json.dumps(one.name)} = {{ subject = {json.dumps(one.subject)}, version = {one.version} }}"
            for one in references
        ]
        text = "\n".join([text.rstrip("\n"), "", f"[references.{version}]", *lines, ""])
    else:
        text, count = _NEXT.subn(f"[references.{version}]", text)
        if count != 1:
            raise ConfigError(f"{path}: write what the proposal imports as a table [references.next], which is renamed")
    aside = path.with_name(f".{path.name}.new")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)
