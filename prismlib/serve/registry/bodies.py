"""What requests hold, and what answers say."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final
from urllib.parse import unquote

from fastapi import Depends, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from prismlib.contracts.registry import FORMATS, MAX_NUMBER, SCHEMA_TYPES, Reference
from prismlib.serve.answers import json_response
from prismlib.serve.problems import Problem
from prismlib.serve.registry.problems import INVALID_SCHEMA, INVALID_SUBJECT, INVALID_VERSION
from prismlib.serve.registry.schemas import Stored
from prismlib.serve.registry.subjects import Incoming

MEDIA_TYPE: Final = "application/vnd.schemaregistry.v1+json"
MAX_SUBJECT: Final = 512
MAX_REFERENCES: Final = 1000

_Number = Annotated[int, Field(ge=1, le=MAX_NUMBER)]


class _Body(BaseModel):
    """Unknown keys are left alone, as Confluent's registry does: clients of later versions send more."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class ReferenceBody(_Body):
    name: Annotated[str, Field(min_length=1, max_length=1000)]
    subject: Annotated[str, Field(min_length=1, max_length=MAX_SUBJECT)]
    version: Annotated[int, Field(ge=-1, le=MAX_NUMBER)]


class MetadataBody(_Body):
    tags: dict[str, list[str]] | None = None
    properties: dict[str, str] | None = None
    sensitive: list[str] | None = None


class SchemaBody(_Body):
    """A schema in a request."""

    text: Annotated[str, Field(alias="schema", min_length=1)]
    schema_type: Annotated[str | None, Field(alias="schemaType")] = None
    references: Annotated[list[ReferenceBody] | None, Field(max_length=MAX_REFERENCES)] = None
    metadata: MetadataBody | None = None
    rules: Annotated[Any, Field(alias="ruleSet")] = None
    id: Annotated[int | None, Field(ge=-1, le=MAX_NUMBER)] = None
    version: Annotated[int | None, Field(ge=-1, le=MAX_NUMBER)] = None
    guid: uuid.UUID | None = None

    def incoming(self, latest: Callable[[str], int | None]) -> Incoming:
        """As the registry takes it; a reference to version -1 is to the latest. Raises Problem."""
        kind = (self.schema_type or "AVRO").upper()
        if kind not in FORMATS:
            raise Problem(INVALID_SCHEMA, f"Invalid schema type {kind[:40]}; known are {', '.join(FORMATS)}.")
        if self.rules:
            raise Problem(INVALID_SCHEMA, "This registry runs no rules, so it takes no schema with a ruleSet.")
        metadata = self.metadata.model_dump(exclude_none=True) if self.metadata else None
        return Incoming(
            FORMATS[kind],
            self.text,
            tuple(self._reference(one, latest) for one in self.references or ()),
            metadata or None,
            self.id if self.id and self.id > 0 else None,
            self.version if self.version and self.version > 0 else None,
            str(self.guid) if self.guid else None,
        )

    @staticmethod
    def _reference(one: ReferenceBody, latest: Callable[[str], int | None]) -> Reference:
        version = one.version if one.version > 0 else latest(one.subject)
        if version is None:
            raise Problem(INVALID_SCHEMA, f"it imports the latest version of {one.subject!r}, which has none")
        return Reference(one.name, one.subject, version)


class LevelBody(_Body):
    """A compatibility level; what else Confluent's registry keeps beside it is refused, and not forgotten in silence."""

    model_config = ConfigDict(extra="allow", frozen=True)

    compatibility: str | None = None
    compatibility_level: Annotated[str | None, Field(alias="compatibilityLevel")] = None


class ModeBody(_Body):
    mode: str


class UsageBody(_Body):
    """What a worker read."""

    consumer: Annotated[str, Field(min_length=1, max_length=249)]
    subject: Annotated[str, Field(min_length=1, max_length=MAX_SUBJECT)]
    version: _Number
    fields: Annotated[list[Annotated[str, Field(max_length=1000)]], Field(max_length=10_000)]
    at: Annotated[int, Field(ge=0, le=2**53)]


def _subject(subject: Annotated[str, Path()]) -> str:
    """Paths are routed as they came, so that a name may hold a slash."""
    try:
        name = unquote(subject, errors="strict")
    except UnicodeDecodeError:
        raise Problem(INVALID_SUBJECT, "The subject is no UTF-8.") from None
    return checked_subject(name)


def checked_subject(name: str) -> str:
    """The name. Raises Problem where it can be none of a subject."""
    if not name or len(name) > MAX_SUBJECT or not name.isprintable() or name in {"__GLOBAL", "__EMPTY"}:
        raise Problem(
            INVALID_SUBJECT, f"The specified subject is not valid: 1 to {MAX_SUBJECT} printable characters are."
        )
    if name.startswith(":"):
        raise Problem(INVALID_SUBJECT, "This registry has the default context only; leave out what is between colons.")
    return name


def _version(version: Annotated[str, Path()]) -> int | None:
    if version in {"latest", "-1"}:
        return None
    if version.isascii() and version.isdigit() and 1 <= int(version[:11]) <= MAX_NUMBER:
        return int(version)
    raise Problem(
        INVALID_VERSION,
        f"The specified version '{version[:40]}' is not a valid version id. Allowed values are between [1, 2^31-1] and the "
        'string "latest"',
    )


SubjectName = Annotated[str, Depends(_subject)]
VersionNumber = Annotated[int | None, Depends(_version)]
"""None is the latest."""


def answer(value: object, status: int = 200) -> Response:
    """JSON, as the interface names its type."""
    return json_response(value, status, MEDIA_TYPE)


def schema_document(one: Stored) -> dict[str, Any]:
    """A schema without its subject and version."""
    found: dict[str, Any] = {}
    if one.format != "avro":
        found["schemaType"] = SCHEMA_TYPES[one.format]
    found["schema"] = one.text
    if one.references:
        found["references"] = [{"name": r.name, "subject": r.subject, "version": r.version} for r in one.references]
    if one.metadata:
        found["metadata"] = one.metadata
    return {**found, "guid": one.guid}


def version_document(one: Stored) -> dict[str, Any]:
    """A schema under its subject and version; ``ts`` is when that was registered, in ms since the epoch."""
    deleted: Mapping[str, bool] = {"deleted": True} if one.deleted else {}
    return {
        "subject": one.subject,
        "version": one.version,
        "id": one.id,
        **schema_document(one),
        "ts": one.registered_ms,
        **deleted,
    }
