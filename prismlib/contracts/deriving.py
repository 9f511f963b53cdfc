"""Contracts written from what a consumer reads: ``consumers/NAME.toml`` and the reader schema beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from prismlib.contracts.consumers import FOLDER
from prismlib.contracts.directory import DirectoryRegistry
from prismlib.contracts.format import SchemaFormat
from prismlib.contracts.gate import version_of
from prismlib.contracts.subject import SUFFIXES
from prismlib.errors import ContractError

# From the key to the end of its list, whose strings hold no brackets: paths of fields have none.
_READS: Final = re.compile(r"^reads\s*=\s*\[[^\]]*\]", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Derived:
    """One file of a contract as it should be.

    Attributes:
        path: of the file.
        text: what it should hold.
        before: what it holds, or None where it is not there.
    """

    path: Path
    text: str
    before: str | None

    @property
    def current(self) -> bool:
        """Nothing is to be written."""
        return self.text == self.before

    def write(self) -> None:
        """Put it there, whole or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        aside = self.path.with_name(f".{self.path.name}.new")
        aside.write_text(self.text, encoding="utf-8")
        aside.replace(self.path)


def derive(
    folder: DirectoryRegistry,
    fmt: SchemaFormat[Any],
    subject: str,
    *,
    consumer: str,
    owner: str,
    contact: str,
    reads: Sequence[str],
    derived_from: str,
) -> list[Derived]:
    """The two files of one contract, from the subject's latest version.

    What else ``consumers/NAME.toml`` holds, such as waivers and comments, stays as it is.

    Args:
        folder: of schemas.
        fmt: the subject's format.
        subject: what is read.
        consumer: name of who reads it.
        owner: who answers for the consumer; used for a new contract only.
        contact: how to reach them, likewise.
        reads: dotted paths, sorted.
        derived_from: the pipeline file, relative to the folder of ``prism.toml``.

    Raises:
        ContractError, ConfigError: the subject cannot be read, or has no such field.
    """
    latest = version_of(folder, subject, folder.versions(subject)[-1])
    (parsed,) = fmt.parse_all([latest.schema])
    if isinstance(parsed, ContractError):
        raise parsed
    described = folder.subject(subject)
    table = folder.folder(subject) / FOLDER / f"{consumer}.toml"
    schema = table.with_suffix(SUFFIXES[described.format])
    contract = fmt.project(parsed, frozenset(reads))
    return [
        Derived(schema, contract, _text(schema)),
        Derived(table, _table(table, owner, contact, reads, derived_from), _text(table)),
    ]


def _table(path: Path, owner: str, contact: str, reads: Sequence[str], derived_from: str) -> str:
    known = _text(path)
    listed = "[" + ", ".join(_quoted(one) for one in reads) + "]"
    if known is not None and _READS.search(known):
        return _READS.sub(lambda _: f"reads = {listed}", known, count=1)
    return (
        f"owner = {_quoted(owner)}\ncontact = {_quoted(contact)}\nreads = {listed}\n"
        f"derived_from = {_quoted(derived_from)}\n"
    )


def _quoted(text: str) -> str:
    """A basic string of TOML, which is written like one of JSON."""
    return json.dumps(text, ensure_ascii=False)


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
