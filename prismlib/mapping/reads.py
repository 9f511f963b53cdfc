"""What a mapping reads, key by key: when a schema lacks a field, the error can say which key of which file wants it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Use:
    """One key of a file that reads one field.

    Attributes:
        where: file and key, such as ``"mappings/flights.toml: event.airport"``.
        field: dotted path as in a FieldSet; ``"*"`` stands for everything.
    """

    where: str
    field: str
