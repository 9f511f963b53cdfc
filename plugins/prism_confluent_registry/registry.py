"""A schema registry behind Confluent's REST interface."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Final
from urllib.parse import quote

import orjson

from prism_confluent_registry.answers import (
    MAX_NUMBER,
    TYPES,
    first_use,
    names_from,
    number_from,
    numbers_from,
    refuse,
    refuse_schema,
    schema_from,
    unfit,
)
from prism_confluent_registry.connection import Answer, Connection
from prismlib.contracts.registry import FormatName, Reference, RegisteredSchema
from prismlib.errors import RegistryUnavailableError, SchemaNotFoundError, SchemaParseError

KEPT_SCHEMAS: Final = 10_000
KEPT_CHARACTERS: Final = 32 << 20
"""Of schema texts and references: what a hostile registry could fill is bounded by size too."""


class ConfluentRegistry:
    """Reads and registers schemas. May be used by several threads.

    A schema that was answered for an id, or for a subject and version, is kept and never asked for again, for it must
    not change; the oldest are forgotten when there are very many. ``latest``, ``versions``, ``subjects`` and everything
    that was not found are asked anew each time.

    An id can belong to several subjects. ``by_id`` names the first one, by name and version, where the registry tells
    (``GET /schemas/ids/{id}/versions``); not every registry does, and there the subject is "" and the version 0.

    Each method takes no longer than the connection's time limit, however many attempts and requests it needs.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._kept = _Kept()

    def __repr__(self) -> str:
        return f"ConfluentRegistry({self._connection.name!r})"

    def by_id(self, schema_id: int) -> RegisteredSchema:
        """The schema with that id."""
        kept = self._kept.get(schema_id)
        if kept is not None:
            return kept
        if not 0 <= schema_id <= MAX_NUMBER:  # what registries answer to such a number differs: some, that they failed
            raise SchemaNotFoundError(f"{self._connection.name}: no schema has the id {schema_id}")
        until = self._connection.until()
        asked = f"/schemas/ids/{schema_id}"
        found = schema_from(self._get(asked, until), asked, "", schema_id=schema_id, version=0)
        asked = f"/schemas/ids/{schema_id}/versions"
        try:
            answer = self._connection.ask("GET", asked, until=until)
            subject, version = first_use(answer, asked) if answer.status == 200 else ("", 0)
        except RegistryUnavailableError:
            # The schema is what a decoder needs; without its name, messages say less. Not kept, so asked again.
            return found
        found = replace(found, subject=subject, version=version)
        self._kept.put(schema_id, found)
        return found

    def latest(self, subject: str) -> RegisteredSchema:
        """The newest released version."""
        asked = f"/subjects/{self._quoted(subject)}/versions/latest"
        found = schema_from(self._get(asked), asked, subject)
        self._kept.put((subject, found.version), found)
        return found

    def version(self, subject: str, version: int) -> RegisteredSchema:
        """One released version."""
        return self._version(subject, version)

    def versions(self, subject: str) -> Sequence[int]:
        """All released versions, ascending; gaps are possible, for a registry can delete versions."""
        asked = f"/subjects/{self._quoted(subject)}/versions"
        answer = self._get(asked)
        found = numbers_from(answer, asked)
        if not found:
            raise SchemaNotFoundError(f"{answer.url}: {subject!r} has no released version")
        return found

    def subjects(self) -> Sequence[str]:
        """All subjects with a released version, sorted."""
        return names_from(self._get("/subjects"), "/subjects")

    def register(
        self, subject: str, schema_format: FormatName, text: str, references: Sequence[Reference] = ()
    ) -> RegisteredSchema:
        """Register a schema as the newest version of a subject; one that is there already is returned as it is.

        The text in the answer is the registry's, which may write the same schema another way.
        """
        asked = f"/subjects/{self._quoted(subject)}"
        body: dict[str, object] = {"schema": text}
        if schema_format != "avro":  # left out for Avro, as Confluent's clients do: the oldest registries know no other
            body["schemaType"] = TYPES[schema_format]
        if references:
            body["references"] = [{"name": r.name, "subject": r.subject, "version": r.version} for r in references]
        until = self._connection.until()
        try:
            answer = self._connection.ask("POST", f"{asked}/versions", body, until=until)
        except orjson.JSONEncodeError as error:
            raise SchemaParseError(f"the schema for {subject!r} holds text that is no Unicode: {error}") from error
        if answer.status != 200:
            refuse_schema(self._connection, answer, f"{asked}/versions", subject)
        schema_id = number_from(answer, f"{asked}/versions", "id")
        # Where several servers are one registry, the one that is asked now may learn of the new version a moment later.
        answer = self._connection.ask("POST", asked, body, until=until, later={404})
        if answer.status != 200:
            refuse(self._connection, answer, asked)
        # Only the version is taken from here: Apicurio leaves out the schema type in this answer.
        found = self._version(subject, number_from(answer, asked, "version"), until)
        if found.id != schema_id:
            raise unfit(answer, asked, f"the id is {found.id}, and registering it gave {schema_id}")
        return found

    def _version(self, subject: str, version: int, until: float | None = None) -> RegisteredSchema:
        kept = self._kept.get((subject, version))
        if kept is not None:
            return kept
        asked = f"/subjects/{self._quoted(subject)}/versions/{version}"
        if not 1 <= version <= MAX_NUMBER:  # -1 would be the latest
            raise SchemaNotFoundError(f"{self._connection.name}: {subject!r} has no version {version}")
        answer = self._get(asked, until)
        found = schema_from(answer, asked, subject)
        if found.version != version:
            raise unfit(answer, asked, f"it is version {found.version}")
        self._kept.put((subject, version), found)
        return found

    def _get(self, path: str, until: float | None = None) -> Answer:
        answer = self._connection.ask("GET", path, until=until)
        if answer.status != 200:
            refuse(self._connection, answer, path)
        return answer

    def _quoted(self, subject: str) -> str:
        """The subject as one segment of a path. Raises SchemaNotFoundError for what can be none."""
        try:
            if subject not in {"", ".", ".."}:
                return quote(subject, safe="")
        except UnicodeEncodeError:
            pass
        raise SchemaNotFoundError(f"{self._connection.name}: {subject!r} cannot be the name of a subject")


class _Kept:
    """Schemas that were answered before: so many, and so much text; those that were not asked for longest go first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._schemas: OrderedDict[Hashable, RegisteredSchema] = OrderedDict()
        self._characters = 0

    def get(self, key: Hashable) -> RegisteredSchema | None:
        with self._lock:
            found = self._schemas.get(key)
            if found is not None:
                self._schemas.move_to_end(key)
            return found

    def put(self, key: Hashable, schema: RegisteredSchema) -> None:
        with self._lock:
            before = self._schemas.pop(key, None)
            self._characters += _characters(schema) - (0 if before is None else _characters(before))
            self._schemas[key] = schema
            while len(self._schemas) > KEPT_SCHEMAS or self._characters > KEPT_CHARACTERS:
                _, oldest = self._schemas.popitem(last=False)
                self._characters -= _characters(oldest)


def _characters(schema: RegisteredSchema) -> int:
    return len(schema.text) + sum(len(one.name) + len(one.subject) for one in schema.references)
