"""What a schema format answers. One question carries everything else: can this reader read what that writer writes?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar, runtime_checkable

from prismlib.contracts.registry import FormatName
from prismlib.contracts.rules import Difference, Rules
from prismlib.errors import SchemaParseError

P = TypeVar("P")
"""A parsed schema, opaque to everybody but its format."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that differs between two versions, for people; breaking or not.

    Attributes:
        kind: what became of it.
        path: as in a Difference.
        before: what it was, in a few words of the format's notation; "" for what was added.
        after: what it is; "" for what was removed.
    """

    kind: Literal["added", "removed", "changed", "renamed", "moved"]
    path: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class SchemaText:
    """A schema and what it imports.

    Attributes:
        text: as it was written.
        references: texts of all that it imports, directly or not, by the name it is imported under; in any order.
        where: what to call it in errors, such as ``"subject flights-value version 3"``.
    """

    text: str
    references: Mapping[str, str]
    where: str


class SchemaFormat(Protocol[P]):
    """One format, made once and used by several threads. Its module imports little: ``prism-check-schema`` starts with it.

    It is found by the entry point group ``prismlib.formats``, under its name.
    """

    name: FormatName
    rules: Rules

    def parse(self, schema: SchemaText) -> P:
        """Parse a schema; bounded in time and memory, whatever the text.

        Raises:
            SchemaParseError: it is no schema, imports what is not there, or is beyond the limits; names line and column
                where it can.
            ContractError: it could not be decided.
        """
        ...

    def parse_all(self, schemas: Sequence[SchemaText]) -> Sequence[P | SchemaParseError]:
        """Parse many, faster than one by one where that is possible; aligned with ``schemas``. Raises ContractError."""
        ...

    def can_read(self, reader: P, writer: P) -> Sequence[Difference]:
        """Everything that stands between them, whichever policy it fails in; empty when there is nothing.

        Deterministic in order and content. What cannot be decided is a Difference of a rule that fails everywhere.

        Raises:
            ContractError: beyond the limits of time or depth; never a silent pass.
        """
        ...

    def project(self, schema: P, reads: frozenset[str]) -> str:
        """The text of the reader schema that has just the fields that are read, with what it needs of its imports inside.

        Args:
            schema: of the writer, most often the latest version.
            reads: dotted paths; arrays, maps, unions and oneofs are passed through silently. ``*`` takes everything.

        Raises:
            UnknownFieldError: a path names nothing; names the nearest field.
        """
        ...

    def changes(self, old: P, new: P) -> Sequence[Change]:
        """What differs between two versions, in the order of the newer one, removed things where they stood."""
        ...

    def line_of(self, text: str, path: str) -> int | None:
        """The line, from 1, on which the thing at a Difference's path is defined in ``text``; None where it is not there."""
        ...


@runtime_checkable
class Serializes(Protocol):
    """Capability of a format: its schemas have a form that clients load without parsing text (``format=serialized``)."""

    def serialized(self, schema: SchemaText) -> str:
        """That form as text; the same for two texts that differ in layout and comments only. Raises as ``parse``."""
        ...
