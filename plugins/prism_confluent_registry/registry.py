"""A schema registry behind Confluent's REST interface."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final
from urllib.parse import quote

import orjson

from prism_confluent_registry.answers import (
    details_from,
    first_use,
    is_not_found,
    level_from,
    names_from,
    number_from,
    numbers_from,
    refuse,
    refuse_schema,
    schema_from,
    unfit,
    usage_from,
)
from prism_confluent_registry.connection import Answer, Connection
from prismlib.contracts.consumers import Consumer
from prismlib.contracts.published import contract_subject, from_published, to_publish
from prismlib.contracts.registry import (
    MAX_NUMBER,
    SCHEMA_TYPES,
    Details,
    FormatName,
    Reference,
    RegisteredSchema,
)
from prismlib.contracts.subject import Compatibility
from prismlib.contracts.usage import Usage
from prismlib.errors import IncompatibleSchemaError, RegistryUnavailableError, SchemaNotFoundError, SchemaParseError

KEPT_SCHEMAS: Final = 10_000
KEPT_CHARACTERS: Final = 32 << 20
"""Of schema texts and references: what a hostile registry could fill is bounded by size too."""

_USAGE: Final = "/prism/usage"


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
        self._no_usage = False

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
        return self._register(subject, _body(schema_format, text, references))

    # --- the contract side ---------------------------------------------------------------------------------------------

    def compatibility(self, subject: str) -> Compatibility:
        """The level that counts for a subject, there or not: its own, or else the one of all."""
        until = self._connection.until()
        asked = f"/config/{self._quoted(subject)}?defaultToGlobal=true"
        answer = self._connection.ask("GET", asked, until=until)
        if is_not_found(answer):  # older registries do not know the parameter
            asked = "/config"
            answer = self._connection.ask("GET", asked, until=until)
        if answer.status != 200:
            refuse(self._connection, answer, asked)
        return level_from(answer, asked)

    def set_compatibility(self, subject: str, level: Compatibility) -> None:
        """Give a subject, there or not, a level of its own."""
        asked = f"/config/{self._quoted(subject)}"
        answer = self._connection.ask("PUT", asked, {"compatibility": level})
        if answer.status != 200:
            refuse(self._connection, answer, asked)

    def consumers(self, subject: str) -> Sequence[Consumer]:
        """The contracts on a subject, sorted by name; with what workers said, where the registry keeps that."""
        prefix = contract_subject(subject, "")
        asked = f"/subjects?subjectPrefix={quote(prefix, safe='')}"
        names = [one for one in names_from(self._get(asked), asked) if one.startswith(prefix) and one != prefix]
        if not names:
            return ()
        seen: dict[str, int] = {}
        for usage in self.usage(subject):
            seen[usage.consumer] = max(usage.at_ms, seen.get(usage.consumer, 0))
        found = []
        for name in names:
            asked = f"/subjects/{self._quoted(name)}/versions/latest"
            answer = self._get(asked)
            schema = schema_from(answer, asked, name)
            properties = (details_from(answer).metadata or {}).get("properties")
            consumer = from_published(
                subject, name, schema.format, schema.text, properties if isinstance(properties, dict) else None
            )
            found.append(consumer.read_at(seen.get(consumer.name)))
        return found

    def publish_contract(self, consumer: Consumer, schema_format: FormatName) -> RegisteredSchema:
        """Register a contract; one that is there already is returned as it is."""
        contract = to_publish(consumer, schema_format)
        if self.compatibility(contract.subject) != "NONE":
            self.set_compatibility(contract.subject, "NONE")
        body = _body(schema_format, contract.text, ())
        body["metadata"] = {"properties": dict(contract.properties)}
        return self._register(contract.subject, body)

    def details(self, subject: str, version: int) -> Details:
        """When a version was registered, its metadata and GUID, where the registry tells."""
        return details_from(self._get(f"/subjects/{self._quoted(subject)}/versions/{version}"))

    def report_usage(self, usage: Usage) -> bool:
        """Tell what a consumer read; False where the registry does not want to know, which is asked once."""
        if self._no_usage:
            return False
        body = {
            "consumer": usage.consumer,
            "subject": usage.subject,
            "version": usage.version,
            "fields": list(usage.fields),
            "at": usage.at_ms,
        }
        answer = self._connection.ask("POST", _USAGE, body)
        if answer.status == 200:
            return True
        if is_not_found(answer):
            refuse(self._connection, answer, _USAGE)
        self._no_usage = True
        return False

    def usage(self, subject: str) -> Sequence[Usage]:
        """What was told of a subject, the newest first; none where the registry keeps none."""
        asked = f"{_USAGE}/{self._quoted(subject)}"
        if self._no_usage:
            return ()
        answer = self._connection.ask("GET", asked)
        if answer.status == 200:
            return usage_from(answer, asked)
        self._no_usage = True
        return ()

    @contextmanager
    def importing(self, subject: str) -> Iterator[None]:
        """While the block runs, versions of the subject are taken as they are, and nothing else is."""
        asked = f"/mode/{self._quoted(subject)}"
        answer = self._connection.ask("PUT", asked, {"mode": "IMPORT"})
        if answer.status != 200:
            refuse(self._connection, answer, asked)
        try:
            yield
        finally:
            answer = self._connection.ask("DELETE", asked)
            if answer.status != 200:
                refuse(self._connection, answer, asked)

    def put(self, schema: RegisteredSchema, details: Details) -> None:
        """Take a version with its id; one that is there already stays."""
        body = _body(schema.format, schema.text, schema.references)
        body |= {"id": schema.id, "version": schema.version}
        if details.metadata is not None:
            body["metadata"] = details.metadata
        if details.guid is not None:
            body["guid"] = details.guid
        asked = f"/subjects/{self._quoted(schema.subject)}/versions"
        answer = self._post(asked, body, schema.subject, self._connection.until())
        found = number_from(answer, asked, "id")
        if found != schema.id:
            raise IncompatibleSchemaError(
                f"{answer.url}: {schema.subject} version {schema.version} got the id {found}, not {schema.id}: "
                "this registry does not take ids from elsewhere"
            )

    # --- asking --------------------------------------------------------------------------------------------------------

    def _register(self, subject: str, body: dict[str, object]) -> RegisteredSchema:
        asked = f"/subjects/{self._quoted(subject)}"
        until = self._connection.until()
        answer = self._post(f"{asked}/versions", body, subject, until)
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

    def _post(self, asked: str, body: dict[str, object], subject: str, until: float) -> Answer:
        try:
            answer = self._connection.ask("POST", asked, body, until=until)
        except orjson.JSONEncodeError as error:
            raise SchemaParseError(f"the schema for {subject!r} holds text that is no Unicode: {error}") from error
        if answer.status != 200:
            refuse_schema(self._connection, answer, asked, subject)
        return answer

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


def _body(schema_format: FormatName, text: str, references: Sequence[Reference]) -> dict[str, object]:
    body: dict[str, object] = {"schema": text}
    if schema_format != "avro":  # left out for Avro, as Confluent's clients do: the oldest registries know no other
        body["schemaType"] = SCHEMA_TYPES[schema_format]
    if references:
        body["references"] = [{"name": r.name, "subject": r.subject, "version": r.version} for r in references]
    return body


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
