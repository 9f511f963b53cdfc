"""What a registry's JSON means: a schema, or the error that its status and error code stand for."""

from __future__ import annotations

from typing import Any, Literal, NoReturn, get_args

from prism_confluent_registry.connection import Answer, Connection
from prismlib.contracts.registry import FORMATS, MAX_NUMBER, Details, Reference, RegisteredSchema
from prismlib.contracts.subject import Compatibility
from prismlib.contracts.usage import Usage
from prismlib.errors import (
    ContractError,
    IncompatibleSchemaError,
    RegistryUnavailableError,
    SchemaNotFoundError,
    SchemaParseError,
)


class _UnfitError(Exception):
    """A part of an answer is missing or of another type; the message says which."""


def schema_from(
    answer: Answer, asked: str, subject: str, *, schema_id: int | None = None, version: int | None = None
) -> RegisteredSchema:
    """The schema in an answer.

    Args:
        answer: with the status 200.
        asked: path, for messages.
        subject: of the schema.
        schema_id: of the schema; None where the answer tells it.
        version: as for ``schema_id``.

    Raises:
        RegistryUnavailableError: the answer holds no schema.
        SchemaParseError: its schema type is none of ours.
    """
    body = answer.body
    try:
        kind = _text(body, "schemaType", "AVRO")
        if kind not in FORMATS:
            raise SchemaParseError(
                f"{answer.url} answers {asked} with a schema of the type {kind[:40]!r}; known are {', '.join(FORMATS)}"
            )
        return RegisteredSchema(
            id=_number(body, "id", 0) if schema_id is None else schema_id,
            subject=subject,
            version=_number(body, "version", 1) if version is None else version,
            format=FORMATS[kind],
            text=_text(body, "schema"),
            references=tuple(_reference(one) for one in _list(body, "references")),
        )
    except _UnfitError as error:
        raise unfit(answer, asked, str(error)) from None


def numbers_from(answer: Answer, asked: str) -> list[int]:
    """A list of versions, ascending. Raises RegistryUnavailableError."""
    body = answer.body
    if not isinstance(body, list) or not all(type(one) is int and 1 <= one <= MAX_NUMBER for one in body):
        raise unfit(answer, asked, "versions are numbers from 1")
    return sorted(body)


def names_from(answer: Answer, asked: str) -> list[str]:
    """A list of subjects, sorted. Raises RegistryUnavailableError."""
    body = answer.body
    if not isinstance(body, list) or not all(isinstance(one, str) for one in body):
        raise unfit(answer, asked, "subjects are texts")
    return sorted(body)


def first_use(answer: Answer, asked: str) -> tuple[str, int]:
    """The first subject and version of an id. Raises RegistryUnavailableError."""
    try:
        uses = [(_text(one, "subject"), _number(one, "version", 1)) for one in _list(answer.body, None)]
    except _UnfitError as error:
        raise unfit(answer, asked, str(error)) from None
    return min(uses, default=("", 0))


def number_from(answer: Answer, asked: str, key: Literal["id", "version"]) -> int:
    """The id or version that an answer names. Raises RegistryUnavailableError."""
    try:
        return _number(answer.body, key, 0 if key == "id" else 1)
    except _UnfitError as error:
        raise unfit(answer, asked, str(error)) from None


def level_from(answer: Answer, asked: str) -> Compatibility:
    """A compatibility level. Raises RegistryUnavailableError."""
    try:
        level = _text(answer.body, "compatibilityLevel")
    except _UnfitError as error:
        raise unfit(answer, asked, str(error)) from None
    known: tuple[Compatibility, ...] = get_args(Compatibility)
    for one in known:
        if level == one:
            return one
    raise unfit(answer, asked, f"the level {level[:40]!r} is none of {', '.join(known)}")


def details_from(answer: Answer) -> Details:
    """What stands beside a schema, in the answers of registries that tell it."""
    body = answer.body if isinstance(answer.body, dict) else {}
    moment, metadata, guid = body.get("ts"), body.get("metadata"), body.get("guid")
    return Details(
        moment if type(moment) is int else None,
        metadata if isinstance(metadata, dict) else None,
        guid if isinstance(guid, str) else None,
    )


def usage_from(answer: Answer, asked: str) -> list[Usage]:
    """What was told of a subject. Raises RegistryUnavailableError."""
    try:
        return [
            Usage(
                _text(one, "consumer"),
                _text(one, "subject"),
                _number(one, "version", 1),
                tuple(str(field) for field in _list(one, "fields")),
                int(one["at"]),
            )
            for one in _list(answer.body, None)
        ]
    except (_UnfitError, KeyError, TypeError, ValueError) as error:
        raise unfit(answer, asked, str(error)) from None


def unfit(answer: Answer, asked: str, why: str) -> RegistryUnavailableError:
    """For an answer that no registry of this interface gives."""
    return RegistryUnavailableError(
        f"{answer.url} answers {asked} as no Confluent-compatible schema registry does: {why}; check the path in url"
    )


def is_not_found(answer: Answer) -> bool:
    """Whether the registry itself says that there is no such thing; a 404 of a proxy or a wrong path has no such code."""
    return answer.status == 404 and 40400 <= _code(answer) <= 40499


def refuse(connection: Connection, answer: Answer, asked: str) -> NoReturn:
    """Raise what a status other than 200 means.

    Raises:
        SchemaNotFoundError: there is no such subject, version or id.
        RegistryUnavailableError: anything else.
    """
    said = connection.clean(_said(answer))
    if is_not_found(answer):
        raise SchemaNotFoundError(f"{answer.url}: {said}")
    if answer.status == 404:
        raise RegistryUnavailableError(
            f"{answer.url} answers {asked} with 404, and not in the words of a schema registry; check the path in url, and "
            "that no proxy answers in its place"
        )
    raise RegistryUnavailableError(f"{answer.url} refuses {asked}: {_numbered(answer)}: {said}")


def refuse_schema(connection: Connection, answer: Answer, asked: str, subject: str) -> NoReturn:
    """Raise what a status other than 200 means for a schema that was to be registered.

    Raises:
        IncompatibleSchemaError: the subject's compatibility level forbids it, or what it shall be is another schema.
        SchemaParseError: it is no schema, or imports what the registry does not know.
        RegistryUnavailableError: anything else.
    """
    said = connection.clean(_said(answer))
    found: type[ContractError] | None = None
    # 42207, of imports: the version or the id is another schema's.
    if (answer.status == 409 and _code(answer) >= 0) or _code(answer) == 42207:
        found = IncompatibleSchemaError
    elif _code(answer) == 42201 or is_not_found(answer):
        found = SchemaParseError
    if found is not None:
        raise found(f"{answer.url} refuses the schema for the subject {subject!r}: {_numbered(answer)}: {said}")
    refuse(connection, answer, asked)


def _code(answer: Answer) -> int:
    code = answer.body.get("error_code") if isinstance(answer.body, dict) else None
    return code if type(code) is int else -1


def _said(answer: Answer) -> str:
    message = answer.body.get("message") if isinstance(answer.body, dict) else None
    return message if isinstance(message, str) and message else "no reason given"


def _numbered(answer: Answer) -> str:
    code = _code(answer)
    return f"status {answer.status}" if code in {-1, answer.status} else f"status {answer.status}, error {code}"


def _text(body: object, key: str, default: str | None = None) -> str:
    value = body.get(key) if isinstance(body, dict) else None
    value = default if value is None else value
    if not isinstance(value, str):
        raise _UnfitError(f"{key} must be text")
    return value


def _number(body: object, key: str, least: int) -> int:
    value = body.get(key) if isinstance(body, dict) else None
    if type(value) is not int or not least <= value <= MAX_NUMBER:
        raise _UnfitError(f"{key} must be a number from {least}")
    return value


def _list(body: object, key: str | None) -> list[Any]:
    """The list under a key, [] where there is none; without a key, the body itself."""
    value = body if key is None else (body.get(key) if isinstance(body, dict) else None)
    value = [] if value is None and key is not None else value
    if not isinstance(value, list):
        raise _UnfitError(f"{key or 'the answer'} must be a list")
    return value


def _reference(body: object) -> Reference:
    return Reference(_text(body, "name"), _text(body, "subject"), _number(body, "version", 1))
