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
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from prism_jsonschema.compatibility.equality import Equality
from prism_jsonschema.compatibility.facts import Facts, Nodes, are_apart
from prism_jsonschema.compatibility.names import matches
from prism_jsonschema.compatibility.nodes import ALL_TYPES, NUMBERS, TYPES, Node, deref
from prism_jsonschema.compatibility.pairs import (
    Branches,
    Items,
    Meaning,
    OtherBranch,
    Overlap,
    Pair,
    Place,
    Property,
    Refused,
    Required,
    Undeclared,
    Unproved,
    Values,
    escaped,
)
from prismlib.contracts.rules import Difference
from prismlib.errors import ContractError

_MOST_STEPS: Final = 40_000
_GROUPS: Final = ("null", "boolean", "number", "string", "array", "object")

Judge = Callable[[Pair], Iterable[Difference]]
"""What the rules find in a pair."""

Rank = Callable[[Sequence[Difference]], int]
"""How bad: 0 for nothing found, more the more policies it fails in; from BREAKS on, Confluent's registry refuses."""
BREAKS: Final = 3

VALUE: Final = 2
BRANCH: Final = 1
PART: Final = 0
"""What a step is about: a value by itself, a branch of one, or a part of what is said about one."""

Step = tuple[Node, Facts, Place, int]


def differences(reader: Node, writer: Node, judge: Judge, rank: Rank) -> list[Difference]:
    """Everything that stands between them.

    Raises:
        ContractError: there is too much to be looked at.
    """
    walk = _Walk(judge, rank)
    return walk.run([(reader, Facts((writer,)), Place(), VALUE)])


def _type_node(word: str) -> Node:
    node = Node()
    node.types = TYPES[word]
    node.own["type"] = node.types
    return node


_TYPE_NODES: Final = {word: _type_node(word) for word in _GROUPS}


class _Walk:
    def __init__(self, judge: Judge, rank: Rank) -> None:
        self._judge = judge
        self._rank = rank
        self._equality = Equality(self._spend)
        self._seen: set[tuple[object, ...]] = set()
        self._log: list[tuple[object, ...]] = []
        self._unreadable: set[tuple[object, ...]] = set()
        self._having: dict[str, Node] = {}
        self._made: list[Node] = []  # kept: pairs are known by the ids of their nodes
        self._left = _MOST_STEPS
        self._queue: deque[Step] = deque()
        self._found: list[Difference] = []

    # --- walking -----------------------------------------------------------------------------------------------------------

    def run(self, steps: Iterable[Step], stop_at: int = BREAKS + 1) -> list[Difference]:
        """Walk from ``steps`` on; up to what is as bad as ``stop_at``."""
        queue, found = self._queue, self._found
        self._queue, self._found = deque(steps), []
        worst = 0
        try:
            while self._queue and worst < stop_at:
                before = len(self._found)
                self._step(*self._queue.popleft())
                if len(self._found) > before and stop_at <= BREAKS:
                    worst = max(worst, self._rank(self._found[before:]))
            return self._found
        finally:
            self._queue, self._found = queue, found

    def _try(self, steps: Sequence[Step], *, stop_at: int = BREAKS) -> tuple[int, list[Difference]]:
        """How bad it is to go on like this, and what was found up to there. What was seen is forgotten if it is bad."""
        keys = [(id(reader), writer.key, kind) for reader, writer, _, kind in steps]
        if any(key in self._unreadable for key in keys):
            return BREAKS, []
        mark = len(self._log)
        found = self.run(steps, stop_at)
        rank = self._rank(found)
        if rank:
            while len(self._log) > mark:
                self._seen.discard(self._log.pop())
        if rank >= BREAKS and len(keys) == 1:
            # although all that is still open counted as readable: so it holds for good
            self._unreadable.add(keys[0])
        return rank, found

    def _reads(self, reader: Node, writer: Facts) -> bool:
        """Whether everything is read, under every policy but a consumer's."""
        return self._try([(reader, writer, Place(), PART)], stop_at=2)[0] < 2

    def _spend(self, steps: int = 1) -> None:
        self._left -= steps
        if self._left < 0:
            raise ContractError(f"the schemas are too large to be compared: more than {_MOST_STEPS:,} steps")

    def _emit(self, pair: Pair) -> None:
        self._found += self._judge(pair)

    def _step(self, reader: Node, writer: Facts, place: Place, kind: int) -> None:
        reader = deref(reader)
        key = (id(reader), writer.key, kind)
        if key in self._seen or not writer.types:
            return
        self._spend(1 + len(writer.parts))
        self._seen.add(key)
        self._log.append(key)
        if any(self._equality.same(reader, part) for part in writer.parts):
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
        if reader.always is True:
            return
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

    # --- objects ---------------------------------------------------------------------------------------------------------------

    def _objects(self, reader: Node, writer: Facts, place: Place) -> None:
        patterns = len(reader.patterns) + sum(len(part.patterns) for part in writer.parts)
        if patterns:
            names = len(reader.properties) + sum(len(part.properties) for part in writer.parts)
            self._spend(patterns * names // 50)
        required = writer.required
        for name, schema in reader.properties.items():
            here = place.property_(name)
            written = writer.property_(name)
            declared = writer.declares(name)
            if (
                declared
                and len(written) == 1
                and schema.is_plain
                and written[0].is_plain
                and schema.raw == written[0].raw
            ):
                continue
            self._emit(Property(schema, written, declared, here))
            if (written and not schema.is_true) or (schema.is_true and declared):
                self._queue.append((schema, Facts(written), here, VALUE))
        for name in sorted(reader.required - required):
            self._emit(Required(reader.properties.get(name), writer.declares(name), place.property_(name)))
        if reader.patterns:
            self._patterns(reader, writer, place)
        if reader.additional is not None and not reader.additional.is_true:
            self._rest(reader, writer, place, [reader], reader.additional)
        if reader.unevaluated_properties is not None and not reader.unevaluated_properties.is_true:
            around = list(reader.parts)
            if not any(one.additional is not None for one in around):
                self._rest(reader, writer, place, around, reader.unevaluated_properties)
        for name, needed in sorted(reader.needs.items()):
            self._needs(name, needed, writer, place)
        if reader.names is not None:
            self._names(reader.names, writer, place)

    def _patterns(self, reader: Node, writer: Facts, place: Place) -> None:
        for pattern, schema in reader.patterns.items():
            for name in writer.names():
                if matches(pattern, name) is not False:
                    written = writer.property_(name)
                    if written:
                        self._queue.append((schema, Facts(written), place.property_(name), VALUE))
                    elif not schema.is_true:
                        self._emit(Property(schema, (), True, place.property_(name)))
            here = place.step(f"patternProperties/{escaped(pattern)}")
            same = any(pattern in part.patterns for part in writer.parts)
            for other, written in writer.undeclared():
                if same and other != pattern:
                    continue
                self._others(schema, pattern, other, written, here)

    def _rest(self, reader: Node, writer: Facts, place: Place, around: Sequence[Node], schema: Node) -> None:
        """``additionalProperties``, or ``unevaluatedProperties`` with all that is surely looked at ``around`` it."""
        known = {name for one in around for name in one.properties}
        patterns = {pattern for one in around for pattern in one.patterns}
        for name in writer.names():
            if name in known or any(matches(pattern, name) for pattern in patterns):
                continue
            written = writer.property_(name)
            facts = Facts(written)
            here = place.property_(name)
            if schema.always is False:
                if facts.types:
                    self._emit(Refused(here))
            elif written:
                self._queue.append((schema, facts, here, VALUE))
            else:
                self._emit(Property(schema, (), True, here))
        keyword = "additionalProperties" if schema is reader.additional else "unevaluatedProperties"
        for pattern, written in writer.undeclared():
            if pattern is None or pattern not in patterns:
                self._others(schema, None, pattern, written, place.step(keyword))

    def _others(self, schema: Node, pattern: str | None, other: str | None, written: Nodes, place: Place) -> None:
        facts = Facts(written)
        if not facts.types or schema.is_true:
            return
        if not written or schema.always is False:
            self._emit(Undeclared(schema, pattern, other, place))
        else:
            self._queue.append((schema, facts, place, VALUE))

    def _needs(self, name: str, needed: frozenset[str], writer: Facts, place: Place) -> None:
        if not Facts(writer.property_(name)).types:
            return
        known = set(writer.required) | {name}
        size = 0
        while size < len(known):
            size = len(known)
            for part in writer.parts:
                for other, more in part.needs.items():
                    if other in known:
                        known |= more
        for one in sorted(needed - known):
            self._emit(Unproved("dependentRequired", f"{name!r} needs {one!r}", place.property_(name)))

    def _names(self, schema: Node, writer: Facts, place: Place) -> None:
        promised = tuple(part.names for part in writer.parts if part.names is not None)
        if self._reads(schema, Facts((*promised, _TYPE_NODES["string"]))):
            return
        if all(not Facts(written).types for _, written in writer.undeclared()):
            names = [name for name in writer.names() if Facts(writer.property_(name)).types]
            listed = Node()
            listed.values = frozenset(names)
            self._made.append(listed)
            if self._reads(schema, Facts((listed, *promised))):
                return
        self._emit(Unproved("propertyNames", "", place.step("propertyNames")))

    # --- arrays ----------------------------------------------------------------------------------------------------------------

    def _arrays(self, reader: Node, writer: Facts, place: Place) -> None:
        longest = writer.longest
        word = "prefixItems" if reader.draft >= 2020 else "items"
        for index, schema in enumerate(reader.prefix):
            if longest is None or index < longest:
                self._item(schema, writer.item(index), index, place.step(f"{word}/{index}"))
        rest, start = reader.items, len(reader.prefix)
        if rest is None and reader.unevaluated_items is not None and not any(one.items for one in reader.parts):
            rest, start = reader.unevaluated_items, max(len(one.prefix) for one in reader.parts)
        if rest is not None:
            for index in range(start, writer.prefix):
                if longest is None or index < longest:
                    self._item(rest, writer.item(index), index, place.step(f"{word}/{index}"))
            behind = max(start, writer.prefix)
            if longest is None or behind < longest:
                self._item(rest, writer.item(behind), None, place.step("items"))
        if reader.contains is not None:
            self._contains(reader, reader.contains, writer, place)

    def _item(self, schema: Node, written: Nodes, index: int | None, place: Place) -> None:
        facts = Facts(written)
        if not facts.types or schema.is_true:
            return
        if not written or schema.always is False:
            self._emit(Items(schema, index, place))
        else:
            self._queue.append((schema, facts, place, VALUE))

    def _contains(self, reader: Node, schema: Node, writer: Facts, place: Place) -> None:
        for part in writer.parts:
            if part.contains is None:
                continue
            fewer = part.min_contains >= reader.min_contains and self._reads(schema, Facts((part.contains,)))
            most = reader.max_contains is None or (
                part.max_contains is not None
                and part.max_contains <= reader.max_contains
                and self._reads(part.contains, Facts((schema,)))
            )
            if (fewer or reader.min_contains == 0) and most:
                return
        if reader.min_contains == 0 and reader.max_contains is None:
            return
        self._emit(Unproved("contains", "", place.step("contains")))

    # --- logic -----------------------------------------------------------------------------------------------------------------

    def _logic(self, reader: Node, writer: Facts, place: Place) -> None:
        for keyword in reader.unclear:
            self._emit(Unproved("unclear", keyword, place))
        if reader.negated is not None and not self._excludes(writer, reader.negated):
            self._emit(Unproved("not", "", place.step("not")))
        if reader.condition is not None:
            self._condition(reader, reader.condition, writer, place)
        if "object" in writer.types:
            for name, schema in reader.then_also.items():
                if not Facts(writer.property_(name)).types:
                    continue
                promised = [part.then_also[name] for part in writer.parts if name in part.then_also]
                having = self._having.setdefault(name, _requiring(name))
                facts = writer.with_(having, *promised)
                if promised:
                    self._queue.append((schema, facts, place.step(f"dependentSchemas/{escaped(name)}"), PART))
                elif not self._reads(schema, facts):
                    self._emit(Unproved("dependentSchemas", name, place.property_(name)))

    def _excludes(self, writer: Facts, schema: Node) -> bool:
        """Whether surely no value of the writer's is one of ``schema``."""
        if are_apart(writer, Facts((schema,))):
            return True
        nots = (*writer.nots, *(part.negated for part in writer.parts if part.negated is not None))
        return any(self._reads(one, Facts((schema,))) for one in nots)

    def _condition(self, reader: Node, condition: Node, writer: Facts, place: Place) -> None:
        same = [
            part
            for part in writer.parts
            if part.condition is not None and self._equality.same(part.condition, condition)
        ]
        for branch, keyword, promised, facts in (
            (reader.consequence, "then", [part.consequence for part in same], writer.with_(condition)),
            (reader.alternative, "else", [part.alternative for part in same], writer.with_(nots=(condition,))),
        ):
            if branch is None:
                continue
            known = [one for one in promised if one is not None]
            if known:
                self._queue.append((branch, facts.with_(*known), place.step(keyword), PART))
            elif not self._reads(branch, facts):
                self._emit(Unproved("if", keyword, place.step(keyword)))

    # --- branches --------------------------------------------------------------------------------------------------------------

    def _union(self, reader: Node, keyword: str, branches: Nodes, writer: Facts, place: Place) -> None:
        if any(self._equal_union(keyword, branches, part) for part in writer.parts):
            return
        groups = [word for word in _GROUPS if writer.types & TYPES[word]]
        lost = []
        for word in groups:
            facts = writer if len(groups) == 1 else writer.with_(_TYPE_NODES[word])
            if facts.types and not self._branch(keyword, branches, facts, place):
                lost.append(word if facts.types & NUMBERS != {"integer"} else "integer")
        if lost:
            anything = writer.types == ALL_TYPES and len(lost) > 1
            self._emit(Branches(reader, ["anything"] if anything else lost, place))

    def _equal_union(self, keyword: str, branches: Nodes, part: Node) -> bool:
        others = part.any_of if keyword == "anyOf" else part.one_of
        same = self._equality.same
        if keyword == "oneOf" and len(others) != len(branches):
            return False
        return (
            bool(others)
            and all(any(same(one, other) for other in branches) for one in others)
            and (keyword == "anyOf" or all(any(same(one, other) for other in others) for one in branches))
        )

    def _branch(self, keyword: str, branches: Nodes, writer: Facts, place: Place) -> bool:
        """Find the branch that takes the writer's values; what is amiss inside it is found there."""
        several = len(branches) > 1
        self._spend(3 * len(branches))

        def at(index: int) -> Place:
            return place.step(f"{keyword}/{index}") if several and _needs_name(branches) else place

        fitting = [index for index, one in enumerate(branches) if not are_apart(Facts((one,)), writer, 1)]
        best: tuple[int, int] | None = None
        for index in fitting:
            rank, _ = self._try([(branches[index], writer, at(index), BRANCH)])
            if best is None or rank < best[0]:
                best = (rank, index)
            if rank == 0:
                break
        meant = _meant(branches, fitting, writer)
        if best is None:
            return are_apart(writer, writer)  # there is no such value
        rank, taken = best
        if rank >= BREAKS:
            if meant is None and len(fitting) == 1:
                meant = fitting[0]
            if meant is None:
                return False
            self._queue.append((branches[meant], writer, at(meant), BRANCH))
            return True
        if meant is not None and meant != taken:
            worse, _ = self._try([(branches[meant], writer, at(meant), BRANCH)])
            if worse <= rank:
                taken = meant
            else:
                self._emit(OtherBranch(_called(branches, meant), _called(branches, taken), at(meant)))
        self._queue.append((branches[taken], writer, at(taken), BRANCH))
        if keyword == "oneOf":
            for index, one in enumerate(branches):
                if index != taken and not self._excludes(writer, one):
                    self._emit(Overlap(_called(branches, taken), _called(branches, index), place))
                    break
        return True


def _requiring(name: str) -> Node:
    node = Node()
    node.required = frozenset({name})
    return node


def _needs_name(branches: Nodes) -> bool:
    """A branch is named only where there are several besides null."""
    return sum(1 for one in branches if Facts((one,)).types != {"null"}) > 1


def _called(branches: Nodes, index: int) -> str:
    label = branches[index].label
    return repr(label) if label else f"number {index + 1}"


def _meant(branches: Nodes, fitting: Sequence[int], writer: Facts) -> int | None:
    """The branch that most likely describes the same thing: of one name, of one constant, with the same properties."""
    if len(fitting) < 2:
        return fitting[0] if fitting else None
    labels = {part.label for part in writer.parts} - {""}
    names = set(writer.names())
    constants = {name: Facts(writer.property_(name)).values for name in names}
    positions = {part.path.rpartition("Of/")[2] for part in writer.parts if "Of/" in part.path}
    scores = []
    for index in fitting:
        facts = Facts((branches[index],))
        shared = names & set(facts.names())
        score: float = 1000 * bool(labels & {branches[index].label, *(part.label for part in facts.parts)})
        score += len(shared) + 0.5 * (str(index) in positions and facts.types == {"object"})
        for name in shared:
            values = Facts(facts.property_(name)).values
            known = constants[name]
            if values is not None and known is not None and values & known:
                score += 100
        scores.append((score, index))
    best = max(score for score, _ in scores)
    leading = [index for score, index in scores if score == best]
    return leading[0] if best and len(leading) == 1 else None
