"""Copies released schemas from one registry into another, for instance from a folder into one over HTTP."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from prismlib.contracts.registry import RegisteredSchema, Registry, WritableRegistry
from prismlib.errors import ConfigError, ContractError, IncompatibleSchemaError, SchemaParseError


def publish(source: Registry, target: Registry | WritableRegistry, subjects: Iterable[str]) -> list[RegisteredSchema]:
    """Register every released version of some subjects, and of what they import.

    A version comes after all earlier ones of its subject, and after those that it imports, with theirs before them. What the
    target has already stays as it is, so that the same call again, or after a failure, changes nothing and goes on.

    Numbers are the target's: a subject that has other versions there gets the next ones, and references name the versions
    that their targets have there. Ids are the target's too; compatibility levels are not copied.

    Args:
        source: where schemas are released.
        target: where they are wanted as well; a WritableRegistry.
        subjects: which ones, in the order wanted where nothing else decides.

    Returns:
        What the target has now, in the order of registration.

    Raises:
        ContractError: versions import each other in a circle, or the target cannot keep the order of a subject's versions.
        SchemaNotFoundError: the source has no such subject, or not what one imports.
        SchemaParseError, IncompatibleSchemaError, RegistryUnavailableError: as of ``register``; the message names the version.
        ConfigError: the source is not in order, or the target cannot be written.
    """
    if not isinstance(target, WritableRegistry):
        raise ConfigError(f"{target!r} takes no schemas; name a registry over HTTP, for instance in PRISM_REGISTRY_URL")
    published: dict[tuple[str, int], RegisteredSchema] = {}
    newest: dict[str, int] = {}
    for schema in in_order(source, subjects):
        references = [replace(one, version=published[one.subject, one.version].version) for one in schema.references]
        where = f"subject {schema.subject} version {schema.version}"
        try:
            found = target.register(schema.subject, schema.format, schema.text, references)
        except (IncompatibleSchemaError, SchemaParseError) as error:
            raise type(error)(f"{where}: {error}") from error
        if found.version <= newest.get(schema.subject, 0):
            raise ContractError(
                f"{where}: the target keeps each schema once in a subject, and has this one as version {found.version}, before "
                f"version {newest[schema.subject]}, which must come earlier: give it a text of its own, by a comment or a doc"
            )
        newest[schema.subject] = found.version
        published[schema.subject, schema.version] = found
    return list(published.values())


def in_order(source: Registry, subjects: Iterable[str]) -> Iterator[RegisteredSchema]:
    """Every released version of some subjects, and of what they import, each once, after what must be there before it.

    Raises:
        ContractError: versions import each other in a circle.
        SchemaNotFoundError: the source has no such subject, or not what one imports.
        RegistryUnavailableError: the source does not answer.
    """
    return _InOrder(source).all(subjects)


class _InOrder:
    def __init__(self, source: Registry) -> None:
        self._source = source
        self._versions: dict[str, Sequence[int]] = {}
        self._done: set[tuple[str, int]] = set()

    def all(self, subjects: Iterable[str]) -> Iterator[RegisteredSchema]:
        for subject in subjects:
            yield from self._until(subject, self._released(subject)[-1], ())

    def _until(self, subject: str, last: int, importing: tuple[tuple[str, int], ...]) -> Iterator[RegisteredSchema]:
        """The versions of a subject up to ``last`` that were not given yet, each after those that it imports."""
        for version in sorted({*(one for one in self._released(subject) if one < last), last}):
            one = (subject, version)
            if one in self._done:
                continue
            path = (*importing, one)
            if one in importing:
                circle = ", which needs ".join(f"{name} version {number}" for name, number in path[path.index(one) :])
                raise ContractError(
                    f"no order is possible: {circle}; a version needs what it imports and all before it"
                )
            schema = self._source.version(subject, version)
            for reference in schema.references:
                yield from self._until(reference.subject, reference.version, path)
            self._done.add(one)
            yield schema

    def _released(self, subject: str) -> Sequence[int]:
        if subject not in self._versions:
            self._versions[subject] = self._source.versions(subject)
        return self._versions[subject]
