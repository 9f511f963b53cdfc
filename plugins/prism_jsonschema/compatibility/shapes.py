"""What a reader says of objects and arrays: properties, names, counts of them, items."""

from __future__ import annotations

from collections.abc import Sequence

from prism_jsonschema.compatibility.facts import Facts, Nodes
from prism_jsonschema.compatibility.names import matches
from prism_jsonschema.compatibility.nodes import Node
from prism_jsonschema.compatibility.pairs import (
    Items,
    Place,
    Property,
    Refused,
    Required,
    Undeclared,
    Unproved,
    escaped,
)
from prism_jsonschema.compatibility.walk import TYPE_NODES, VALUE, Walk


class Shapes(Walk):
    """The duties of a node that concern what is inside a value."""

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
        if self._reads(schema, Facts((*promised, TYPE_NODES["string"]))):
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
