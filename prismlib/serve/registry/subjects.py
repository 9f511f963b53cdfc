"""What may happen to subjects: registering, looking up, comparing, importing, deleting."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from prismlib.contracts.check import Proposal, Question, Version
from prismlib.contracts.compatibility import MODES
from prismlib.contracts.consumers import INFIX, Consumer
from prismlib.contracts.fingerprint import canonical
from prismlib.contracts.format import SchemaText
from prismlib.contracts.gate import imports_of
from prismlib.contracts.published import from_published, read_by
from prismlib.contracts.registry import SCHEMA_TYPES, FormatName, Reference, RegisteredSchema
from prismlib.contracts.subject import Compatibility, Subject
from prismlib.errors import ContractError, SchemaNotFoundError
from prismlib.serve.problems import Problem
from prismlib.serve.registry.judge import BusyError, Judges
from prismlib.serve.registry.judging import Verdict, form_of
from prismlib.serve.registry.problems import (
    BUSY,
    ID_TAKEN,
    INCOMPATIBLE,
    INVALID_SCHEMA,
    NOT_PERMITTED,
    SCHEMA_NOT_FOUND,
    no_subject,
)
from prismlib.serve.registry.schemas import NewSchema, Stored
from prismlib.serve.registry.store import Store

DEFAULT_LEVEL: Final[Compatibility] = "BACKWARD"
DEFAULT_MODE: Final = "READWRITE"
IMPORT: Final = "IMPORT"
ATTEMPTS: Final = 20
_LOCKS: Final = 64


@dataclass(frozen=True, slots=True)
class Incoming:
    """A schema as a client sends it.

    Attributes:
        format: of the schema.
        text: of the schema.
        references: what it imports, directly.
        metadata: JSON; None where none is given.
        id: what it shall have; for imports only.
        version: likewise.
        guid: likewise.
    """

    format: FormatName
    text: str
    references: tuple[Reference, ...] = ()
    metadata: Mapping[str, Any] | None = None
    id: int | None = None
    version: int | None = None
    guid: str | None = None

    def content(self) -> NewSchema:
        """What makes it the same as another one. Raises SchemaParseError."""
        content = _digest(self.format, canonical(self.format, self.text, self.references))
        new = NewSchema(self.format, self.text, self.references, self.metadata, content, content)
        return replace(new, fingerprint=_digest(content.hex(), new.metadata_text)) if new.metadata_text else new


@dataclass(frozen=True, slots=True)
class _State:
    """What a judgement is made from. Equal states get equal judgements."""

    mode: str
    level: Compatibility
    versions: Sequence[Stored]
    contracts: Sequence[Stored]


class Subjects:
    """The rules of the registry. May be used by several threads."""

    def __init__(self, store: Store, judges: Judges, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._judges = judges
        self._clock = clock
        # So that parallel registrations of one subject are judged once each, one after the other.
        self._locks = [threading.Lock() for _ in range(_LOCKS)]

    def level(self, subject: str) -> Compatibility:
        """The level that counts. A contract's versions follow their consumer, and owe nothing to one another."""
        default = "NONE" if read_by(subject) else self._store.level("") or DEFAULT_LEVEL
        level = self._store.level(subject) or default
        return level if level in MODES else DEFAULT_LEVEL

    def mode(self, subject: str) -> str:
        """The mode that counts."""
        return self._store.mode(subject) or self._store.mode("") or DEFAULT_MODE

    def register(self, subject: str, incoming: Incoming) -> Stored:
        """Make a schema the newest version of a subject; one that is there already is returned as it is.

        Raises:
            Problem: it is refused.
        """
        new = _content(incoming)
        known = None if incoming.id or incoming.version else self._store.with_content(subject, new)
        if known is not None:
            return known
        try:
            with self._judges.admitted(), self._locks[hash(subject) % _LOCKS]:
                new = self._with_form(incoming, new)
                known = None if incoming.id or incoming.version else self._store.with_content(subject, new)
                if known is not None:
                    return known
                for _ in range(ATTEMPTS):
                    state = self._state(subject)
                    self._judged(subject, incoming, state)
                    registered = self._add(subject, incoming, new, state)
                    if registered is not None:
                        return registered
        except BusyError:
            pass
        raise _busy()

    def lookup(self, subject: str, incoming: Incoming, *, deleted: bool) -> Stored:
        """The version of a subject that has this schema. Raises Problem."""
        new = _content(incoming)
        found = self._store.with_content(subject, new, deleted=deleted)
        if found is not None:
            return found
        try:
            with self._judges.admitted():
                new = self._with_form(incoming, new)
        except BusyError:
            raise _busy() from None
        found = self._store.with_content(subject, new, deleted=deleted)
        if found is not None:
            return found
        if self._store.latest(subject, deleted=deleted) is None:
            raise no_subject(subject)
        raise Problem(SCHEMA_NOT_FOUND, f"Schema not found in subject '{subject}'.")

    def compare(self, subject: str, incoming: Incoming, version: Stored | None = None) -> Verdict:
        """Whether a schema might be registered now.

        Args:
            subject: for which.
            incoming: the schema.
            version: the one to compare with; None for those that the level names.

        Raises:
            Problem: it is no schema, or nobody is free to compare.
        """
        _content(incoming)
        state = self._state(subject)
        against = state.versions if version is None else [version]
        try:
            with self._judges.admitted():
                verdict = self._ask(subject, incoming, state, against)
        except BusyError:
            raise _busy() from None
        if verdict.kind == "invalid":
            raise Problem(INVALID_SCHEMA, "; ".join(verdict.messages))
        return verdict

    def _with_form(self, incoming: Incoming, new: NewSchema) -> NewSchema:
        """With the hash of its serialized form, where there is one; whether it is a schema at all is judged elsewhere."""
        try:
            schema = SchemaText(incoming.text, self._imports(incoming.references), "the schema")
            form = self._judges.run(form_of, incoming.format, schema)
        except (ContractError, RecursionError):
            return new
        if form is None:
            return new
        references = sorted(f"{one.name}\t{one.subject}\t{one.version}" for one in incoming.references)
        return replace(new, form=_digest(incoming.format, form, *references))

    def serialized(self, one: Stored) -> Stored:
        """The same with its text in the form that ``format=serialized`` asks for. Raises Problem."""
        schema = SchemaText(one.text, self._imports(one.references, deleted=True), "the schema")
        try:
            with self._judges.admitted():
                return replace(one, text=self._judges.run(form_of, one.format, schema) or one.text)
        except BusyError:
            raise _busy() from None
        except ContractError as error:
            raise Problem(INVALID_SCHEMA, str(error)) from None

    # --- judging -------------------------------------------------------------------------------------------------------

    def _state(self, subject: str) -> _State:
        store = self._store
        with store.reading():
            contracts = [store.latest(name) for name in store.subjects(f"{subject}{INFIX}")]
            return _State(
                self.mode(subject),
                self.level(subject),
                store.versions(subject),
                [one for one in contracts if one is not None],
            )

    def _judged(self, subject: str, incoming: Incoming, state: _State) -> None:
        """Raises Problem when it may not be registered."""
        if state.mode not in {DEFAULT_MODE, IMPORT}:
            raise Problem(NOT_PERMITTED, f"Subject '{subject}' is in {state.mode} mode.")
        if (incoming.id or incoming.version) and state.mode != IMPORT:
            raise Problem(
                NOT_PERMITTED, f"Subject '{subject}' is not in IMPORT mode: id and version are given by the registry."
            )
        importing = state.mode == IMPORT
        # What another registry released is a fact, whatever came before it there.
        verdict = (
            self._ask(subject, incoming, _State(IMPORT, "NONE", (), ()), ())
            if importing
            else self._ask(subject, incoming, state, state.versions)
        )
        why = "; ".join(verdict.messages)
        if verdict.kind == "invalid":
            raise Problem(INVALID_SCHEMA, why)
        if verdict.kind == "undecided":
            raise Problem(
                INCOMPATIBLE, f"Schema for subject '{subject}' is refused, for it could not be decided: {why}"
            )
        if verdict.kind == "incompatible":
            raise Problem(
                INCOMPATIBLE,
                f"Schema being registered is incompatible with an earlier schema or a consumer of subject '{subject}' "
                f"(level {state.level}): {why}",
            )

    def _ask(self, subject: str, incoming: Incoming, state: _State, against: Sequence[Stored]) -> Verdict:
        other = next((one.format for one in against[-1:] if one.format != incoming.format), None)
        if other is not None and state.level != "NONE":
            return Verdict("incompatible", [_other_format(incoming.format, other)])
        self._check_contract(subject, incoming)
        # The latest counts for consumers too: what it broke already is not the new one's fault.
        looked_at = against if MODES[state.level].transitive else against[-1:]
        compared = [one for one in looked_at if one.format == incoming.format]
        try:
            consumers = self._consumers(subject, state.contracts)
            odd = next((one for one in state.contracts if one.format != incoming.format), None)
            if odd is not None:
                return Verdict(
                    "incompatible",
                    [f"{odd.subject}: {_other_format(incoming.format, odd.format)}; its consumer breaks"],
                )
            proposal = SchemaText(incoming.text, self._imports(incoming.references), "the schema")
            versions = [
                Version(
                    one.version,
                    SchemaText(
                        one.text, self._imports(one.references, deleted=True), f"{subject} version {one.version}"
                    ),
                )
                for one in compared
            ]
        except RecursionError:
            return Verdict("invalid", ["its references are nested too deeply"])
        except SchemaNotFoundError as error:
            return Verdict("invalid", [str(error)])
        except ContractError as error:
            return Verdict("undecided", [str(error)])
        question = Question(
            Subject(subject, incoming.format, state.level, owner="", contact=""),
            versions,
            Proposal(proposal, ""),
            consumers,
        )
        return self._judges.ask(question, datetime.fromtimestamp(self._clock(), UTC))

    def _check_contract(self, subject: str, incoming: Incoming) -> None:
        """A contract that nobody could read would block its subject for ever. Raises Problem."""
        about = read_by(subject)
        if about is None:
            return
        try:
            from_published(about, subject, incoming.format, incoming.text, _properties(incoming.metadata))
        except ContractError as error:
            raise Problem(INVALID_SCHEMA, str(error)) from None
        latest = self._store.latest(about)
        if latest is not None and latest.format != incoming.format:
            raise Problem(INVALID_SCHEMA, f"{subject}: {_other_format(incoming.format, latest.format)}")

    def _consumers(self, subject: str, contracts: Sequence[Stored]) -> list[Consumer]:
        seen: dict[str, int] = {}
        for usage in self._store.usage(subject):
            seen[usage.consumer] = max(usage.at_ms, seen.get(usage.consumer, 0))
        found = []
        for one in contracts:
            consumer = from_published(subject, one.subject, one.format, one.text, _properties(one.metadata))
            found.append(consumer.read_at(seen.get(consumer.name)))
        return found

    def _imports(self, references: Sequence[Reference], *, deleted: bool = False) -> Mapping[str, str]:
        return imports_of(_Known(self._store, deleted=deleted), references)

    # --- writing -------------------------------------------------------------------------------------------------------

    def _add(self, subject: str, incoming: Incoming, new: NewSchema, judged: _State) -> Stored | None:
        """The new version; None when things have changed since the judgement, so that it counts no more."""
        store = self._store
        with store.writing():
            if self._state(subject) != judged:
                return None
            known = store.with_content(subject, new)
            if known is not None and incoming.version in {None, known.version} and incoming.id in {None, known.id}:
                return known
            version = incoming.version or store.last_number(subject) + 1
            schema_id = self._id(incoming, new)
            there = store.version(subject, version, deleted=True)
            if there is not None:
                if there.id == schema_id:
                    return there
                raise Problem(
                    ID_TAKEN,
                    f"Version {version} of subject '{subject}' is there already with another schema, of id {there.id}.",
                )
            store.add_version(subject, version, schema_id, round(self._clock() * 1000))
            registered = store.version(subject, version)
        if registered is None:
            raise AssertionError("a version is there that was added just now")
        return registered

    def _id(self, incoming: Incoming, new: NewSchema) -> int:
        """The id of a schema, which is kept now. Raises Problem when the one that it shall have is not free."""
        store = self._store
        same = store.same(new)
        if incoming.id is None:
            return same.id if same else store.add_schema(new)
        if same is not None and same.id == incoming.id:
            return same.id
        if same is not None:
            raise Problem(ID_TAKEN, f"This schema has the id {same.id} here, and cannot get {incoming.id} as well.")
        other = store.by_id(incoming.id)
        if other is not None:
            uses = ", ".join(f"{name} version {number}" for name, number in store.uses(other.id, deleted=True)[:3])
            raise Problem(ID_TAKEN, f"The id {incoming.id} belongs to another schema here: {uses}.")
        guid = incoming.guid if incoming.guid and store.by_guid(incoming.guid) is None else None
        return store.add_schema(new, incoming.id, guid)


class _Known:
    """The store, as what resolves references wants it."""

    def __init__(self, store: Store, *, deleted: bool) -> None:
        self._store = store
        self._deleted = deleted

    def version(self, subject: str, version: int) -> RegisteredSchema:
        found = self._store.version(subject, version, deleted=self._deleted)
        if found is None:
            raise SchemaNotFoundError(f"it imports version {version} of the subject {subject!r}, which is not there")
        return RegisteredSchema(found.id, subject, version, found.format, found.text, found.references)


def _digest(*parts: str) -> bytes:
    return hashlib.sha256("\n".join(parts).encode()).digest()


def _content(incoming: Incoming) -> NewSchema:
    try:
        return incoming.content()
    except ContractError as error:
        raise Problem(INVALID_SCHEMA, str(error)) from None


def _properties(metadata: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    properties = (metadata or {}).get("properties")
    return properties if isinstance(properties, Mapping) else None


def _other_format(new: FormatName, old: FormatName) -> str:
    return f"the schema is of the type {SCHEMA_TYPES[new]}, and the subject of {SCHEMA_TYPES[old]}"


def _busy() -> Problem:
    return Problem(BUSY, "Too many schemas are being compared; ask again in a second.")
