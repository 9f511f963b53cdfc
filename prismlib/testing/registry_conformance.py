"""Conformance of schema registries. Needs pytest.

class TestMyRegistry(RegistryConformance):
@pytest.fixture
def harness(self) -> RegistryHarness:
return MyHarness()
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from threading import Barrier
from typing import Protocol

import pytest

from prismlib.contracts.registry import Reference, RegisteredSchema, Registry, WritableRegistry
from prismlib.errors import (
    IncompatibleSchemaError,
    PrismError,
    RegistryUnavailableError,
    SchemaNotFoundError,
    SchemaParseError,
)
from prismlib.testing.clauses import proves, require


@dataclass(frozen=True, slots=True)
class Release:
    """An Avro schema to be released.

    Attributes:
        subject: which gets it as its newest version.
        text: the schema.
        references: what it imports; released before.
    """

    subject: str
    text: str
    references: tuple[Reference, ...] = ()


class RegistryHarness(Protocol):
    """What a plugin author supplies. One harness serves one test."""

    def make_registry(self) -> Registry:
        """A registry that was not asked anything yet, over the same schemas as all others of this harness."""
        ...

    def subject(self, name: str) -> str:
        """A subject without versions, the same one for the same name; names sort like the subjects."""
        ...

    def release(self, release: Release) -> None:
        """Release an Avro schema as somebody else would: not through a registry that this harness made."""
        ...

    def away(self) -> AbstractContextManager[None]:
        """The registry does not answer until the block ends."""
        ...


class WritableRegistryHarness(RegistryHarness, Protocol):
    """The same for a registry with ``register``."""

    def keep_backward(self, subject: str) -> bool:
        """Set the subject's compatibility level to BACKWARD; False where there are no levels."""
        ...


class RegistryConformance:
    """Every clause of :class:`prismlib.contracts.registry.Registry`."""

    @proves("REG-01")
    def test_reg_01_an_id_leads_to_the_schema_that_was_released(self, harness: RegistryHarness) -> None:
        registry, imported, importing = _release_two(harness)
        for release in (imported, importing):
            latest = registry.latest(release.subject)
            found = harness.make_registry().by_id(latest.id)
            _require_same(found, release, latest.id)
            if (found.subject, found.version) != ("", 0):
                named = registry.version(found.subject, found.version)
                require(
                    named.id == latest.id,
                    f"id {latest.id} names {found.subject} version {found.version}, whose id is {named.id}",
                )

    @proves("REG-02")
    def test_reg_02_the_latest_is_the_newest(self, harness: RegistryHarness) -> None:
        registry, subject = harness.make_registry(), harness.subject("s")
        for number in (1, 2, 3):
            release = Release(subject, _record(number))
            harness.release(release)
            latest = registry.latest(subject)
            _require_same(latest, release)
            where = (latest.subject, latest.version)
            require(where == (subject, number), f"{subject} version {number} was released, and the latest is {where}")

    @proves("REG-03")
    def test_reg_03_a_version_stays_the_same(self, harness: RegistryHarness) -> None:
        registry, subject = harness.make_registry(), harness.subject("s")
        releases = [Release(subject, _record(number)) for number in (1, 2)]
        harness.release(releases[0])
        first = registry.version(subject, 1)
        harness.release(releases[1])
        for one in (registry, harness.make_registry()):
            again = one.version(subject, 1)
            require(first == again, f"version 1 was {first}, and is {again} since version 2 was released")
            _require_same(again, releases[0])
            _require_same(one.version(subject, 2), releases[1])

    @proves("REG-04")
    def test_reg_04_versions_and_subjects_are_in_order_and_complete(self, harness: RegistryHarness) -> None:
        registry = harness.make_registry()
        names = [harness.subject(name) for name in ("b", "a", "c")]
        for count, subject in enumerate(names, 1):
            for number in range(1, count + 1):
                harness.release(Release(subject, _record(number)))
                found = list(registry.versions(subject))
                require(
                    found == list(range(1, number + 1)), f"{number} versions were released, and versions says {found}"
                )
            subjects = registry.subjects()
            mine = [one for one in subjects if one in names]
            require(mine == sorted(names[:count]), f"released were {names[:count]}, and subjects says {mine}")
            require(list(subjects) == sorted(subjects), f"subjects are not sorted: {subjects}")

    @proves("REG-05")
    def test_reg_05_what_there_is_not_is_not_found_until_it_is_released(self, harness: RegistryHarness) -> None:
        registry, subject = harness.make_registry(), harness.subject("s")
        questions: list[tuple[str, Callable[[], object]]] = [
            ("latest", lambda: registry.latest(subject)),
            ("version 1", lambda: registry.version(subject, 1)),
            ("versions", lambda: registry.versions(subject)),
        ]
        for name, ask in questions:
            _require_raises(SchemaNotFoundError, name, ask)
        harness.release(Release(subject, _record(1)))
        for _, ask in questions:
            ask()
        for number in (0, -1, 2):
            _require_raises(SchemaNotFoundError, f"version {number}", partial(registry.version, subject, number))
        for schema_id in (2**31 - 1, 2**32 - 1, -1):
            _require_raises(SchemaNotFoundError, f"id {schema_id}", partial(registry.by_id, schema_id))

    @proves("REG-06")
    def test_reg_06_away_is_not_the_same_as_not_there(self, harness: RegistryHarness) -> None:
        subject = harness.subject("s")
        harness.release(Release(subject, _record(1)))
        known, registry = harness.make_registry().latest(subject), harness.make_registry()
        with harness.away():
            for name, ask in (
                ("by_id", lambda: registry.by_id(known.id)),
                ("latest", lambda: registry.latest(subject)),
                ("version", lambda: registry.version(subject, 1)),
                ("versions", lambda: registry.versions(subject)),
                ("subjects", registry.subjects),
            ):
                _require_raises(RegistryUnavailableError, f"{name} of a registry that is away", ask)
        _require_same(registry.by_id(known.id), Release(subject, _record(1)))
        require(registry.latest(subject) == known, f"the latest was {known}, and is {registry.latest(subject)} since")

    @proves("REG-07")
    def test_reg_07_threads_get_the_same_answers(self, harness: RegistryHarness) -> None:
        subject = harness.subject("s")
        for number in range(1, 9):
            harness.release(Release(subject, _record(number)))
        alone = harness.make_registry()
        expected = [alone.by_id(alone.version(subject, number).id) for number in range(1, 9)]
        shared, together = harness.make_registry(), Barrier(8)

        def ask(start: int) -> list[RegisteredSchema]:
            together.wait(10)
            numbers = itertools.chain(range(start, 8), range(start))
            found = {number: shared.by_id(shared.version(subject, number + 1).id) for number in numbers}
            return [found[number] for number in range(8)]

        with ThreadPoolExecutor(8) as threads:
            for found in threads.map(ask, range(8)):
                require(found == expected, f"one thread got {expected}, one of several {found}")


class WritableRegistryConformance:
    """Every clause of :class:`prismlib.contracts.registry.WritableRegistry`."""

    @proves("REW-01")
    def test_rew_01_what_is_registered_is_the_newest_and_is_found(self, harness: WritableRegistryHarness) -> None:
        registry, subject = _writable(harness), harness.subject("s")
        for number in (1, 2):
            registered = registry.register(subject, "avro", _record(number))
            _require_same(registered, Release(subject, _record(number)))
            require(registered.version == number, f"the version registered as number {number} is {registered.version}")
            other = harness.make_registry()
            require(
                other.latest(subject) == registered,
                f"{registered} was registered, and the latest is {other.latest(subject)}",
            )
            _require_same(other.by_id(registered.id), Release(subject, _record(number)), registered.id)
        outer = harness.subject("t")
        references = (Reference("Inner", subject, 1),)
        registered = registry.register(outer, "avro", _IMPORTING, references)
        _require_same(registered, Release(outer, _IMPORTING, references))

    @proves("REW-02")
    def test_rew_02_what_is_there_is_returned_as_it_is(self, harness: WritableRegistryHarness) -> None:
        registry, subject = _writable(harness), harness.subject("s")
        first = registry.register(subject, "avro", _record(1))
        registry.register(subject, "avro", _record(2))
        for one in (registry, _writable(harness)):
            again = one.register(subject, "avro", _record(1))
            require(again == first, f"it was {first}, and registered again it is {again}")
            versions = list(harness.make_registry().versions(subject))
            require(versions == [1, 2], f"two schemas were registered, one of them again, and versions says {versions}")

    @proves("REW-03")
    def test_rew_03_what_is_no_schema_is_refused(self, harness: WritableRegistryHarness) -> None:
        registry, subject = _writable(harness), harness.subject("s")
        nowhere = (Reference("Inner", harness.subject("nowhere"), 1),)
        for name, text, references in (
            ("text that is no JSON", "record Inner", ()),
            ("a record without fields", '{"type": "record", "name": "Inner"}', ()),
            ("what imports an unknown subject", _IMPORTING, nowhere),
        ):
            _require_raises(SchemaParseError, name, partial(registry.register, subject, "avro", text, references))
        _require_raises(
            SchemaNotFoundError, "versions, after refusals only", partial(harness.make_registry().versions, subject)
        )

    @proves("REW-04")
    def test_rew_04_what_the_level_forbids_is_refused(self, harness: WritableRegistryHarness) -> None:
        registry, subject = _writable(harness), harness.subject("s")
        registry.register(subject, "avro", _record(1))
        if not harness.keep_backward(subject):
            pytest.skip("the registry has no compatibility levels")
        breaking = json.dumps({"type": "record", "name": "Inner", "fields": [{"name": "new", "type": "string"}]})
        _require_raises(
            IncompatibleSchemaError, "a field without default", lambda: registry.register(subject, "avro", breaking)
        )
        versions = list(harness.make_registry().versions(subject))
        require(versions == [1], f"the second version was refused, and versions says {versions}")


_IMPORTING = '{"type": "record", "name": "Outer", "fields": [{"name": "inner", "type": "Inner"}]}'


def _record(number: int) -> str:
    """A record whose versions are compatible in every direction, and differ."""
    fields = [{"name": f"field_{one}", "type": "int", "default": 0} for one in range(number)]
    return json.dumps({"type": "record", "name": "Inner", "fields": fields})


def _release_two(harness: RegistryHarness) -> tuple[Registry, Release, Release]:
    imported = Release(harness.subject("a"), _record(1))
    importing = Release(harness.subject("b"), _IMPORTING, (Reference("Inner", imported.subject, 1),))
    harness.release(imported)
    harness.release(importing)
    return harness.make_registry(), imported, importing


def _writable(harness: WritableRegistryHarness) -> WritableRegistry:
    registry: object = harness.make_registry()
    if not isinstance(registry, WritableRegistry):
        raise AssertionError(f"{type(registry).__name__} has no `register`")  # noqa: TRY004  # the clause is what fails
    return registry


def _require_same(found: RegisteredSchema, release: Release, schema_id: int | None = None) -> None:
    """The text may be written in another way, as long as it is the same JSON."""
    require(schema_id in {None, found.id}, f"id {schema_id} was asked for, and {found.id} is answered")
    require(found.format == "avro", f"an Avro schema was released, and its format is {found.format!r}")
    same = json.loads(found.text) == json.loads(release.text)
    require(same, f"released was {release.text}, and found is {found.text}")
    references = tuple(found.references)
    require(references == release.references, f"it imports {release.references}, and found is {references}")


def _require_raises(wanted: type[PrismError], what: str, ask: Callable[[], object]) -> None:
    try:
        found = ask()
    except wanted:
        return
    except Exception as error:  # a stranger's registry can raise anything; it is what the clause is about
        raise AssertionError(f"{what} raised {type(error).__name__} and not {wanted.__name__}: {error}") from error
    raise AssertionError(f"{what} raised no {wanted.__name__}; found is {found!r}")
