"""A schema as the walker sees it: one node for each subschema, whichever of the drafts 4 to 2020-12 it is written in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, TypeAlias

Frozen: TypeAlias = Any
"""A JSON value that can be compared and hashed, and whose true is not 1."""

MISSING: Final = object()
"""No default; None is one."""

ALL_TYPES: Final = frozenset({"null", "boolean", "object", "array", "string", "integer", "fraction"})
"""What a value can be. A ``number`` is an ``integer`` or a ``fraction``."""

TYPES: Final[Mapping[str, frozenset[str]]] = {
    "number": frozenset({"integer", "fraction"}),
    **{name: frozenset({name}) for name in ALL_TYPES if name != "fraction"},
}
"""What each word of ``type`` stands for."""

NUMBERS: Final = TYPES["number"]


class Node:
    """One subschema. What it does not say stays at the class's value.

    Attributes:
        raw: as it was written.
        path: where it stands in its document, as a JSON pointer.
        draft: 4, 6, 7, 2019 or 2020.
        always: True and False for the schemas ``true`` and ``false``.
        own: every keyword that says something about values by itself, for comparing nodes.
        subs: every subschema, by keyword and, where there are several, by name or position.
        ref: what ``$ref`` leads to.
        target: the ``$ref`` as it was written, "" for none.
        items: for what stands behind ``prefix``, or for all items.
        unclear: keywords that cannot be decided here.
        twin: an equal node that stands for it; where many definitions list the same branches, they are looked at once.
    """

    raw: Any = True
    path: str = ""
    draft: int = 7
    always: bool | None = None
    own: dict[str, Frozen]
    subs: dict[tuple[str, str], Node]
    ref: Node | None = None
    target: str = ""
    types: frozenset[str] | None = None
    values: frozenset[Frozen] | None = None
    bounds: tuple[tuple[float, bool] | None, tuple[float, bool] | None] = (None, None)
    multiple_of: float | None = None
    min_length: float = 0
    max_length: float | None = None
    pattern: str | None = None
    prefix: tuple[Node, ...] = ()
    items: Node | None = None
    min_items: float = 0
    max_items: float | None = None
    unique: bool = False
    contains: Node | None = None
    min_contains: float = 1
    max_contains: float | None = None
    properties: Mapping[str, Node] = {}  # never changed in place
    patterns: Mapping[str, Node] = {}  # as above
    additional: Node | None = None
    names: Node | None = None
    required: frozenset[str] = frozenset()
    min_properties: float = 0
    max_properties: float | None = None
    needs: Mapping[str, frozenset[str]] = {}  # as above
    then_also: Mapping[str, Node] = {}  # as above
    all_of: tuple[Node, ...] = ()
    any_of: tuple[Node, ...] = ()
    one_of: tuple[Node, ...] = ()
    negated: Node | None = None
    condition: Node | None = None
    consequence: Node | None = None
    alternative: Node | None = None
    unevaluated_items: Node | None = None
    unevaluated_properties: Node | None = None
    format: str | None = None
    encoding: str = ""
    default: Frozen = MISSING
    unclear: tuple[str, ...] = ()
    twin: Node | None = None
    _parts: tuple[Node, ...] | None = None

    def __init__(self) -> None:
        self.own = {}
        self.subs = {}

    @property
    def parts(self) -> tuple[Node, ...]:
        """The nodes that hold together where this one does: itself, what ``$ref`` leads to, and the branches of ``allOf``."""
        if self._parts is None:
            if self.ref is None and not self.all_of:
                self._parts = (self,)
            else:
                found = {} if self.is_bare and self._only_joins and not self.format else {id(self): self}
                for one in (*self.all_of, *((self.ref,) if self.ref else ())):
                    found.update((id(part), part) for part in one.parts)
                self._parts = tuple(found.values())
        return self._parts

    @property
    def _only_joins(self) -> bool:
        return self.default is MISSING and not self.encoding and all(word == "allOf" for word, _ in self.subs)

    @property
    def in_place(self) -> Iterator[Node]:
        """What looks at the very value that this node looks at."""
        if self.ref is not None:
            yield self.ref
        yield from (*self.all_of, *self.any_of, *self.one_of, *self.then_also.values())
        for one in (self.negated, self.condition, self.consequence, self.alternative):
            if one is not None:
                yield one

    @property
    def is_true(self) -> bool:
        """Whether it takes every value."""
        return self.always or (self.always is None and not self.own and not self.subs and self.ref is None)

    @property
    def label(self) -> str:
        """The name by which people know a branch: that of its definition, or its title; "" for none."""
        node = deref(self)
        above, _, name = node.path.rpartition("/")
        if above in ("/$defs", "/definitions"):
            return name
        title = node.raw.get("title") if isinstance(node.raw, dict) else None
        return title if isinstance(title, str) else ""

    @property
    def is_bare(self) -> bool:
        """Whether it says nothing but what its subschemas and its ``$ref`` say."""
        return not self.own and self.always is None

    @property
    def is_plain(self) -> bool:
        """Whether another node that is written the same says the same, and all that it says is in its own keywords."""
        return not self.subs and self.ref is None and self.values is None and self.default is MISSING


@dataclass(frozen=True, slots=True)
class Schema:
    """A parsed schema.

    Attributes:
        root: its root.
        raw: the document.
        where: what to call it in errors.
    """

    root: Node
    raw: Any
    where: str


def freeze(value: Any) -> Frozen:
    """A JSON value made comparable; equal as JSON Schema says, so 1 is 1.0 and not true."""
    kind = value.__class__
    if kind is bool:
        return ("true",) if value else ("false",)
    if kind is dict:
        return ("object", frozenset((key, freeze(one)) for key, one in value.items()))
    if kind is list:
        return ("array", tuple(map(freeze, value)))
    return value


def type_of(value: Frozen) -> str:
    """The type, among ALL_TYPES, of a frozen value."""
    if value is None:
        return "null"
    if isinstance(value, str):
        return "string"
    if isinstance(value, tuple):
        return "boolean" if value[0] in ("true", "false") else value[0]
    return "integer" if value == int(value) else "fraction"


def thawed(value: Frozen) -> Any:
    """The JSON value again; the members of objects sorted."""
    if not isinstance(value, tuple):
        return value
    if value[0] == "object":
        return {key: thawed(one) for key, one in sorted(value[1])}
    if value[0] == "array":
        return [thawed(one) for one in value[1]]
    return value[0] == "true"


def is_multiple(number: float, step: float) -> bool:
    """Whether a number is a multiple of another one, both as they are written."""
    if isinstance(number, int) and isinstance(step, int):
        return number % step == 0
    return (Fraction(repr(number)) / Fraction(repr(step))).denominator == 1


def written(value: Frozen) -> str:
    """A value in a sentence, the beginning of a long one."""
    text = json.dumps(thawed(value))
    return text if len(text) <= 60 else f"{text[:57]}..."


def deref(node: Node) -> Node:
    """What stands for a node: its twin, or what its ``$ref`` leads to where it is nothing but that."""
    while True:
        if node.ref is not None and not node.own and not node.subs and node.default is MISSING and not node.format:
            node = node.ref
        elif node.twin is not None:
            node = node.twin
        else:
            return node


def find_twins(nodes: Iterable[Node]) -> None:
    """Let one node stand for all that list the same branches and say nothing else."""
    known: dict[tuple[str, tuple[int, ...]], Node] = {}
    for node in nodes:
        branches = node.any_of or node.one_of
        if not branches or not node.is_bare or node.ref is not None or len(node.subs) != len(branches):
            continue
        if node.default is not MISSING or node.format or node.encoding:
            continue
        key = ("anyOf" if node.any_of else "oneOf", tuple(id(deref(one)) for one in branches))
        first = known.setdefault(key, node)
        if first is not node:
            node.twin = first
