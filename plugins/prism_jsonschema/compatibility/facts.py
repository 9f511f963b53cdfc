"""What is known of a value that a writer's schema calls valid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from typing import TypeAlias

from prism_jsonschema.compatibility.names import matches
from prism_jsonschema.compatibility.nodes import ALL_TYPES, MISSING, Frozen, Node, deref, type_of

Nodes: TypeAlias = tuple[Node, ...]


class Facts:
    """The nodes that a value satisfies together, and some that it does not.

    Attributes:
        parts: what it satisfies, with ``$ref`` and ``allOf`` taken apart.
        nots: what it does not.
        taken: ids of the nodes in ``parts`` whose ``anyOf`` or ``oneOf`` was taken apart into branches.
        key: tells equal facts.
        branch: the branch that was taken last of a list that is no branch itself, until a reader's list is held against it.
        types: what the value can be, among ALL_TYPES; empty where there is no such value.
        values: all that it can be, or None where that is not listed.
    """

    __slots__ = ("_wholes", "branch", "key", "nots", "parts", "taken", "types", "values")

    def __init__(
        self, nodes: Sequence[Node], nots: Nodes = (), taken: frozenset[tuple[int, str]] = frozenset()
    ) -> None:
        if len(nodes) == 1:
            self.parts = deref(nodes[0]).parts
        else:
            self.parts = tuple({id(part): part for node in nodes for part in deref(node).parts}.values())
        self.nots = nots
        ids = tuple(sorted(map(id, self.parts)))
        self.taken = frozenset(one for one in taken if one[0] in ids) if taken else taken
        self.key = (ids, tuple(sorted(map(id, nots))) if nots else (), self.taken)
        types = ALL_TYPES
        values: frozenset[Frozen] | None = None
        for part in self.parts:
            if part.types is not None:
                types = types & part.types
            elif part.always is False:
                types = frozenset()
            if part.values is not None:
                values = part.values if values is None else values & part.values
        if values is not None:
            values = frozenset(one for one in values if type_of(one) in types)
            types = frozenset(map(type_of, values))
        self.types = types
        self.values = values
        self._wholes: tuple[_Whole, ...] | None = None
        self.branch: Node | None = None

    def with_(self, *nodes: Node, nots: Nodes = (), taken: frozenset[tuple[int, str]] = frozenset()) -> Facts:
        """The same, and more."""
        facts = Facts((*self.parts, *nodes), (*self.nots, *nots), self.taken | taken)
        facts.branch = self.branch
        return facts

    def settled(self) -> Facts:
        """The same, once a branch of the reader's was chosen for the one that was taken."""
        if self.branch is None:
            return self
        facts = copy(self)
        facts.branch = None
        return facts

    # --- objects ---------------------------------------------------------------------------------------------------------

    @property
    def required(self) -> frozenset[str]:
        """Names that every object has."""
        return frozenset().union(*(part.required for part in self.parts))

    def names(self) -> Iterator[str]:
        """Names that are declared, each once, in the order in which they are written."""
        seen: set[str] = set()
        for part in self.parts:
            for name in part.properties:
                if name not in seen:
                    seen.add(name)
                    yield name
        for whole in self._whole:
            yield from sorted(whole.names - seen)
            seen |= whole.names

    def declares(self, name: str) -> bool:
        """Whether a property is declared by its name."""
        return any(name in part.properties for part in self.parts)

    def property_(self, name: str) -> Nodes:
        """What the property's value satisfies, if it is there; nothing is known where this is empty."""
        found: list[Node] = []
        for part in self.parts:
            own = part.properties.get(name)
            if own is not None:
                found.append(own)
            certain = own is None
            for pattern, schema in part.patterns.items():
                match = matches(pattern, name)
                if match:
                    found.append(schema)
                if match is not False:
                    certain = False
            if certain and part.additional is not None and not part.additional.is_true:
                found.append(part.additional)
        found += [whole.schema for whole in self._whole if whole.covers(name)]
        return tuple(found)

    def undeclared(self) -> Iterator[tuple[str | None, Nodes]]:
        """What the values of other properties satisfy: of those that match a pattern, for each, and of the rest (None)."""
        for part in self.parts:
            for pattern, schema in part.patterns.items():
                others = [schema]
                for other in self.parts:
                    if other is not part:
                        if pattern in other.patterns:
                            others.append(other.patterns[pattern])
                        elif other.additional is not None and not other.additional.is_true and not other.patterns:
                            others.append(other.additional)
                yield pattern, tuple(others)
        rest = [one for part in self.parts if (one := part.additional) is not None and not one.is_true]
        yield None, (*rest, *(whole.schema for whole in self._whole))

    @property
    def _whole(self) -> tuple[_Whole, ...]:
        if self._wholes is None:
            found = (_Whole.of(part) for part in self.parts if part.unevaluated_properties is not None)
            self._wholes = tuple(one for one in found if one is not None)
        return self._wholes

    # --- arrays ----------------------------------------------------------------------------------------------------------

    @property
    def prefix(self) -> int:
        """How many positions have items of their own."""
        return max((len(part.prefix) for part in self.parts), default=0)

    @property
    def longest(self) -> float | None:
        """How many items an array can have, or None."""
        return min((part.max_items for part in self.parts if part.max_items is not None), default=None)

    def item(self, index: int) -> Nodes:
        """What the item at a position satisfies, if it is there."""
        found = []
        for part in self.parts:
            if index < len(part.prefix):
                found.append(part.prefix[index])
            elif part.items is not None and not part.items.is_true:
                found.append(part.items)
            elif part.unevaluated_items is not None and is_alone(part):
                found.append(part.unevaluated_items)
        return tuple(found)

    # --- branches --------------------------------------------------------------------------------------------------------

    def union(self) -> tuple[Node, str] | None:
        """A node whose branches are not taken apart yet, and the keyword."""
        for part in self.parts:
            if part.any_of and (id(part), "anyOf") not in self.taken:
                return part, "anyOf"
            if part.one_of and (id(part), "oneOf") not in self.taken:
                return part, "oneOf"
        return None

    def branches(self, node: Node, keyword: str) -> Iterator[Facts]:
        """One of these holds."""
        taken = frozenset({(id(node), keyword)})
        branches = node.any_of if keyword == "anyOf" else node.one_of
        rest = self.parts
        if node.is_bare and node.default is MISSING and all(word == keyword for word, _ in node.subs):
            rest = tuple(part for part in rest if part is not node)  # all that it says is in the branch
        for one in branches:
            others = tuple(deref(other) for other in branches if other is not one) if keyword == "oneOf" else ()
            facts = Facts((*rest, one), (*self.nots, *others), self.taken | taken)
            nested = self.branch is not None and any(inner is node for inner in _inside(self.branch))
            facts.branch = self.branch if nested else one
            if facts.types:
                yield facts


class _Whole:
    """``unevaluatedProperties``: what holds for names that nothing beside or inside it could have looked at."""

    __slots__ = ("names", "patterns", "schema")

    def __init__(self, names: frozenset[str], patterns: tuple[str, ...], schema: Node) -> None:
        self.names = names
        self.patterns = patterns
        self.schema = schema

    @classmethod
    def of(cls, node: Node) -> _Whole | None:
        inner = _inside(node)
        if any(one.additional is not None or one.unclear for one in inner):
            return None
        if any(one.unevaluated_properties is not None for one in inner if one is not node):
            return None
        names = frozenset().union(*(one.properties for one in inner))
        patterns = tuple(pattern for one in inner for pattern in one.patterns)
        assert node.unevaluated_properties is not None  # noqa: S101  # the caller asked
        return cls(names, patterns, node.unevaluated_properties)

    def covers(self, name: str) -> bool:
        return name not in self.names and all(matches(pattern, name) is False for pattern in self.patterns)


def _inside(node: Node) -> list[Node]:
    found = {id(node): node}
    waiting = [node]
    while waiting:
        for one in waiting.pop().in_place:
            if id(one) not in found:
                found[id(one)] = one
                waiting.append(one)
    return list(found.values())


def is_alone(node: Node) -> bool:
    """Whether nothing but the node itself looks at items."""
    return all(
        one is node or not (one.prefix or one.items or one.unevaluated_items) for one in _inside(node)
    ) and not any(one.contains or one.unclear for one in _inside(node))


def are_apart(one: Facts, other: Facts, depth: int = 4) -> bool:
    """Whether surely no value satisfies both."""
    both = one.types & other.types
    if not both:
        return True
    if one.values is not None and other.values is not None and not one.values & other.values:
        return True
    if depth == 0:
        return False
    for facts, against in ((one, other), (other, one)):
        union = facts.union()
        if union is not None and all(are_apart(branch, against, depth - 1) for branch in facts.branches(*union)):
            return True
    if both != {"object"}:
        return False
    return any(
        are_apart(Facts(one.property_(name)), Facts(other.property_(name)), depth - 1)
        for name in sorted(one.required | other.required)
    )
