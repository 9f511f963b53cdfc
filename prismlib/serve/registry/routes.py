"""The REST interface that Confluent's clients use: https://docs.confluent.io/platform/current/schema-registry/develop/api.html."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Depends, Query, Response

from prismlib.contracts.compatibility import MODES
from prismlib.contracts.published import read_by
from prismlib.contracts.registry import SCHEMA_TYPES
from prismlib.contracts.usage import Usage
from prismlib.serve.access import writes
from prismlib.serve.problems import Problem
from prismlib.serve.registry.bodies import (
    LevelBody,
    ModeBody,
    SchemaBody,
    SubjectName,
    UsageBody,
    VersionNumber,
    answer,
    checked_subject,
    schema_document,
    version_document,
)
from prismlib.serve.registry.deleting import delete_subject, delete_version
from prismlib.serve.registry.problems import (
    INVALID_LEVEL,
    INVALID_MODE,
    INVALID_SCHEMA,
    NO_SUBJECT_LEVEL,
    NO_SUBJECT_MODE,
    NOT_PERMITTED,
    SCHEMA_NOT_FOUND,
    no_subject,
    no_version,
)
from prismlib.serve.registry.schemas import Stored
from prismlib.serve.registry.store import Store
from prismlib.serve.registry.subjects import DEFAULT_LEVEL, DEFAULT_MODE, IMPORT, Subjects

T = TypeVar("T")

_MODES: Final = (DEFAULT_MODE, "READONLY", "READONLY_OVERRIDE", IMPORT)
_USAGE_ROWS: Final = 10_000
"""Of one subject: consumers that come and go under new names must not fill the disk."""

Flag = Annotated[bool, Query()]
Form = Annotated[str, Query(alias="format")]
_Offset = Annotated[int, Query(ge=0)]
_Limit = Annotated[int, Query(ge=-1)]


def routes(store: Store, subjects: Subjects) -> tuple[APIRouter, APIRouter]:
    """All of the interface: what is free to whoever may read, and what needs the right to write."""
    reading = APIRouter()
    writing = APIRouter(dependencies=[Depends(writes)])
    _schemas(reading, store, subjects)
    _reading_subjects(reading, store, subjects)
    _writing_subjects(writing, store, subjects)
    _levels(reading, writing, store, subjects)
    _modes(reading, writing, store, subjects)
    _usage(reading, store)
    return reading, writing


def _schemas(reading: APIRouter, store: Store, rules: Subjects) -> None:
    @reading.get("/")
    def root() -> Response:
        return answer({})

    @reading.get("/schemas/types")
    def types() -> Response:
        return answer(sorted(SCHEMA_TYPES.values()))

    @reading.get("/contexts")
    def contexts() -> Response:
        return answer(["."])

    @reading.get("/schemas/ids/{schema_id}")
    def by_id(schema_id: int, form: Form = "", fetchMaxId: Flag = False) -> Response:  # noqa: N803, FBT002  # names of the interface
        found = schema_document(_in_form(rules, _by_id(store, schema_id), form))
        return answer({**found, "maxId": store.max_id()} if fetchMaxId else found)

    @reading.get("/schemas/ids/{schema_id}/schema")
    def text_by_id(schema_id: int) -> Response:
        return _text(_by_id(store, schema_id))

    @reading.get("/schemas/ids/{schema_id}/subjects")
    def subjects_of_id(schema_id: int, deleted: Flag = False) -> Response:  # noqa: FBT002  # as above
        _by_id(store, schema_id)
        return answer(sorted({subject for subject, _ in store.uses(schema_id, deleted=deleted)}))

    @reading.get("/schemas/ids/{schema_id}/versions")
    def versions_of_id(schema_id: int, deleted: Flag = False) -> Response:  # noqa: FBT002  # as above
        _by_id(store, schema_id)
        uses = store.uses(schema_id, deleted=deleted)
        return answer([{"subject": subject, "version": version} for subject, version in uses])

    @reading.get("/schemas/guids/{guid}")
    def by_guid(guid: str, form: Form = "") -> Response:
        return answer(schema_document(_in_form(rules, _by_guid(store, guid), form)))

    @reading.get("/schemas/guids/{guid}/ids")
    def ids_of_guid(guid: str) -> Response:
        return answer([{"context": ".", "id": _by_guid(store, guid).id}])


def _reading_subjects(reading: APIRouter, store: Store, rules: Subjects) -> None:
    def latest(subject: str) -> int | None:
        found = store.latest(subject)
        return found.version if found else None

    @reading.get("/subjects")
    def subjects(
        subjectPrefix: str = "",  # noqa: N803  # names of the interface
        deleted: Flag = False,  # noqa: FBT002  # as above
        deletedOnly: Flag = False,  # noqa: N803, FBT002  # as above
        offset: _Offset = 0,
        limit: _Limit = -1,
    ) -> Response:
        prefix = "" if subjectPrefix == ":*:" else subjectPrefix  # all contexts; there is one
        found = store.subjects(prefix, deleted=deleted or deletedOnly)
        if deletedOnly:
            alive = set(store.subjects(prefix))
            found = [one for one in found if one not in alive]
        return answer(_page(found, offset, limit))

    @reading.get("/subjects/{subject}/versions")
    def versions(
        subject: SubjectName,
        deleted: Flag = False,  # noqa: FBT002  # as above
        offset: _Offset = 0,
        limit: _Limit = -1,
    ) -> Response:
        found = [one.version for one in store.versions(subject, deleted=deleted)]
        if not found:
            raise no_subject(subject)
        return answer(_page(found, offset, limit))

    @reading.get("/subjects/{subject}/versions/{version}")
    def version(subject: SubjectName, version: VersionNumber, form: Form = "", deleted: Flag = False) -> Response:  # noqa: FBT002  # as above
        return answer(version_document(_in_form(rules, _version(store, subject, version, deleted=deleted), form)))

    @reading.get("/subjects/{subject}/versions/{version}/schema")
    def text(subject: SubjectName, version: VersionNumber, deleted: Flag = False) -> Response:  # noqa: FBT002  # as above
        return _text(_version(store, subject, version, deleted=deleted))

    @reading.get("/subjects/{subject}/versions/{version}/referencedby")
    def referenced_by(subject: SubjectName, version: VersionNumber) -> Response:
        found = _version(store, subject, version, deleted=True)
        return answer(store.referenced_by(subject, found.version))

    @reading.get("/subjects/{subject}/metadata")
    def latest_with_metadata(
        subject: SubjectName,
        key: Annotated[Sequence[str], Query()] = (),
        value: Annotated[Sequence[str], Query()] = (),
        deleted: Flag = False,  # noqa: FBT002  # as above
    ) -> Response:
        wanted = dict(zip(key, value, strict=False))
        for one in reversed(store.versions(subject, deleted=deleted)):
            properties = (one.metadata or {}).get("properties") or {}
            if wanted.items() <= properties.items():
                return answer(version_document(one))
        raise no_subject(subject) if latest(subject) is None else Problem(SCHEMA_NOT_FOUND, "Schema not found")

    @reading.post("/subjects/{subject}")
    def lookup(subject: SubjectName, body: SchemaBody, deleted: Flag = False) -> Response:  # noqa: FBT002  # as above
        return answer(version_document(rules.lookup(subject, body.incoming(latest), deleted=deleted)))

    @reading.post("/compatibility/subjects/{subject}/versions")
    def compare_with_all(subject: SubjectName, body: SchemaBody, verbose: Flag = False) -> Response:  # noqa: FBT002  # as above
        return _verdict(rules.compare(subject, body.incoming(latest)), verbose=verbose)

    @reading.post("/compatibility/subjects/{subject}/versions/{version}")
    def compare_with_one(
        subject: SubjectName,
        version: VersionNumber,
        body: SchemaBody,
        verbose: Flag = False,  # noqa: FBT002  # as above
    ) -> Response:
        # A new subject has no latest version, and takes anything.
        against = None if version is None and latest(subject) is None else _version(store, subject, version)
        return _verdict(rules.compare(subject, body.incoming(latest), against), verbose=verbose)


def _writing_subjects(writing: APIRouter, store: Store, rules: Subjects) -> None:
    def latest(subject: str) -> int | None:
        found = store.latest(subject)
        return found.version if found else None

    @writing.post("/subjects/{subject}/versions")
    def register(subject: SubjectName, body: SchemaBody) -> Response:
        found = rules.register(subject, body.incoming(latest))
        return answer({"id": found.id, "version": found.version, **schema_document(found)})

    @writing.delete("/subjects/{subject}")
    def delete(subject: SubjectName, permanent: Flag = False) -> Response:  # noqa: FBT002  # names of the interface
        _require_writable(rules, subject)
        return answer(delete_subject(store, subject, permanent=permanent))

    @writing.delete("/subjects/{subject}/versions/{version}")
    def delete_one(subject: SubjectName, version: VersionNumber, permanent: Flag = False) -> Response:  # noqa: FBT002  # as above
        _require_writable(rules, subject)
        return answer(delete_version(store, subject, version, permanent=permanent))


def _levels(reading: APIRouter, writing: APIRouter, store: Store, rules: Subjects) -> None:
    @reading.get("/config")
    def level() -> Response:
        return answer({"compatibilityLevel": store.level("") or DEFAULT_LEVEL})

    @writing.put("/config")
    def set_level(body: LevelBody) -> Response:
        return answer({"compatibility": _set_level(store, "", body)})

    @writing.delete("/config")
    def forget_level() -> Response:
        before = store.level("") or DEFAULT_LEVEL
        _set(store.set_level, store, "", None)
        return answer({"compatibility": before})

    @reading.get("/config/{subject}")
    def level_of(subject: SubjectName, defaultToGlobal: Flag = False) -> Response:  # noqa: N803, FBT002  # as above
        own = rules.level(subject) if defaultToGlobal or read_by(subject) else store.level(subject)
        if own is None:
            raise Problem(NO_SUBJECT_LEVEL, f"Subject '{subject}' does not have subject-level compatibility configured")
        return answer({"compatibilityLevel": own})

    @writing.put("/config/{subject}")
    def set_level_of(subject: SubjectName, body: LevelBody) -> Response:
        return answer({"compatibility": _set_level(store, subject, body)})

    @writing.delete("/config/{subject}")
    def forget_level_of(subject: SubjectName) -> Response:
        before = store.level(subject)
        if before is None:
            raise no_subject(subject)
        _set(store.set_level, store, subject, None)
        return answer({"compatibility": before})


def _modes(reading: APIRouter, writing: APIRouter, store: Store, rules: Subjects) -> None:
    @reading.get("/mode")
    def mode() -> Response:
        return answer({"mode": store.mode("") or DEFAULT_MODE})

    @writing.put("/mode")
    def set_mode(body: ModeBody) -> Response:
        return answer({"mode": _set_mode(store, "", body)})

    @reading.get("/mode/{subject}")
    def mode_of(subject: SubjectName, defaultToGlobal: Flag = False) -> Response:  # noqa: N803, FBT002  # as above
        own = rules.mode(subject) if defaultToGlobal else store.mode(subject)
        if own is None:
            raise Problem(NO_SUBJECT_MODE, f"Subject '{subject}' does not have subject-level mode configured")
        return answer({"mode": own})

    @writing.put("/mode/{subject}")
    def set_mode_of(subject: SubjectName, body: ModeBody) -> Response:
        return answer({"mode": _set_mode(store, subject, body)})

    @writing.delete("/mode/{subject}")
    def forget_mode_of(subject: SubjectName) -> Response:
        before = store.mode(subject)
        if before is None:
            raise no_subject(subject)
        _set(store.set_mode, store, subject, None)
        return answer({"mode": before})


def _usage(reading: APIRouter, store: Store) -> None:
    """Prism's own. To say what one reads is no right to write: a worker has the token to read."""

    @reading.post("/prism/usage")
    def report(body: UsageBody) -> Response:
        subject = checked_subject(body.subject)
        if store.version(subject, body.version, deleted=True) is None:
            raise no_version(subject, body.version)
        # A clock that runs ahead must not hide what is reported later.
        at_ms = min(body.at, time.time_ns() // 1_000_000)
        with store.writing():
            store.add_usage(Usage(body.consumer, subject, body.version, tuple(body.fields), at_ms), _USAGE_ROWS)
        return answer({})

    @reading.get("/prism/usage/{subject}")
    def usage(subject: SubjectName) -> Response:
        return answer(
            [
                {"consumer": u.consumer, "subject": u.subject, "version": u.version, "fields": u.fields, "at": u.at_ms}
                for u in store.usage(subject)
            ]
        )


def _by_id(store: Store, schema_id: int) -> Stored:
    found = store.by_id(schema_id) if 0 <= schema_id < 2**63 else None
    if found is None:
        raise Problem(SCHEMA_NOT_FOUND, f"Schema {schema_id} not found")
    return found


def _by_guid(store: Store, guid: str) -> Stored:
    found = store.by_guid(guid.lower())
    if found is None:
        raise Problem(SCHEMA_NOT_FOUND, "Schema with this guid not found")
    return found


def _version(store: Store, subject: str, version: int | None, *, deleted: bool = False) -> Stored:
    found = (
        store.latest(subject, deleted=deleted) if version is None else store.version(subject, version, deleted=deleted)
    )
    if found is not None:
        return found
    raise no_version(subject, version or -1) if store.latest(subject) else no_subject(subject)


def _in_form(rules: Subjects, one: Stored, form: str) -> Stored:
    """As ``format`` of the interface wants it; other forms than ``serialized`` are those of other registries."""
    return rules.serialized(one) if form == "serialized" else one


def _text(one: Stored) -> Response:
    return Response(one.text, media_type="application/json" if one.format != "protobuf" else "text/plain")


def _page(found: Sequence[T], offset: int, limit: int) -> Sequence[T]:
    return found[offset : offset + limit] if limit >= 0 else found[offset:]


def _verdict(verdict: Any, *, verbose: bool) -> Response:
    found: dict[str, Any] = {"is_compatible": verdict.kind == "compatible"}
    if verbose:
        found["messages"] = list(verdict.messages)
    return answer(found)


def _require_writable(rules: Subjects, subject: str) -> None:
    mode = rules.mode(subject)
    if mode not in {DEFAULT_MODE, IMPORT}:
        raise Problem(NOT_PERMITTED, f"Subject '{subject}' is in {mode} mode.")


def _set_level(store: Store, subject: str, body: LevelBody) -> str:
    more = sorted(key for key, value in (body.model_extra or {}).items() if value is not None)
    if more:
        raise Problem(
            INVALID_SCHEMA, f"This registry keeps a compatibility level, and nothing of {', '.join(more)[:200]}."
        )
    level = (body.compatibility or body.compatibility_level or "").upper()
    if level not in MODES:
        raise Problem(INVALID_LEVEL, f"Invalid compatibility level. Valid values are {', '.join(sorted(MODES))}.")
    _set(store.set_level, store, subject, level)
    return level


def _set_mode(store: Store, subject: str, body: ModeBody) -> str:
    mode = body.mode.upper()
    if mode not in _MODES:
        raise Problem(INVALID_MODE, f"Invalid mode. Valid values are {', '.join(_MODES)}.")
    _set(store.set_mode, store, subject, mode)
    return mode


def _set(change: Any, store: Store, subject: str, value: str | None) -> None:
    with store.writing():
        change(subject, value)
