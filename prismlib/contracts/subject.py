"""``subject.toml``: what one subject of a schema folder is, and what its owner promises.

    format = "protobuf"
    compatibility = "BACKWARD_TRANSITIVE"
    profile = "confluent"                     # default; or "wire"
    owner = "airport-operations"
    contact = "airport-operations@example.org"
    topic = "weather"                         # left out by subjects that are only imported

    [references.v2]                           # what v2.proto imports; [references.next] for the proposal
    "common/geo.proto" = { subject = "geo", version = 1 }

    [[waiver]]
    rule = "PRO003"
    path = "/Weather/wind_gust"
    reason = "no consumer reads it"
    until = 2026-12-31

The key of a reference is what the importing schema calls it: a Protobuf import path, an Avro full name, a ``$ref`` URI.
Only the standard library is imported here, because ``prism-check-schema`` starts with this.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final, Literal, TypeAlias, cast, get_args

from prismlib.contracts.registry import FormatName, Reference
from prismlib.contracts.tables import Table, read_table

Compatibility: TypeAlias = Literal[
    "BACKWARD",
    "BACKWARD_TRANSITIVE",
    "FORWARD",
    "FORWARD_TRANSITIVE",
    "FULL",
    "FULL_TRANSITIVE",
    "NONE",
]
Profile: TypeAlias = Literal["confluent", "wire"]

SUFFIXES: Final[Mapping[FormatName, str]] = {"avro": ".avsc", "protobuf": ".proto", "jsonschema": ".json"}
"""What the schema files of each format end with."""

SUBJECT_KEYS: Final = ("format", "compatibility", "profile", "owner", "contact", "topic", "waiver", "references")
WAIVER_KEYS: Final = ("rule", "path", "reason", "until")
REFERENCE_KEYS: Final = ("subject", "version")


@dataclass(frozen=True, slots=True)
class Waiver:
    """One finding that the owner accepts.

    Attributes:
        rule: id of the rule.
        path: where in the schema.
        reason: why it is accepted, for whoever reads the report.
        until: the last day on which it counts.
    """

    rule: str
    path: str
    reason: str
    until: date


@dataclass(frozen=True, slots=True)
class Subject:
    """The contents of one ``subject.toml``.

    Attributes:
        name: of the subject, which is its folder's.
        format: which format plugin reads its schemas.
        compatibility: what a new version must keep, as in Confluent's registry.
        profile: which findings fail.
        owner: the team that answers for it.
        contact: how to reach them.
        topic: which topic carries it, "" where none does.
        waivers: accepted findings, in the order of the file.
        references: what each version imports, by ``"v1"``, ``"v2"`` ... and ``"next"``.
    """

    name: str
    format: FormatName
    compatibility: Compatibility
    owner: str
    contact: str
    profile: Profile = "confluent"
    topic: str = ""
    waivers: Sequence[Waiver] = ()
    references: Mapping[str, Sequence[Reference]] = field(default_factory=dict)


def read_subject(path: Path) -> Subject:
    """Read a ``subject.toml``; the subject is named like the folder that holds it.

    Raises:
        ConfigError: it is missing, not readable, not TOML, or has a wrong, missing or unknown key.
    """
    return _subject(path, read_table(path, "write one with at least format, compatibility, owner and contact"))


def _subject(path: Path, table: Table) -> Subject:
    table.only(*SUBJECT_KEYS)
    return Subject(
        name=path.parent.name,
        format=cast("FormatName", table.one_of("format", get_args(FormatName))),
        compatibility=cast("Compatibility", table.one_of("compatibility", get_args(Compatibility))),
        profile=cast("Profile", table.one_of("profile", get_args(Profile), default="confluent")),
        owner=table.text("owner"),
        contact=table.text("contact"),
        topic=table.text("topic", default=""),
        waivers=read_waivers(table),
        references=_references(table),
    )


def read_waivers(table: Table) -> tuple[Waiver, ...]:
    """The tables ``[[waiver]]`` of a subject's or a consumer's file. Raises ConfigError."""
    waivers = []
    for one in table.tables("waiver"):
        one.only(*WAIVER_KEYS)
        waivers.append(Waiver(one.text("rule"), one.text("path"), one.text("reason"), one.day("until")))
    return tuple(waivers)


def _references(table: Table) -> dict[str, Sequence[Reference]]:
    found: dict[str, Sequence[Reference]] = {}
    for version, of_version in table.table("references").items():
        if not re.fullmatch(r"v[1-9][0-9]*|next", version):
            raise of_version.wrong("a table of references belongs to a version: [references.v1], or [references.next]")
        references = []
        for name, target in of_version.items():
            target.only(*REFERENCE_KEYS)
            references.append(Reference(name, target.text("subject"), target.positive("version")))
        found[version] = tuple(references)
    return found
