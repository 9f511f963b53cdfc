"""What a route expects of whoever writes: the consumer's check, made while it runs, once for each schema that appears.

The contract is the same that the gate in CI holds proposals against: the reader schema, narrowed to what is read. So what a
producer was told in CI, and did all the same, is what a route pauses at.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias, TypeVar

from prismlib.contracts.check import make_finding
from prismlib.contracts.compatibility import differences, fails
from prismlib.contracts.consumers import Consumer, read_consumers
from prismlib.contracts.directory import DirectoryRegistry
from prismlib.contracts.drift import Break, SchemaDrift, SchemaName
from prismlib.contracts.format import Change, SchemaFormat, SchemaText
from prismlib.contracts.formats import load_format
from prismlib.contracts.registry import KeepsContracts, RegisteredSchema, Registry, resolve_references
from prismlib.contracts.rules import Difference
from prismlib.errors import (
    ConfigError,
    ContractError,
    RegistryUnavailableError,
    SchemaDriftError,
    SchemaNotFoundError,
    SchemaParseError,
)

log = logging.getLogger(__name__)

VERSIONS_TRIED: Final = 32
"""How far back a reader schema is looked for: a mistyped field must not parse a subject's whole history."""

T = TypeVar("T")
Project: TypeAlias = Callable[[SchemaFormat[Any], Any], str]
"""Makes the text of a contract from a format and a parsed reader schema."""


def choose_reader(
    registry: Registry,
    subject: str,
    fits: Callable[[RegisteredSchema], T],
    *,
    version: int | None = None,
    baseline: Sequence[int] = (),
    reads: frozenset[str] = frozenset(),
) -> tuple[RegisteredSchema, T]:
    """The version of a subject that shapes a route's rows.

    It is the one that the route names; else the newest that the route has read already and that has all that is read; else the
    newest one that has. So a version that broke something does not keep a worker from starting: it starts with what it can
    read, and meets the other version where records have it.

    Args:
        registry: where schemas come from.
        subject: of the route.
        fits: makes what is wanted of a version; raises ConfigError, or SchemaParseError, where it lacks what is read.
        version: what the route names.
        baseline: ids of schemas that were read already, as the ledger has them.
        reads: the fields that are read; where nothing is, no other version than the latest is looked for.

    Raises:
        ConfigError, SchemaParseError, SchemaNotFoundError: of the version that is named, or else of the latest.
        RegistryUnavailableError: the registry does not answer.
    """
    if version is not None:
        named = registry.version(subject, version)
        return named, fits(named)
    latest = registry.latest(subject)
    if not reads:
        return latest, fits(latest)
    if baseline and latest.id not in baseline:
        found = _newest_read(registry, subject, fits, baseline)
        if found is not None:
            return found
    try:
        return latest, fits(latest)
    except (ConfigError, SchemaParseError, SchemaNotFoundError) as error:
        for number in reversed(registry.versions(subject)[-VERSIONS_TRIED:]):
            older = registry.version(subject, number)
            made = None if older.id == latest.id else _fitting(fits, older)
            if made is not None:
                facts = {"subject": subject, "read_as": number, "latest": latest.version, "reason": str(error)}
                log.warning("the latest version lacks what is read; an older one is read, records decide", extra=facts)
                return older, made
        raise


def _newest_read(
    registry: Registry, subject: str, fits: Callable[[RegisteredSchema], T], baseline: Sequence[int]
) -> tuple[RegisteredSchema, T] | None:
    for number in reversed(registry.versions(subject)[-VERSIONS_TRIED:]):
        one = registry.version(subject, number)
        if one.id in baseline:
            made = _fitting(fits, one)
            if made is not None:
                return one, made
    return None


def _fitting(fits: Callable[[RegisteredSchema], T], registered: RegisteredSchema) -> T | None:
    try:
        return fits(registered)
    except (ConfigError, SchemaParseError, SchemaNotFoundError):
        return None  # whoever asks goes on to another version, and raises the error of the latest when none is left


def version_of(registry: Registry, subject: str, registered: RegisteredSchema) -> int | None:
    """Which version of a subject a schema is; None when it is none of them. Raises ContractError."""
    if registered.subject == subject:
        return registered.version
    for version in registry.versions(subject):
        if registry.version(subject, version).id == registered.id:
            return version
    return None


class Expectation:
    """What one route reads, and of which schema. Nothing is parsed before a schema has to be held against it."""

    def __init__(
        self,
        registry: Registry,
        reader: RegisteredSchema,
        reads: frozenset[str],
        *,
        consumer: str = "",
        project: Project | None = None,
    ) -> None:
        """Expect what is read of a schema.

        Args:
            registry: where schemas come from.
            reader: the schema that rows are shaped by.
            reads: the fields that are read; never empty.
            consumer: the pipeline, whose contract's waivers count here as they do in CI.
            project: makes the contract; None for what the format makes of ``reads``.
        """
        self._registry = registry
        self._reader = reader
        self._project: Project = project or (lambda fmt, parsed: fmt.project(parsed, reads))
        self._consumer = consumer
        self._newest = reader
        self._contract: Any = None

    @property
    def reader(self) -> RegisteredSchema:
        """The schema that rows are shaped by."""
        return self._reader

    def check(self, writer: RegisteredSchema) -> None:
        """See that a schema that appears for the first time still writes what is read, with the meaning that it is read with.

        What a writer lacks that is older than the reader was added since, and is what defaults are for. Only what would be taken
        for something else counts there, such as another unit of time.

        Raises:
            SchemaDriftError: it does not, or it could not be decided, which is no pass.
            SchemaParseError: it is no schema of its format.
            SchemaNotFoundError, RegistryUnavailableError: what it imports cannot be had now.
        """
        if writer.id != self._reader.id:
            version = version_of(self._registry, self._reader.subject, writer)
            fmt = load_format(writer.format)
            if version is not None and version < self._reader.version:
                self._hold_older(fmt, writer)
            else:
                self._hold(fmt, writer)
            if version is None or version < self._newest.version:
                return
        self._newest = writer

    def _hold(self, fmt: SchemaFormat[Any], writer: RegisteredSchema) -> None:
        parsed = fmt.parse(self._text(writer))
        try:
            found = [d for d in differences(fmt, self._made(fmt), parsed, "writer") if fails(fmt, d, "consumer")]
        except (RegistryUnavailableError, SchemaNotFoundError):
            raise
        except (ContractError, ConfigError) as error:
            raise SchemaDriftError(
                f"{_sentence(writer)} could not be held against what is read of {_sentence(self._reader)}: {error}; "
                f"when it is as it should be, set version = {writer.version} in the route's `decode`"
            ) from error
        counting = self._without_waived(fmt, found)
        if counting:
            raise self._drift(fmt, writer, parsed, counting, older=False)

    def _hold_older(self, fmt: SchemaFormat[Any], writer: RegisteredSchema) -> None:
        """What cannot be decided passes: it was released before what is read, and the decoder knows it."""
        if not any(rule.misreads for rule in fmt.rules.values()):
            return
        try:
            parsed = fmt.parse(self._text(writer))
            found = [d for d in differences(fmt, self._made(fmt), parsed, "reader") if fmt.rules[d.rule].misreads]
        except RegistryUnavailableError:
            raise
        except (ContractError, ConfigError) as error:
            facts = {"schema": _sentence(writer), "reason": str(error)}
            log.warning("an older schema could not be held against what is read", extra=facts)
            return
        counting = self._without_waived(fmt, found)
        if counting:
            raise self._drift(fmt, writer, parsed, counting, older=True)

    def _made(self, fmt: SchemaFormat[Any]) -> Any:
        if self._contract is None:
            text = self._project(fmt, fmt.parse(self._text(self._reader)))
            self._contract = fmt.parse(SchemaText(text, {}, f"what is read of {_sentence(self._reader)}"))
        return self._contract

    def _text(self, registered: RegisteredSchema) -> SchemaText:
        return SchemaText(registered.text, resolve_references(self._registry, registered), _sentence(registered))

    def _drift(
        self,
        fmt: SchemaFormat[Any],
        writer: RegisteredSchema,
        parsed: Any,
        found: Sequence[Difference],
        *,
        older: bool,
    ) -> SchemaDriftError:
        rules = [fmt.rules[one.rule] for one in found]
        drift = SchemaDrift(
            SchemaName.of(writer),
            SchemaName.of(self._newest),
            SchemaName.of(self._reader),
            [
                Break(f"{rule.id} {rule.name}", one.field, one.message, rule.instead)
                for one, rule in zip(found, rules, strict=True)
            ],
            self._changes(fmt, parsed),
            older=older,
        )
        if older:
            return SchemaDriftError(
                f"{_sentence(writer)} means something else by what is read of {_sentence(self._reader)}: {drift.sentence}; "
                f"set version = {writer.version} in the route's `decode` until its records are read",
                drift=drift,
            )
        return SchemaDriftError(
            f"{_sentence(writer)} does not write any more what is read of {_sentence(self._newest)}: {drift.sentence}; "
            "change the mapping so that it reads the new schema, or let the producer go back",
            drift=drift,
        )

    def _changes(self, fmt: SchemaFormat[Any], parsed: Any) -> Sequence[Change]:
        try:
            return fmt.changes(fmt.parse(self._text(self._newest)), parsed)
        except RegistryUnavailableError:
            raise
        except ContractError as error:
            log.warning("the report does not list what changed", extra={"reason": str(error)})
            return ()

    # --- waivers -------------------------------------------------------------------------------------------------------

    def _without_waived(self, fmt: SchemaFormat[Any], found: Sequence[Difference]) -> Sequence[Difference]:
        """What the consumer's own contract does not accept."""
        if not found or not self._consumer:
            return found
        today = datetime.now(UTC).date()
        try:
            contracts = self._contracts()
        except RegistryUnavailableError:
            raise
        except (ContractError, ConfigError) as error:
            # Somebody's contract is not in order: that must not hide what is known of the schema.
            log.warning("no waiver counts, the contracts cannot be read", extra={"reason": str(error)})
            return found
        waivers = [w for one in contracts for w in one.waivers if one.name == self._consumer and w.until >= today]
        return [
            one
            for one in found
            if not any(
                make_finding(fmt.rules[one.rule], one, "consumer reads new").covered_by(waiver) for waiver in waivers
            )
        ]

    def _contracts(self) -> Sequence[Consumer]:
        registry, subject = self._registry, self._reader.subject
        if isinstance(registry, KeepsContracts):
            return registry.consumers(subject)
        if isinstance(registry, DirectoryRegistry):
            return read_consumers(registry.folder(subject), registry.subject(subject))
        return ()


def _sentence(registered: RegisteredSchema) -> str:
    return f"subject {registered.subject} version {registered.version} (schema id {registered.id})"
