"""What the walker yields and a rule looks at: a piece of the reader beside the piece of the writer that meets it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from prism_protobuf.compatibility.model import EnumType, Field, Message, Schema


class Place:
    """Where a pair is, as the reader calls it. Names are put together only for what is found."""

    __slots__ = ("_is_field", "_step", "_up")

    def __init__(self, up: Place | None = None, step: str = "", *, is_field: bool = False) -> None:
        self._up = up
        self._step = step
        self._is_field = is_field

    def field_step(self, name: str) -> Place:
        """A field of the message here."""
        return Place(self, name, is_field=True)

    def step(self, name: str) -> Place:
        """A message at the top level or within the one here, a oneof, or a value of an enum."""
        return Place(self, name)

    @property
    def path(self) -> str:
        """Such as ``/Order/lines/sku``; ``/`` for the file."""
        return "/" + "/".join(one._step for one in self._line())  # noqa: SLF001  # of this class

    @property
    def field(self) -> str:
        """Such as ``lines.sku``; "" for what is no field of a message."""
        return ".".join(one._step for one in self._line() if one._is_field)  # noqa: SLF001  # of this class

    def _line(self) -> list[Place]:
        line = []
        here: Place | None = self
        while here is not None and here._up is not None:  # noqa: SLF001  # of this class
            line.append(here)
            here = here._up  # noqa: SLF001  # of this class
        return line[::-1]

    def __str__(self) -> str:
        """In a sentence."""
        if self._is_field:
            return f"field {self.field!r}"
        names = ".".join(one._step for one in self._line())  # noqa: SLF001  # of this class
        return f"message {names!r}"


class Problem(NamedTuple):
    """What a rule found at a pair.

    Attributes:
        message: one sentence.
        step: what to add to the place of the pair.
        newer: which side has to be the newer one for it to count; None where that does not matter.
    """

    message: str
    step: str = ""
    newer: Literal["reader", "writer"] | None = None


@dataclass(slots=True, eq=False)
class Files:
    """The two files."""

    reader: Schema
    writer: Schema
    place: Place


@dataclass(slots=True, eq=False)
class UnreadMessage:
    """A message of the writer that the reader has not got.

    Attributes:
        root: whether records can be of it, since no other message is made of it.
    """

    writer: Message
    root: bool
    place: Place


@dataclass(slots=True, eq=False)
class UnwrittenMessage:
    """A message of the reader that records could be of, and that the writer has not got."""

    reader: Message
    place: Place


@dataclass(slots=True, eq=False)
class Messages:
    """Two messages of one name, or held by fields of one number."""

    reader: Message
    writer: Message
    place: Place


@dataclass(slots=True, eq=False)
class Fields:
    """Two fields of one number."""

    reader: Field
    writer: Field
    messages: Messages
    place: Place


@dataclass(slots=True, eq=False)
class UnwrittenField:
    """A field of the reader whose number the writer has not got."""

    reader: Field
    messages: Messages
    place: Place


@dataclass(slots=True, eq=False)
class UnreadField:
    """A field of the writer whose number the reader has not got."""

    writer: Field
    messages: Messages
    place: Place


@dataclass(slots=True, eq=False)
class Types:
    """What the values of two fields of one number are, or the keys or the values of two maps.

    Attributes:
        part: "" or, of maps, ``"the key of "`` or ``"the value of "``.
    """

    reader: Field
    writer: Field
    part: str
    place: Place

    @property
    def subject(self) -> str:
        """In a sentence."""
        return f"{self.part}{self.place}"


@dataclass(slots=True, eq=False)
class Enums:
    """Two enums that fields of one number hold."""

    reader: EnumType
    writer: EnumType
    place: Place


Pair: TypeAlias = (
    Files | UnreadMessage | UnwrittenMessage | Messages | Fields | UnwrittenField | UnreadField | Types | Enums
)
