"""Names and places in the JSON of a schema, before anything is known to be sound."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypeAlias

DEFINITIONS: Final = frozenset({"record", "error", "enum", "fixed"})
"""The types that have names of their own; ``error`` is a record."""

At: TypeAlias = "tuple[At, str | int] | None"
"""Where in a text: the place that holds it, and the key or index there; None for the whole text."""


def keys_of(at: At) -> list[str | int]:
    """The keys and indexes that lead to a place."""
    keys: list[str | int] = []
    while at is not None:
        at, key = at
        keys.append(key)
    keys.reverse()
    return keys


def defines(schema: Any) -> bool:
    """Whether this is the definition of a named type."""
    if not isinstance(schema, dict) or not isinstance(schema.get("name"), str):
        return False
    kind = schema.get("type")
    return isinstance(kind, str) and kind in DEFINITIONS


def full_name(schema: dict[str, Any], space: str) -> tuple[str, str]:
    """The namespace of a definition, which the types in it inherit, and its name with the namespace.

    Args:
        schema: the definition.
        space: the namespace around it, "" for none.
    """
    name: str = schema["name"]
    if "." in name:
        space, _, name = name.rpartition(".")
    elif isinstance(schema.get("namespace"), str):
        space = schema["namespace"]
    return space, f"{space}.{name}" if space else name


def definitions(root: Any) -> Iterator[tuple[str, Any, str, At]]:
    """Every named type that a text defines: its full name, the definition, the namespace around it, and where it is."""
    waiting: list[tuple[Any, str, At]] = [(root, "", None)]
    while waiting:
        schema, space, at = waiting.pop()
        if isinstance(schema, list):
            waiting.extend((one, space, (at, index)) for index, one in enumerate(schema))
        elif isinstance(schema, dict):
            inner = space
            if defines(schema):
                inner, name = full_name(schema, space)
                yield name, schema, space, at
            waiting.extend(
                (schema[key], inner, (at, key))
                for key in ("type", "items", "values", "fields")
                if isinstance(schema.get(key), dict | list)
            )


def shown(text: str) -> str:
    """A text of unknown length in a sentence."""
    return text if len(text) <= 80 else f"{text[:60]}...{text[-15:]}"
