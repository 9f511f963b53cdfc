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
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, cast, get_args

from prismlib.contracts.registry import FormatName, Reference
from prismlib.errors import ConfigError

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

_REFERENCES_OF = re.compile(r"v[1-9][0-9]*|next")


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
    import tomllib  # noqa: PLC0415  # only those who read a folder pay for its start-up

    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: no such file; write one with at least format, compatibility, owner and contact"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    return _subject(path, data)


def _subject(path: Path, data: dict[str, Any]) -> Subject:
    table = _Table(path, "", data)
    table.only(*SUBJECT_KEYS)
    return Subject(
        name=path.parent.name,
        format=cast("FormatName", table.one_of("format", get_args(FormatName))),
        compatibility=cast("Compatibility", table.one_of("compatibility", get_args(Compatibility))),
        profile=cast("Profile", table.one_of("profile", get_args(Profile), default="confluent")),
        owner=table.text("owner"),
        contact=table.text("contact"),
        topic=table.text("topic", default=""),
        waivers=tuple(_waiver(one) for one in table.tables("waiver")),
        references=_references(table),
    )


def _waiver(table: _Table) -> Waiver:
    table.only(*WAIVER_KEYS)
    return Waiver(table.text("rule"), table.text("path"), table.text("reason"), table.day("until"))


def _references(table: _Table) -> dict[str, Sequence[Reference]]:
    found: dict[str, Sequence[Reference]] = {}
    for version, of_version in table.table("references").items():
        if not _REFERENCES_OF.fullmatch(version):
            raise of_version.wrong("a table of references belongs to a version: [references.v1], or [references.next]")
        references = []
        for name, target in of_version.items():
            target.only(*REFERENCE_KEYS)
            references.append(Reference(name, target.text("subject"), target.positive("version")))
        found[version] = tuple(references)
    return found


class _Table:
    """One table of a file, whose errors name file and key."""

    def __init__(self, path: Path, key: str, data: Mapping[str, Any]) -> None:
        self._path = path
        self._key = key
        self._data = data

    def wrong(self, what: str) -> ConfigError:
        return ConfigError(f"{self._path}: {self._key}: {what}")

    def only(self, *known: str) -> None:
        for key in self._data:
            if key not in known:
                import difflib  # noqa: PLC0415  # only a mistake pays for it

                near = difflib.get_close_matches(key, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
                raise ConfigError(f"{self._path}: unknown key {self._at(key)!r}; {hint}")

    def items(self) -> list[tuple[str, _Table]]:
        return [(key, self._sub(key, value)) for key, value in self._data.items()]

    def table(self, key: str) -> _Table:
        return self._sub(key, self._data.get(key, {}))

    def tables(self, key: str) -> list[_Table]:
        value = self._data.get(key, [])
        if not isinstance(value, list):
            raise self._must(key, f"a list of tables, each under [[{self._at(key)}]]")
        return [self._sub(f"{key}[{position}]", one) for position, one in enumerate(value)]

    def text(self, key: str, default: str | None = None) -> str:
        value = self._get(key, default)
        if not isinstance(value, str) or (not value and default is None):
            raise self._must(key, "a string that is not empty" if default is None else "a string")
        return value

    def one_of(self, key: str, choices: Sequence[str], default: str | None = None) -> str:
        value = self._get(key, default)
        if value not in choices:
            raise self._must(key, f"one of {', '.join(choices)}")
        return cast("str", value)

    def positive(self, key: str) -> int:
        value = self._get(key, None)
        if type(value) is not int or value < 1:
            raise self._must(key, "a whole number from 1")
        return value

    def day(self, key: str) -> date:
        value = self._get(key, None)
        if not isinstance(value, date) or isinstance(value, datetime):
            raise self._must(key, "a day without quotes, such as 2026-12-31")
        return value

    def _get(self, key: str, default: str | None) -> Any:
        value = self._data.get(key, default)
        if value is None:
            raise ConfigError(f"{self._path}: the key {self._at(key)!r} is missing")
        return value

    def _sub(self, key: str, value: Any) -> _Table:
        if not isinstance(value, dict):
            raise self._must(key, "a table")
        return _Table(self._path, self._at(key), value)

    def _must(self, key: str, what: str) -> ConfigError:
        return ConfigError(f"{self._path}: {self._at(key)!r} must be {what}")

    def _at(self, key: str) -> str:
        return f"{self._key}.{key}" if self._key else key
