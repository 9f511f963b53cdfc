"""Copies versions from one registry into another as they are: ids, versions, references, metadata and levels."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypeAlias

from prismlib.contracts.fingerprint import canonical
from prismlib.contracts.publish import in_order
from prismlib.contracts.registry import (
    Details,
    KeepsLevels,
    KnowsDetails,
    RegisteredSchema,
    Registry,
    TakesImports,
)
from prismlib.errors import IncompatibleSchemaError, SchemaNotFoundError, SchemaParseError

State: TypeAlias = Literal["to import", "imported", "there", "clash", "refused"]


class Target(Registry, KeepsLevels, TakesImports, Protocol):
    """A registry that versions can be put into."""


@dataclass(frozen=True, slots=True)
class Imported:
    """One version, and what becomes of it.

    Attributes:
        schema: as the source has it.
        state: ``there``: the target has it already; ``clash``: its id or version is another schema's there; ``refused``:
            the target takes it for no schema.
        problem: why, for the last two; "" otherwise.
    """

    schema: RegisteredSchema
    state: State
    problem: str = ""


def plan_import(source: Registry, target: Target, subjects: Iterable[str]) -> Iterator[Imported]:
    """What an import would do, in its order; nothing is changed.

    Raises:
        ContractError: as :func:`prismlib.contracts.publish.in_order`, for either registry.
    """
    for schema in in_order(source, subjects):
        problem = _clash(schema, target)
        there = problem is None
        yield Imported(schema, "there" if there else "clash" if problem else "to import", problem or "")


def carry_out(source: Registry, target: Target, plan: Iterable[Imported]) -> Iterator[Imported]:
    """Import what is to be imported; afterwards give each subject the level that counts for it in the source.

    While versions of a subject are put in, the target takes no others for it. Cut off in the middle, the same call again goes
    on, and ends that state of the subject that it was cut off at.

    Raises:
        RegistryUnavailableError: either registry does not answer, or the target does not allow it.
    """
    subjects: set[str] = set()
    for subject, group in itertools.groupby(plan, key=lambda one: one.schema.subject):
        subjects.add(subject)
        versions = list(group)
        if not any(one.state == "to import" for one in versions):
            yield from versions
            continue
        with target.importing(subject):
            for one in versions:
                yield _put(source, target, one) if one.state == "to import" else one
    if isinstance(source, KeepsLevels):
        for subject in sorted(subjects):
            level = source.compatibility(subject)
            if target.compatibility(subject) != level:
                target.set_compatibility(subject, level)


def _put(source: Registry, target: Target, one: Imported) -> Imported:
    schema = one.schema
    details = source.details(schema.subject, schema.version) if isinstance(source, KnowsDetails) else Details()
    try:
        target.put(schema, details)
    except IncompatibleSchemaError as error:
        return replace(one, state="clash", problem=str(error))
    except SchemaParseError as error:
        return replace(one, state="refused", problem=str(error))
    return replace(one, state="imported")


def _clash(schema: RegisteredSchema, target: Target) -> str | None:
    """Why it cannot be imported; "" where nothing is in the way, None where it is there already."""
    try:
        there = target.version(schema.subject, schema.version)
    except SchemaNotFoundError:
        there = None
    if there is not None:
        if there.id == schema.id and _same(there, schema):
            return None
        return f"version {schema.version} is there already with another schema, of id {there.id}"
    try:
        other = target.by_id(schema.id)
    except SchemaNotFoundError:
        return ""
    if _same(other, schema):
        return ""
    named = f"{other.subject} version {other.version}" if other.subject else "another schema"
    return f"the id {schema.id} belongs to {named} there"


def _same(one: RegisteredSchema, other: RegisteredSchema) -> bool:
    if one.format != other.format:
        return False
    forms = [canonical(s.format, s.text, s.references, f"id {s.id}") for s in (one, other)]
    return forms[0] == forms[1]
