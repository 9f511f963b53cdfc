"""What differs between two versions, for people. Imported only where a person asks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prism_jsonschema.compatibility.equality import Equality
from prism_jsonschema.compatibility.nodes import MISSING, NUMBERS, Node, Schema, deref, written
from prism_jsonschema.compatibility.pairs import Place
from prism_jsonschema.compatibility.wording import bound_text, joined, words
from prismlib.contracts.format import Change
from prismlib.errors import ContractError

_MOST_STEPS = 40_000
_TOLD = frozenset({"type", "enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "required"})


def changes(old: Schema, new: Schema) -> list[Change]:
    """All of it, in the order of the newer version, removed things where they stood. Raises ContractError."""
    return list(_Comparison().nodes(old.root, new.root, Place()))


class _Comparison:
    def __init__(self) -> None:
        self._left = _MOST_STEPS
        self._seen: set[tuple[int, int]] = set()
        self._equality = Equality(self._spend)

    def _spend(self, steps: int = 1) -> None:
        self._left -= steps
        if self._left < 0:
            raise ContractError("the schemas are too large to be compared")

    def nodes(
        self, old: Node, new: Node, place: Place, optional: tuple[bool, bool] = (False, False)
    ) -> Iterator[Change]:
        """Two nodes that stand at one place; ``optional`` says whether the property can be left out."""
        self._spend()
        old, new = deref(old), deref(new)
        before, after = describe(old, optional=optional[0]), describe(new, optional=optional[1])
        if before != after:
            yield Change("changed", place.path, before, after)
        if (id(old), id(new)) in self._seen or self._equality.same(old, new):
            return
        self._seen.add((id(old), id(new)))
        for keyword in sorted((old.own.keys() | new.own.keys()) - _TOLD):
            yield from _keyword(old, new, keyword, place)
        if old.default != new.default:
            yield from _texts(place.step("default"), _default(old), _default(new))
        yield from self._properties(old, new, place)
        yield from self._subschemas(old, new, place)

    def _properties(self, old: Node, new: Node, place: Place) -> Iterator[Change]:
        before, after = _properties(old), _properties(new)
        needed = (_required(old), _required(new))
        for name in merged(list(before), list(after)):
            here = place.property_(name)
            optional = (name not in needed[0], name not in needed[1])
            if name not in after:
                yield Change("removed", here.path, describe(before[name], optional=optional[0]), "")
            elif name not in before:
                yield Change("added", here.path, "", describe(after[name], optional=optional[1]))
            else:
                yield from self.nodes(before[name], after[name], here, optional)

    def _subschemas(self, old: Node, new: Node, place: Place) -> Iterator[Change]:
        before, after = _others(old), _others(new)
        for step in merged(list(before), list(after)):
            here = place.step(step)
            if step not in after:
                yield Change("removed", here.path, describe(before[step]), "")
            elif step not in before:
                yield Change("added", here.path, "", describe(after[step]))
            else:
                yield from self.nodes(before[step], after[step], here)


def _properties(node: Node) -> dict[str, Node]:
    return {name: one for part in node.parts for name, one in part.properties.items()}


def _required(node: Node) -> frozenset[str]:
    return frozenset().union(*(part.required for part in node.parts))


def _others(node: Node) -> dict[str, Node]:
    """Subschemas besides properties, by their step in a path."""
    found = {}
    for part in node.parts:
        for (keyword, name), one in part.subs.items():
            if keyword not in ("properties", "allOf"):
                found[f"{keyword}/{name}" if name else keyword] = one
    return found


def merged(old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    """The names of both, in the order of the new, and the others behind what they stood behind."""
    gone: dict[str, list[str]] = {"": []}
    last, kept = "", set(new)
    for name in old:
        if name in kept:
            last = name
        else:
            gone.setdefault(last, []).append(name)
    yield from gone[""]
    for name in new:
        yield name
        if name:
            yield from gone.get(name, ())


def describe(node: Node, *, optional: bool = False) -> str:
    """A node in a few words: ``string (date-time), optional``, ``integer, minimum 0``, ``array of Line``."""
    target = deref(node)
    if target.always is not None:
        text = "anything" if target.always else "nothing"
    else:
        text = ", ".join([_kind(target), *_bounds(target)])
    if target.format or target.encoding:
        text += f" ({' of '.join(filter(None, (target.format, target.encoding)))})"
    return f"{text}, optional" if optional else text


def _kind(node: Node) -> str:
    if node.values is not None:
        return "one of " + ", ".join(sorted(map(written, node.values))[:12])
    branches = node.any_of or node.one_of
    types = next((part.types for part in node.parts if part.types is not None), None)
    if types is None:
        return joined([_short(one) for one in branches[:8]]) if branches else "anything"
    names = words(types)
    if names == ["array"] and node.items is not None:
        return f"array of {_short(node.items)}"
    return joined(names)


def _short(node: Node) -> str:
    target = deref(node)
    return node.label or target.label or (joined(words(target.types)) if target.types else "anything")


def _bounds(node: Node) -> list[str]:
    if node.types is not None and not node.types & NUMBERS:
        return []
    return [bound_text(upper, bound) for upper, bound in enumerate(node.bounds) if bound is not None]


def _keyword(old: Node, new: Node, keyword: str, place: Place) -> Iterator[Change]:
    before, after = (_said(node, keyword) for node in (old, new))
    if before == after:
        return
    kind = "added" if not before else "removed" if not after else "changed"
    yield Change(kind, place.step(keyword).path, before, after)  # type: ignore[arg-type]  # one of its words


def _said(node: Node, keyword: str) -> str:
    if keyword not in node.own:
        return ""
    value = node.raw.get(keyword) if isinstance(node.raw, dict) else None
    return _shortened(value if isinstance(value, str) else repr(node.own[keyword]) if value is None else str(value))


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


def _default(node: Node) -> str:
    return "" if node.default is MISSING else written(node.default)


def _texts(place: Place, before: str, after: str) -> Iterator[Change]:
    if before != after:
        yield Change("added" if not before else "removed" if not after else "changed", place.path, before, after)
