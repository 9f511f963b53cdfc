"""Consumer contracts: what one consumer reads of a subject, as a reader schema with an owner.

    schemas/flights-value/consumers/air-traffic.toml     who, and which fields
    schemas/flights-value/consumers/air-traffic.avsc     the reader schema, narrowed to these fields

    owner = "data-platform"
    contact = "data-platform@example.org"
    reads = ["carrier", "flight", "origin", "time_hour", "dep_delay"]
    derived_from = "pipelines/air-traffic.toml"          # left out where the contract was written by hand

    [[waiver]]                                           # accepted by the consumer; as in subject.toml
    rule = "AVR101"
    path = "/fields/dep_delay"
    reason = "the statistics bear it"
    until = 2026-12-31

In a registry over HTTP a contract is an ordinary subject, ``SUBJECT.readers.CONSUMER``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from prismlib.contracts.subject import SUFFIXES, Subject, Waiver, read_waivers
from prismlib.contracts.tables import read_table
from prismlib.errors import ConfigError, SchemaParseError

FOLDER: Final = "consumers"
INFIX: Final = ".readers."
"""Between subject and consumer, in the subject of a contract that is kept in a registry over HTTP."""


@dataclass(frozen=True, slots=True)
class Consumer:
    """One consumer's contract on one subject.

    Attributes:
        name: of the consumer, most often a pipeline.
        subject: what it reads.
        owner: the team that answers for it.
        contact: how to reach them.
        reads: dotted paths of the fields it reads.
        text: of the reader schema; needs no references.
        where: file or subject of the reader schema, for people.
        derived_from: the pipeline file that it was derived from, or "".
        waivers: findings that the consumer accepts.
        last_read_ms: when its workers last said that they read the subject, in ms since the epoch; None where nobody knows.
    """

    name: str
    subject: str
    owner: str
    contact: str
    reads: tuple[str, ...]
    text: str
    where: str
    derived_from: str = ""
    waivers: tuple[Waiver, ...] = ()
    last_read_ms: int | None = None

    def read_at(self, at_ms: int | None) -> Consumer:
        """The same, with what its workers said."""
        return replace(self, last_read_ms=at_ms)


def read_consumers(folder: Path, subject: Subject) -> Sequence[Consumer]:
    """The contracts beside a subject, sorted by name; none where there is no folder of them.

    Args:
        folder: of the subject.
        subject: its ``subject.toml``.

    Raises:
        ConfigError: a file is missing, not readable, or has a wrong, missing or unknown key.
        SchemaParseError: a reader schema is no text.
    """
    contracts = folder / FOLDER
    try:
        names = sorted(path.name for path in contracts.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise ConfigError(f"{contracts}: cannot be read: {error.strerror}") from error
    suffix = SUFFIXES[subject.format]
    for name in names:
        stem, dot, ending = name.rpartition(".")
        if f"{dot}{ending}" not in (".toml", suffix):
            raise ConfigError(
                f"{contracts / name}: a contract is a .toml file and a {suffix} file of one name; move it away"
            )
        if f"{stem}.toml" not in names:
            raise ConfigError(f"{contracts / name}: {stem}.toml is missing beside it; write who reads what there")
    return [read_consumer(contracts / name, subject) for name in names if name.endswith(".toml")]


def read_consumer(path: Path, subject: Subject) -> Consumer:
    """One contract.

    Args:
        path: of either of its two files.
        subject: what it reads.

    Raises:
        ConfigError, SchemaParseError: as for :func:`read_consumers`.
    """
    path = path.with_suffix(".toml")
    table = read_table(path, "it says who reads what, beside the reader schema")
    table.only("owner", "contact", "reads", "derived_from", "waiver")
    schema = path.with_suffix(SUFFIXES[subject.format])
    try:
        text = schema.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            f"{schema}: no such file: the reader schema of {path.name} is missing; "
            "`prism schema derive` writes it from a pipeline"
        ) from None
    except UnicodeDecodeError as error:
        raise SchemaParseError(f"{schema}: not UTF-8 text: {error}; save it as UTF-8") from error
    except OSError as error:
        raise ConfigError(f"{schema}: cannot be read: {error.strerror}") from error
    return Consumer(
        name=path.stem,
        subject=subject.name,
        owner=table.text("owner"),
        contact=table.text("contact"),
        reads=table.texts("reads"),
        text=text,
        where=str(schema),
        derived_from=table.text("derived_from", default=""),
        waivers=read_waivers(table),
    )
