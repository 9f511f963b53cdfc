"""Goes through a reader and a writer together and yields what meets: pairs for the rules.

Messages that no other holds meet by their name, fields by their number, and the messages that fields hold whatever their
names are: on the wire they have none. So a contract that has put an imported message inside meets it all the same. What no
field leads to meets by its name, too.

Each pair of messages is walked once, the nearest to a message that records are of first: what is wrong inside is reported
at the shortest path, and a schema that contains itself comes to an end. Nothing is concluded from a pair before it was
looked through, so that no result of an unfinished one can clear another.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

from prism_protobuf.compatibility import model
from prism_protobuf.compatibility.model import Field, Message, Schema
from prism_protobuf.compatibility.pairs import (
    Enums,
    Fields,
    Files,
    Messages,
    Pair,
    Place,
    Types,
    UnreadField,
    UnreadMessage,
    UnwrittenField,
    UnwrittenMessage,
)
from prismlib.errors import ContractError

_MOST_PAIRS: Final = 500_000
LIBRARY: Final = "google.protobuf."


def pairs(reader: Schema, writer: Schema) -> Iterator[Pair]:
    """Everything that meets when ``reader`` reads what ``writer`` writes.

    Raises:
        ContractError: there are too many pairs to be looked at.
    """
    return _Walk().run(reader, writer)


class _Walk:
    def __init__(self) -> None:
        self._seen: set[tuple[int, int]] = set()
        self._met: set[int] = set()
        self._enums: set[tuple[int, int]] = set()
        self._waiting: deque[Messages] = deque()
        self._left = _MOST_PAIRS

    def run(self, reader: Schema, writer: Schema) -> Iterator[Pair]:
        top = Place()
        yield Files(reader, writer, top)
        known, written = reader.named(), writer.named()
        roots = {id(one) for one in reader.roots()}
        # Seeds first, for the paths; then what no field led to, such as behind one that the writer has not got.
        for one in [*reader.seeds(), *known.values()]:
            if id(one) in self._met:
                continue
            if one.name in written:
                self._meet(Messages(one, written[one.name], _place(top, one)))
                while self._waiting:
                    yield from self._messages(self._waiting.popleft())
            elif id(one) in roots:
                self._met.add(id(one))
                yield UnwrittenMessage(one, _place(top, one))
        roots = {id(one) for one in writer.roots()}
        for name, one in written.items():
            outer = name.rpartition(".")[0]
            if name not in known and (outer in known or not outer) and not one.is_group:
                yield UnreadMessage(one, id(one) in roots, _place(top, one))

    def _meet(self, pair: Messages) -> None:
        key = (id(pair.reader), id(pair.writer))
        if key not in self._seen:
            self._seen.add(key)
            self._met.add(id(pair.reader))
            self._waiting.append(pair)

    def _messages(self, pair: Messages) -> Iterator[Pair]:
        self._left -= 1 + len(pair.reader.fields) + len(pair.writer.fields)
        if self._left < 0:
            raise ContractError(f"the schemas are too large to be compared: more than {_MOST_PAIRS:,} pairs of fields")
        yield pair
        reads, writes, place = pair.reader.fields, pair.writer.fields, pair.place
        for number, one in reads.items():
            written = writes.get(number)
            # a required enum is looked into, since there what is inside can be fatal
            if written is not None and one.shape == written.shape and not (one.required and one.enum):
                if one.message is not None or one.enum is not None:
                    yield from self._inside(one, written, place)
                continue
            here = place.field_step(one.name)
            if written is None:
                yield UnwrittenField(one, pair, here)
            else:
                yield Fields(one, written, pair, here)
                yield from self._types(one, written, "", here)
        for number, one in writes.items():
            if number not in reads:
                yield UnreadField(one, pair, place.field_step(one.name))

    def _types(self, reader: Field, writer: Field, part: str, place: Place) -> Iterator[Pair]:
        reads, writes = reader.entry, writer.entry
        if reads is not None and writes is not None:
            yield from self._types(reads[0], writes[0], "the key of ", place)
            yield from self._types(reads[1], writes[1], "the value of ", place)
            return
        yield Types(reader, writer, part, place)
        yield from self._held(reader, writer, place)

    def _inside(self, reader: Field, writer: Field, place: Place) -> Iterator[Pair]:
        """What fields of one shape hold."""
        reads, writes = reader.entry, writer.entry
        if reads is not None and writes is not None:
            yield from self._held(reads[1], writes[1], place.field_step(reader.name))
        else:
            yield from self._held(reader, writer, place.field_step(reader.name))

    def _held(self, reader: Field, writer: Field, place: Place) -> Iterator[Pair]:
        if reader.message is not None and writer.message is not None:
            if reader.type == writer.type and not _same_of_library(reader.message, writer.message):
                self._meet(Messages(reader.message, writer.message, place))
        elif reader.enum is not None and writer.enum is not None:
            key = (id(reader.enum), id(writer.enum))
            if key not in self._enums:
                self._enums.add(key)
                yield Enums(reader.enum, writer.enum, place)


def _place(top: Place, message: Message) -> Place:
    for name in message.name.split("."):
        top = top.step(name)
    return top


def _same_of_library(reader: Message, writer: Message) -> bool:
    return reader.full_name == writer.full_name and reader.full_name.startswith(LIBRARY)


def is_map_beside_messages(reader: Field, writer: Field) -> bool:
    """Whether one is a map and the other a list of messages, which is the same on the wire if they have its two fields."""
    return (
        reader.type == writer.type == model.MESSAGE
        and (reader.entry is None) != (writer.entry is None)
        and reader.repeated
        and writer.repeated
    )
