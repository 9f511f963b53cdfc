"""Which parts of a reader schema are decoded: a FieldSet as a tree, checked against the schema."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from prism_avro.schema import Array, Map, Record, Type, Union
from prismlib.errors import UnknownFieldError

if TYPE_CHECKING:  # prism-check-schema comes this way, and has no time for all the stages
    from prismlib.stages import FieldSet


@dataclass(frozen=True, slots=True)
class Projection:
    """What is read below one place.

    Attributes:
        whole: everything; ``fields`` is empty then.
        fields: the fields of the record there that are read, and what of each.
    """

    whole: bool
    fields: tuple[tuple[str, Projection], ...] = ()

    def of(self, name: str) -> Projection | None:
        """What is read of the field ``name``, or None when nothing is."""
        return self if self.whole else dict(self.fields).get(name)


WHOLE: Final = Projection(whole=True)


def project(reads: FieldSet) -> Projection:
    """Dotted paths as a tree; a path that names a record takes in the paths below it."""
    if "*" in reads:
        return WHOLE
    heads: dict[str, set[str]] = {}
    for path in reads:
        head, _, rest = path.partition(".")
        heads.setdefault(head, set()).add(rest or "*")
    return Projection(
        whole=False, fields=tuple((head, project(frozenset(rest))) for head, rest in sorted(heads.items()))
    )


def check_reads(reader: Type, reads: FieldSet, where: str) -> None:
    """See that every path names something in the reader schema.

    Raises:
        UnknownFieldError: one does not; names the nearest field.
    """
    for path in sorted(reads - {"*"}):
        here = list(_records([reader]))
        for name in path.split("."):
            known = [field.name for record in here for field in record.fields]
            found = [field.type for record in here for field in record.fields if field.name == name]
            if not found:
                import difflib  # noqa: PLC0415  # only a mistake pays for it

                near = difflib.get_close_matches(name, known, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise UnknownFieldError(f"reads {path!r}, and {where} has no field {name!r} there{hint}", path=path)
            here = list(_records(found))


def _records(types: Iterable[Type]) -> Iterable[Record]:
    """The records that a path goes on in, behind arrays, maps and unions."""
    for one in types:
        if isinstance(one, Record):
            yield one
        elif isinstance(one, Array):
            yield from _records([one.items])
        elif isinstance(one, Map):
            yield from _records([one.values])
        elif isinstance(one, Union):
            yield from _records(one.branches)
