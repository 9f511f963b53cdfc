"""Goes through a reader and a writer together: everything that the writer calls valid should be valid for the reader.

A node of the reader is held against facts, all that is known of a value there: a property of the writer can be described in
several places at once. Each keyword of the reader must follow from the facts. Where it does not, and the writer has
branches (``anyOf``, ``oneOf``, several types), it must follow for each branch by itself.

Pairs are walked in the order in which they are met, each of them once: what is wrong inside is reported at the shortest path
that leads there, and a schema that contains itself comes to an end. Where a branch must be chosen, each is tried aside.
What such a trial has seen counts only if it succeeds: it rests on pairs that are not looked through yet, and must not clear
them for a later question.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence

from prism_jsonschema.compatibility.branches import Unions
from prism_jsonschema.compatibility.facts import Facts
from prism_jsonschema.compatibility.nodes import Node, deref
from prism_jsonschema.compatibility.pairs import Meaning, Place, Values
from prism_jsonschema.compatibility.shapes import Shapes
from prism_jsonschema.compatibility.walk import BREAKS, PART, VALUE, Judge, Rank
from prismlib.contracts.rules import Difference


def differences(reader: Node, writer: Node, judge: Judge, rank: Rank) -> list[Difference]:
    """Everything that stands between them.

    Raises:
        ContractError: there is too much to be looked at.
    """
    walk = _Walker(judge, rank)
    return walk.run([(reader, Facts((writer,)), Place(), VALUE)])


class _Walker(Shapes, Unions):
    def _step(self, reader: Node, writer: Facts, place: Place, kind: int) -> None:
        reader = deref(reader)
        key = (id(reader), writer.key, kind)
        if key in self._seen or not writer.types:
            return
        self._spend(1 + len(writer.parts))
        self._seen.add(key)
        self._log.append(key)
        if reader.always is True or any(self._equality.same(reader, part) for part in writer.parts):
            return
        if kind == VALUE:
            self._emit(Meaning(reader, writer, True, place))
        if writer.union() is None:
            for duty in self._duties(reader, kind):
                duty(writer, place)
        else:
            for duty in self._duties(reader, kind):
                self._found += self._split(duty, writer, place)

    def _split(self, duty: Callable[[Facts, Place], None], writer: Facts, place: Place) -> list[Difference]:
        """What is found for a writer with branches: taken as a whole, or branch by branch, whichever is less."""
        union = writer.union()
        whole: list[Difference] = []
        rank, log = BREAKS + 1, self._log[:0]
        if duty.__name__ != "_union" or union is None:  # branches are held against branches alone
            rank, whole, log = self._aside(duty, writer, place)
            if not rank or union is None:
                return whole
        self._spend(2)
        self._forget(log)
        mark = len(self._log)
        parts: list[Difference] = []
        for branch in writer.branches(*union):
            for one in self._split(duty, branch, place):
                if one not in parts:
                    parts.append(one)
        if self._rank(parts) <= rank:
            return parts
        self._forget(self._log[mark:])
        return whole

    def _forget(self, keys: Sequence[tuple[object, ...]]) -> None:
        for key in keys:
            self._seen.discard(key)

    def _aside(
        self, duty: Callable[[Facts, Place], None], writer: Facts, place: Place
    ) -> tuple[int, list[Difference], list[tuple[object, ...]]]:
        queue, found = self._queue, self._found
        self._queue, self._found = deque(), []
        mark = len(self._log)
        try:
            duty(writer, place)
            first, steps = self._found, list(self._queue)
        finally:
            self._queue, self._found = queue, found
        everything = [*first, *self.run(steps)]
        return self._rank(everything), everything, self._log[mark:]

    # --- what a reader asks for ----------------------------------------------------------------------------------------------

    def _duties(self, reader: Node, kind: int) -> Iterator[Callable[[Facts, Place], None]]:
        def named(name: str, act: Callable[[Facts, Place], None]) -> Callable[[Facts, Place], None]:
            act.__name__ = name
            return act

        if kind != PART:
            yield named("_meaning", lambda writer, place: self._emit(Meaning(reader, writer, False, place)))
        yield named("_own", lambda writer, place: self._own(reader, writer, place))
        if reader.ref is not None:
            target = reader.ref
            yield named("_ref", lambda writer, place: self._queue.append((target, writer, place, PART)))
        for one in reader.all_of:
            yield named("_all", lambda writer, place, one=one: self._queue.append((one, writer, place, PART)))  # type: ignore[misc]
        for keyword, branches in (("anyOf", reader.any_of), ("oneOf", reader.one_of)):
            if branches:
                yield named(
                    "_union",
                    lambda writer, place, keyword=keyword, branches=branches: self._union(  # type: ignore[misc]
                        reader, keyword, branches, writer, place
                    ),
                )
        if reader.negated is not None or reader.condition is not None or reader.then_also or reader.unclear:
            yield named("_logic", lambda writer, place: self._logic(reader, writer, place))

    def _own(self, reader: Node, writer: Facts, place: Place) -> None:
        self._emit(Values(reader, writer, place))
        types = writer.types if reader.types is None else writer.types & reader.types
        if "object" in types:
            self._objects(reader, writer, place)
        if "array" in types:
            self._arrays(reader, writer, place)
