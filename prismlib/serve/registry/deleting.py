"""Soft and permanent deletion, as Confluent's registry does both: first the one, then the other."""

from __future__ import annotations

from prismlib.serve.problems import Problem
from prismlib.serve.registry.problems import (
    REFERENCE_EXISTS,
    SUBJECT_NOT_SOFT_DELETED,
    SUBJECT_SOFT_DELETED,
    VERSION_NOT_SOFT_DELETED,
    VERSION_SOFT_DELETED,
    no_subject,
    no_version,
)
from prismlib.serve.registry.store import Store


def delete_subject(store: Store, subject: str, *, permanent: bool) -> list[int]:
    """Delete all versions of a subject; returns their numbers. Raises Problem."""
    with store.writing():
        alive = store.versions(subject)
        everything = store.versions(subject, deleted=True)
        if not everything:
            raise no_subject(subject)
        if permanent and alive:
            raise Problem(
                SUBJECT_NOT_SOFT_DELETED,
                f"Subject '{subject}' was not deleted first before being permanently deleted.",
            )
        if not permanent and not alive:
            raise Problem(
                SUBJECT_SOFT_DELETED,
                f"Subject '{subject}' was soft deleted. Set permanent=true to delete permanently.",
            )
        gone = everything if permanent else alive
        for one in gone:
            _require_unreferenced(store, subject, one.version, permanent=permanent)
        for one in gone:
            if permanent:
                store.delete_permanently(subject, one.version)
            else:
                store.delete_softly(subject, one.version)
        store.set_level(subject, None)
        store.set_mode(subject, None)
        return [one.version for one in gone]


def delete_version(store: Store, subject: str, version: int | None, *, permanent: bool) -> int:
    """Delete one version, or the latest; returns its number. Raises Problem."""
    with store.writing():
        newest = store.latest(subject, deleted=permanent)
        if newest is None and store.latest(subject, deleted=True) is None:
            raise no_subject(subject)
        number = version if version is not None else newest.version if newest else 0
        found = store.version(subject, number, deleted=True)
        if found is None:
            raise no_version(subject, number)
        if permanent and not found.deleted:
            raise Problem(
                VERSION_NOT_SOFT_DELETED,
                f"Subject '{subject}' Version {number} was not deleted first before being permanently deleted.",
            )
        if found.deleted and not permanent:
            raise Problem(
                VERSION_SOFT_DELETED,
                f"Subject '{subject}' Version {number} was soft deleted. Set permanent=true to delete permanently.",
            )
        _require_unreferenced(store, subject, number, permanent=permanent)
        if permanent:
            store.delete_permanently(subject, number)
        else:
            store.delete_softly(subject, number)
        return number


def _require_unreferenced(store: Store, subject: str, version: int, *, permanent: bool) -> None:
    """What is softly deleted can still be read by id, with all that it imports; so its imports stay as long."""
    importing = store.referenced_by(subject, version, deleted=permanent)
    if importing:
        ids = ", ".join(map(str, importing[:10]))
        raise Problem(
            REFERENCE_EXISTS,
            f"One or more references exist to subject '{subject}' version {version}: from the schemas with the ids {ids}.",
        )
