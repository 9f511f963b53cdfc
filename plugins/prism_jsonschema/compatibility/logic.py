"""What a reader excludes, and what it asks for under a condition."""

from __future__ import annotations

from prism_jsonschema.compatibility.facts import Facts, are_apart
from prism_jsonschema.compatibility.nodes import Node
from prism_jsonschema.compatibility.pairs import Place, Unproved, escaped
from prism_jsonschema.compatibility.walk import PART, Walk


class Logic(Walk):
    """The duties of ``not``, ``if`` and dependent schemas."""

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


def _requiring(name: str) -> Node:
    node = Node()
    node.required = frozenset({name})
    return node
