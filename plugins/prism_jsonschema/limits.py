"""How much work a schema can make of a value, found before it is compiled, so that no value can hang or crash a worker.

A schema is a graph of subschemas. Some look at the place where they stand (``allOf``, ``$ref`` ...), others at what lies in
it (``properties``, ``items`` ...). Three things are dangerous, and none of them needs a large schema:

- a loop of references at one place, which never ends;
- references that double at each step, so that thirty lines are a thousand million checks;
- a long way of steps at one place, times the depth of a value: it is the stack of the validator, which is not Python's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from referencing import Registry, Resource, Specification
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT4, DRAFT6, DRAFT7, Schema, SchemaRegistry, SchemaResource, specification_with
from referencing.typing import URI

from prism_jsonschema.documents import Documents
from prismlib.errors import SchemaParseError

MOST_WORK: Final = 10_000
"""Subschemas that may look at one place of a value."""
MOST_STEPS: Final = 5_000
"""Subschemas that may be at work inside each other: half a megabyte of stack."""
MOST_DEPTH: Final = 1_024
"""Levels of a value; orjson parses no deeper ones."""

_HERE: Final = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else")
_HERE_BY_NAME: Final = ("dependentSchemas", "dependencies")
_EACH: Final = (
    "additionalProperties",
    "unevaluatedProperties",
    "propertyNames",
    "items",
    "additionalItems",
    "unevaluatedItems",
    "contains",
)
_EACH_BY_NAME: Final = ("patternProperties",)
_ONE_OF: Final = ("prefixItems", "items")
_ONE_OF_BY_NAME: Final = ("properties",)
_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_TEXT: Final = ("minLength", "maxLength", "pattern")
_ALONE_BESIDE_REF: Final = (DRAFT4, DRAFT6, DRAFT7)


@dataclass(frozen=True, slots=True)
class Limits:
    """What is known of a schema before it is compiled.

    Attributes:
        work: subschemas that look at one place of a value, at most.
        deepest: levels of a value that can be checked safely.
        patterns: its regular expressions.
        patterns_of_names: whether some of them are for names (``patternProperties``).
        untyped_text: whether it constrains text somewhere without saying that it must be text.
    """

    work: int
    deepest: int
    patterns: frozenset[str]
    patterns_of_names: bool
    untyped_text: bool


@dataclass(slots=True)
class _Node:
    """A subschema: which others look at the same place, at each part of it, and at one part each."""

    weight: int = 1
    here: list[int] = field(default_factory=list)
    each: list[int] = field(default_factory=list)
    one_of: list[int] = field(default_factory=list)

    def below(self) -> Iterator[int]:
        yield from self.here
        yield from self.each
        yield from self.one_of


def measure(documents: Documents) -> Limits:
    """Look at a schema.

    Raises:
        SchemaParseError: a reference leads nowhere, or the schema is over a limit.
    """
    graph = _Graph(documents)
    nodes = graph.nodes
    here_order, loops = _finished([node.here for node in nodes])
    if loops:
        raise SchemaParseError("its references lead in a circle that never goes into the value")
    steps = [0] * len(nodes)
    for one in here_order:
        steps[one] = 1 + max((steps[other] for other in nodes[one].here), default=0)
    order, back = _finished([list(node.below()) for node in nodes])
    work, length = [1] * len(nodes), [1] * len(nodes)
    for one in order:
        node = nodes[one]
        # What was met on the way to itself is remembered by the validator, and is work only once.
        added = [1 if (one, other) in back else work[other] for other in (*node.here, *node.each)]
        chosen = max((1 if (one, other) in back else work[other] for other in node.one_of), default=0)
        work[one] = min(node.weight + sum(added) + chosen, MOST_WORK + 1)
        length[one] = 1 + max((length[other] for other in node.below() if (one, other) not in back), default=0)
    if work[0] > MOST_WORK:
        raise SchemaParseError(f"more than {MOST_WORK} of its parts can look at one place of a value; make it simpler")
    longest = max(steps)
    if longest > MOST_STEPS // 10:
        raise SchemaParseError(f"{longest} of its parts stand inside each other at one place; make it simpler")
    safe = not back and length[0] <= MOST_STEPS
    return Limits(
        work=work[0],
        deepest=MOST_DEPTH if safe else min(MOST_DEPTH, MOST_STEPS // longest),
        patterns=frozenset(graph.patterns),
        patterns_of_names=graph.patterns_of_names,
        untyped_text=graph.untyped_text,
    )


class _Graph:
    """All subschemas that can be reached, numbered; the root is 0."""

    def __init__(self, documents: Documents) -> None:
        self.nodes: list[_Node] = []
        self.patterns: set[str] = set()
        self.patterns_of_names = False
        self.untyped_text = False
        self._numbers: dict[int, int] = {}
        self._open: list[tuple[dict[str, Any], Any, Specification[Schema]]] = []
        root: SchemaResource = Resource.from_contents(documents.root)
        imported: SchemaRegistry = Registry(
            retrieve=lambda address: Resource.from_contents(documents.retrieve(address))
        )  # type: ignore[call-arg]
        resolver = imported.with_resource(documents.base, root).resolver(documents.base)
        self._number(documents.root, resolver, _specification(documents.root))
        done = 0
        while done < len(self._open):
            self._look(done)
            done += 1

    def _number(self, schema: Any, resolver: Any, specification: Specification[Schema]) -> int | None:
        """The number of a subschema; None for what is none, such as ``true``."""
        if not isinstance(schema, dict):
            return None
        known = self._numbers.get(id(schema))
        if known is None:
            known = self._numbers[id(schema)] = len(self.nodes)
            self.nodes.append(_Node())
            self._open.append((schema, resolver, specification))
        return known

    def _look(self, number: int) -> None:
        schema, resolver, specification = self._open[number]
        node = self.nodes[number]
        if number:
            resolver = resolver.in_subresource(specification.create_resource(schema))
        if isinstance(schema.get("$ref"), str) and specification in _ALONE_BESIDE_REF:
            schema = {"$ref": schema["$ref"]}
        self._note(schema, node)

        def numbers(found: Iterable[Any]) -> Iterator[int]:
            for one in found:
                known = self._number(one, resolver, specification)
                if known is not None:
                    yield known

        node.here += numbers(schema.get(keyword) for keyword in _HERE)
        node.here += numbers(_parts(schema, list, _HERE))
        node.here += numbers(_parts(schema, dict, _HERE_BY_NAME))
        node.each += numbers(schema.get(keyword) for keyword in _EACH)
        node.each += numbers(_parts(schema, dict, _EACH_BY_NAME))
        node.one_of += numbers(_parts(schema, list, _ONE_OF))
        node.one_of += numbers(_parts(schema, dict, _ONE_OF_BY_NAME))
        for keyword in _REFERENCES:
            if isinstance(schema.get(keyword), str):
                node.here += self._target(schema[keyword], resolver, specification)

    def _note(self, schema: dict[str, Any], node: _Node) -> None:
        options = schema.get("enum")
        if isinstance(options, list) and any(isinstance(option, list | dict) for option in options):
            node.weight += len(options)
        if isinstance(schema.get("pattern"), str):
            self.patterns.add(schema["pattern"])
        if isinstance(schema.get("patternProperties"), dict):
            self.patterns.update(schema["patternProperties"])
            self.patterns_of_names = True
        if "type" not in schema and any(keyword in schema for keyword in _TEXT):
            self.untyped_text = True

    def _target(self, reference: URI, resolver: Any, specification: Specification[Schema]) -> list[int]:
        try:
            found = resolver.lookup(reference)
        except AttributeError as error:
            # The library takes it that all of `dependencies` are schemas, or none.
            raise SchemaParseError(
                "its `dependencies` mix schemas and lists of names; write the lists as schemas"
            ) from error
        except (Unresolvable, ValueError, RecursionError) as error:
            raise SchemaParseError(f"the reference {reference[:200]!r} leads nowhere: {_why(error)}") from error
        contents = found.contents
        if isinstance(contents, dict) and "$schema" in contents:
            specification = _specification(contents)
        number = self._number(contents, found.resolver, specification)
        return [] if number is None else [number]


def _why(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error) if type(error) is LookupError else "there is no such place"


def _specification(schema: dict[str, Any]) -> Specification[Schema]:
    return specification_with(str(schema["$schema"]), default=DRAFT7)


def _parts(schema: dict[str, Any], kind: type[list[Any] | dict[str, Any]], keywords: Sequence[str]) -> Iterator[Any]:
    """What stands in the lists, or behind the names, of some keywords; those of another kind are left out."""
    for keyword in keywords:
        value = schema.get(keyword)
        if isinstance(value, kind):
            yield from value.values() if isinstance(value, dict) else value


def _finished(below: Sequence[Sequence[int]]) -> tuple[list[int], set[tuple[int, int]]]:
    """Nodes in the order in which a search from the first one leaves them, and the edges that lead back to its own way."""
    order: list[int] = []
    back: set[tuple[int, int]] = set()
    seen, on_way = [False] * len(below), [False] * len(below)
    for root in range(len(below)):
        if seen[root]:
            continue
        seen[root] = on_way[root] = True
        way = [(root, iter(below[root]))]
        while way:
            one, rest = way[-1]
            for other in rest:
                if on_way[other]:
                    back.add((one, other))
                elif not seen[other]:
                    seen[other] = on_way[other] = True
                    way.append((other, iter(below[other])))
                    break
            else:
                on_way[one] = False
                order.append(one)
                way.pop()
    return order, back
