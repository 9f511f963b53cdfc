"""What the walker yields and a rule looks at: a piece of the reader beside the piece of the writer that meets it."""

from __future__ import annotations

from typing import TypeAlias

from prism_avro.compatibility.around import Around
from prism_avro.compatibility.defaults import Comparison
from prism_avro.schema import Field, Record, Type


class Place:
    """Where a pair is, as the reader calls it. Names are put together only for what is found."""

    __slots__ = ("_field", "_step", "_up")

    def __init__(self, up: Place | None = None, step: str = "", field: str = "") -> None:
        self._up = up
        self._step = step
        self._field = field

    def below(self, field: Field) -> Place:
        """A field of the record here."""
        return Place(self, f"/fields/{field.name}", field.name)

    def step(self, step: str) -> Place:
        """The ``items`` of an array, the ``values`` of a map, or a branch of a union, which are no fields."""
        return Place(self, f"/{step}")

    @property
    def path(self) -> str:
        """Such as ``/fields/lines/items/fields/sku``; ``/`` for the root."""
        return "".join(one._step for one in self._line()) or "/"  # noqa: SLF001

    @property
    def field(self) -> str:
        """Such as ``lines.sku``; "" for the root."""
        return ".".join(one._field for one in self._line() if one._field)  # noqa: SLF001

    def _line(self) -> list[Place]:
        line = [self]
        while line[-1]._up is not None:  # noqa: SLF001
            line.append(line[-1]._up)  # noqa: SLF001
        line.reverse()
        return line


class Met:
    """Two types that a decoder puts together: of one kind, or the writer's can be promoted to the reader's.

    Attributes:
        around: the types that they are branches of, or they themselves.
    """

    __slots__ = ("around", "place", "reader", "writer")

    def __init__(self, reader: Type, writer: Type, place: Place, around: Around) -> None:
        self.reader = reader
        self.writer = writer
        self.place = place
        self.around = around


class Mismatched:
    """What is written, and no place for it in the reader.

    Attributes:
        branch: whether the writer's is one branch of a union, so that other values can be read.
    """

    __slots__ = ("branch", "place", "reader", "writer")

    def __init__(self, reader: Type, writer: Type, place: Place, *, branch: bool) -> None:
        self.reader = reader
        self.writer = writer
        self.place = place
        self.branch = branch


class Fields:
    """A field of the reader's record, and the writer's fields that it can be: none, one, or more than can be told apart.

    Attributes:
        reader: the field.
        writers: the writer's fields of that name or of an alias of it, that of the same name first; twice where the name is
            among the aliases.
        claimed: another field of the reader that takes the writer's field, too; None for almost all.
        renamed: the writer's field that has this one's name as an alias, which readers do not look at; "" for almost all.
        records: the reader's and the writer's record.
        defaults: judges and compares defaults.
    """

    __slots__ = ("claimed", "defaults", "place", "reader", "records", "renamed", "writers")

    def __init__(
        self,
        reader: Field,
        writers: tuple[Field, ...],
        claimed: Field | None,
        renamed: str,
        records: tuple[Record, Record],
        defaults: Comparison,
        place: Place,
    ) -> None:
        self.reader = reader
        self.writers = writers
        self.claimed = claimed
        self.renamed = renamed
        self.records = records
        self.defaults = defaults
        self.place = place


Pair: TypeAlias = Met | Mismatched | Fields
