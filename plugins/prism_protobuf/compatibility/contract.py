"""A consumer's contract: the reader schema narrowed to what is read, as a file that imports nothing but Protobuf's own.

Fields keep their numbers, and messages of the same package their names. Imported ones stand within a message that is called
like their package with underscores, such as ``common_geo.Place``: the check compares what fields hold by its structure.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from prism_protobuf.compatibility.model import EnumType, Field, Message, Schema
from prism_protobuf.compatibility.printing import Named, Writer
from prism_protobuf.compatibility.walker import LIBRARY
from prism_protobuf.wellknown import TO_VALUE
from prismlib.errors import ContractError, UnknownFieldError

_EVERYTHING: Final = frozenset({"*"})


def contract(schema: Schema, reads: frozenset[str], message: str | None = None) -> str:
    """The text of the contract.

    Args:
        schema: of the writer.
        reads: dotted paths; lists and maps are passed through silently. ``*`` takes everything.
        message: full name of the message that they belong to, where it is known.

    Raises:
        UnknownFieldError: a path names nothing; names the nearest field.
        ContractError: the schema has no message, or nothing is read.
    """
    root = next((one for one in schema.named().values() if one.full_name == message), None) or _root(schema, reads)
    parts = _Parts(root, {id(root): (root, set())})
    for path in sorted(reads):
        parts.take(path)
    return Writer(schema, parts.named(schema)).text()


def _root(schema: Schema, reads: Iterable[str]) -> Message:
    """The message that the fields belong to: the first, unless it lacks one of them and another has them all."""
    candidates = [one for one in schema.messages if not one.is_namespace] or schema.messages
    if not candidates:
        raise ContractError(f"{schema.where} has no message to read; a contract needs one")
    complete = (one for one in candidates if all(_missing(one, path) is None for path in reads))
    return next(complete, candidates[0])


def _missing(root: Message, path: str) -> tuple[str, Sequence[str]] | None:
    """The first name of a path that leads nowhere, and the names that were there to choose from."""
    here: Message | None = root
    for name in path.split("."):
        if name == "*" and here is not None:
            continue
        one = None if here is None else here.field_named(name)
        if one is None:
            return name, [] if here is None else [each.name for each in here.fields.values()]
        here = _goes_on(one)
    return None


def _goes_on(one: Field) -> Message | None:
    """The message in which a path goes on, through lists and maps; None for what rows have as one value."""
    held = one.message if one.entry is None else one.entry[1].message
    return None if held is None or held.full_name in TO_VALUE else held


@dataclass
class _Parts:
    """What is read: of each message the fields, and all enums that they hold."""

    root: Message
    fields: dict[int, tuple[Message, set[int]]]
    enums: dict[int, EnumType] = field(default_factory=dict)

    def take(self, path: str) -> None:
        """Add what a path names."""
        missing = _missing(self.root, path)
        if missing is not None:
            name, known = missing
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            where = f"message {self.root.full_name}"
            raise UnknownFieldError(f"reads {path!r}, and {where} has no field {name!r} there{hint}", path=path)
        here = self.root
        for name in path.split("."):
            one = here.field_named(name)
            if one is None:  # a star
                self._take_all(here)
                return
            self._add(here, one)
            inner = _goes_on(one)
            if inner is None:
                break
            here = inner
        else:
            self._take_all(here)

    def _take_all(self, message: Message) -> None:
        waiting, seen = [message], set()
        while waiting:
            one = waiting.pop()
            if id(one) in seen:
                continue
            seen.add(id(one))
            self.fields.setdefault(id(one), (one, set()))
            for each in one.fields.values():
                self._add(one, each)
                inner = each.message if each.entry is None else each.entry[1].message
                if inner is not None and not inner.full_name.startswith(LIBRARY):
                    waiting.append(inner)

    def _add(self, message: Message, one: Field) -> None:
        self.fields.setdefault(id(message), (message, set()))[1].add(one.number)
        value = one if one.entry is None else one.entry[1]
        if value.enum is not None:
            self.enums[id(value.enum)] = value.enum

    def named(self, schema: Schema) -> Named:
        """Where everything stands, and under which name."""
        messages = {key: (one, numbers) for key, (one, numbers) in self.fields.items() if not _of_library(one)}
        enums = {key: one for key, one in self.enums.items() if not one.full_name.startswith(LIBRARY)}
        return Named(schema, self.root, messages, enums)


def _of_library(message: Message) -> bool:
    return message.full_name.startswith(LIBRARY)
