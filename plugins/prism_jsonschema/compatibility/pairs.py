"""What the walker yields and a rule looks at: a piece of the reader beside what is known of what the writer writes there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from prism_jsonschema.compatibility.facts import Facts, Nodes
from prism_jsonschema.compatibility.nodes import Node


class Place:
    """Where a pair is, as the reader calls it. Names are put together only for what is found."""

    __slots__ = ("_field", "_step", "_up")

    def __init__(self, up: Place | None = None, step: str = "", field: str = "") -> None:
        self._up = up
        self._step = step
        self._field = field

    def property_(self, name: str) -> Place:
        """A property of the object here."""
        return Place(self, f"/properties/{escaped(name)}", name)

    def step(self, step: str) -> Place:
        """Items, a pattern, a branch, which are no fields."""
        return Place(self, f"/{step}")

    @property
    def path(self) -> str:
        """Such as ``/properties/lines/items/properties/sku``; ``/`` for the root."""
        return "".join(one._step for one in self._line()) or "/"  # noqa: SLF001  # of this class

    @property
    def field(self) -> str:
        """Such as ``lines.sku``; "" for the root."""
        return ".".join(one._field for one in self._line() if one._field)  # noqa: SLF001  # of this class

    @property
    def subject(self) -> str:
        """What a sentence is about: ``property 'lines.sku'``, the root, or a place in it that belongs to no property."""
        field, path = self.field, self.path
        return f"property {field!r}" if field else "the root" if path == "/" else path

    def _line(self) -> list[Place]:
        line = [self]
        while line[-1]._up is not None:  # noqa: SLF001  # of this class
            line.append(line[-1]._up)  # noqa: SLF001  # of this class
        line.reverse()
        return line


def escaped(name: str) -> str:
    """A name as a step of a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")


@dataclass(slots=True)
class Values:
    """A reader's node, and the values it is given."""

    reader: Node
    writer: Facts
    place: Place


@dataclass(slots=True)
class Meaning:
    """What is said of a value besides which ones are valid.

    Attributes:
        reader: the node, of which all parts count.
        whole: whether it is a value by itself, and no branch of one.
    """

    reader: Node
    writer: Facts
    whole: bool
    place: Place


@dataclass(slots=True)
class Property:
    """A property that the reader declares.

    Attributes:
        written: what its value satisfies where it is written.
        declared: whether the writer declares it by its name.
    """

    reader: Node
    written: Nodes
    declared: bool
    place: Place


@dataclass(slots=True)
class Required:
    """A property that the reader requires and the writer does not.

    Attributes:
        reader: what the reader declares for it, or None.
        declared: whether the writer declares it.
    """

    reader: Node | None
    declared: bool
    place: Place


@dataclass(slots=True)
class Refused:
    """A property that the writer declares, and a reader that has no place for it."""

    place: Place


@dataclass(slots=True)
class Undeclared:
    """Properties that are written without being declared, and the reader takes fewer of them.

    Attributes:
        pattern: of their names, in the reader, or None where it is said of all others.
        reader: what it takes.
        writer: the pattern of their names in the writer, or None.
    """

    reader: Node
    pattern: str | None
    writer: str | None
    place: Place


@dataclass(slots=True)
class Items:
    """Items that the reader does not take, or of which nothing is known.

    Attributes:
        index: the position, or None for all behind the last that has a schema of its own.
    """

    reader: Node
    index: int | None
    place: Place


@dataclass(slots=True)
class Branches:
    """Values that no branch of the reader takes.

    Attributes:
        kinds: the types that they have.
    """

    reader: Node
    kinds: Sequence[str]
    place: Place


@dataclass(slots=True)
class Overlap:
    """A branch of the reader's ``oneOf`` that may take what another one takes as well."""

    taken: str
    other: str
    place: Place


@dataclass(slots=True)
class OtherBranch:
    """A value is taken by another branch than the one that is meant for it."""

    meant: str
    taken: str
    place: Place


@dataclass(slots=True)
class Unproved:
    """A keyword of the reader that the writer does not promise."""

    keyword: Literal["not", "if", "contains", "propertyNames", "dependentRequired", "dependentSchemas", "unclear"]
    detail: str
    place: Place


Pair: TypeAlias = (
    Values | Meaning | Property | Required | Refused | Undeclared | Items | Branches | Overlap | OtherBranch | Unproved
)
