"""The contract of a consumer: the reader schema narrowed to the properties that it reads. Imported where one is made.

What is not read may change freely: objects are left open, and what is said of them as a whole (``maxProperties``,
``propertyNames``, conditions) stays behind. ``oneOf`` becomes ``anyOf``: branches that were told apart by a property that is
not read would overlap.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from prism_jsonschema.compatibility.facts import is_alone
from prism_jsonschema.compatibility.names import matches
from prism_jsonschema.compatibility.nodes import Node, Schema
from prismlib.errors import ContractError, UnknownFieldError

Tree: TypeAlias = "dict[str, Tree] | None"
"""What is read of an object, by name; None for everything."""

Keys: TypeAlias = tuple[str, ...]

_MOST_NODES: Final = 20_000
_ANYTHING: Final = {"additionalProperties", "unevaluatedProperties", "minProperties", "maxProperties", "propertyNames"}
_NAMES: Final = {"$id", "id", "$schema", "$anchor", "$dynamicAnchor", "$recursiveAnchor", "$defs", "definitions"}
_AS_WRITTEN: Final = {"not", "if"}
_WORDS: Final = ("title", "description", "type")
_SCALAR_WORDS: Final = (*_WORDS, "default", "format", "contentEncoding", "contentMediaType")


def project(schema: Schema, reads: frozenset[str]) -> str:
    """The text of the contract.

    Args:
        schema: of the writer.
        reads: dotted paths of what is read.

    Raises:
        UnknownFieldError: a path names nothing.
        ContractError: the contract would be too large, or mixes drafts.
    """
    return _Projection(schema).text(reads)


class _Projection:
    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._draft = schema.root.draft
        self._found: set[Keys] = set()
        self._offered: dict[Keys, set[str]] = {}
        self._definitions: dict[str, Any] = {}
        self._named: dict[int, str] = {}
        self._open: set[tuple[int, int]] = set()
        self._hits = 0
        self._left = _MOST_NODES

    def text(self, reads: frozenset[str]) -> str:
        paths = sorted(reads - {"*"})
        tree = None if "*" in reads else _tree(paths)
        try:
            for path in paths:
                if tree is None or any(path.startswith(f"{other}.") for other in paths):
                    # read with all that is around it, but it must name something
                    self._narrow(self._schema.root, _tree([path]), ())
            contract = self._whole(self._schema.root) if tree is None else self._narrow(self._schema.root, tree, ())
        except RecursionError as error:
            raise ContractError(f"{self._schema.where}: nested too deeply for a contract") from error
        self._refuse_unknown(paths)
        if isinstance(contract, bool):
            contract = {} if contract else {"not": {}}
        draft = self._schema.raw.get("$schema") if isinstance(self._schema.raw, dict) else None
        contract = {**({"$schema": draft} if draft else {}), **contract}
        if self._definitions:
            contract["$defs" if self._draft >= 2019 else "definitions"] = self._definitions
        text = json.dumps(contract, indent=2, ensure_ascii=False) + "\n"
        # half of a surrogate pair can be said in JSON alone
        return text if text.isascii() or _encodes(text) else json.dumps(contract, indent=2) + "\n"

    def _spend(self, node: Node) -> None:
        self._left -= 1
        if self._left < 0:
            raise ContractError(f"{self._schema.where}: a contract of more than {_MOST_NODES:,} subschemas")
        if node.draft != self._draft and {node.draft, self._draft} != {6, 7}:
            raise ContractError(
                f"{self._schema.where}: its references are of another draft, so one contract cannot hold them; "
                "give all of them one $schema"
            )

    def _hit(self, keys: Keys) -> None:
        self._hits += 1
        self._found.add(keys)

    # --- what is read in part ----------------------------------------------------------------------------------------------

    def _narrow(self, node: Node, tree: dict[str, Tree], at: Keys) -> Any:
        """A node with just what ``tree`` says; ``at`` are the names that lead there."""
        self._spend(node)
        if node.always is not None:
            return node.always
        key = (id(node), id(tree))
        if key in self._open:  # it contains itself, with no property between
            return {}
        self._open.add(key)
        raw = node.raw
        out: dict[str, Any] = {
            word: raw[word]
            for word in (_WORDS if node.subs or node.ref else _SCALAR_WORDS)
            if word in raw and not (node.target and node.draft <= 7)
        }
        if "type" not in out and node.types is None and node.values is not None:
            out["enum"] = raw["enum"] if "enum" in raw else [raw["const"]]
        if node.ref is not None:
            label = node.label
            inner = self._narrow(node.ref, tree, at)
            out = {**inner, **out} if isinstance(inner, dict) else out
            if label:
                out.setdefault("title", label)
        self._offered.setdefault(at, set()).update(node.properties)
        self._objects(node, tree, at, out)
        self._arrays(node, tree, at, out)
        self._branches(node, tree, at, out)
        self._open.discard(key)
        return out

    def _objects(self, node: Node, tree: dict[str, Tree], at: Keys, out: dict[str, Any]) -> None:
        properties = {}
        for name, schema in node.properties.items():
            if name in tree:
                self._hit((*at, name))
                inner = tree[name]
                properties[name] = self._whole(schema) if inner is None else self._narrow(schema, inner, (*at, name))
        if properties:
            out["properties"] = {**out.get("properties", {}), **properties}
        required = [name for name in node.raw.get("required", ()) if name in tree] if node.required else []
        if required:
            out["required"] = list(dict.fromkeys([*out.get("required", ()), *required]))
        elsewhere = {name: inner for name, inner in tree.items() if name not in node.properties}
        if not elsewhere:
            return
        for pattern, schema in node.patterns.items():
            own = {name: inner for name, inner in elsewhere.items() if matches(pattern, name)}
            for name in own:
                self._hit((*at, name))
            inner = self._whole(schema) if own else self._through(schema, elsewhere, at)
            if inner is not None:
                out.setdefault("patternProperties", {})[pattern] = inner
        if node.additional is not None and node.additional.always is None:
            inner = self._through(node.additional, elsewhere, at)
            if inner is not None:
                out["additionalProperties"] = inner
                # what is declared is no part of the map
                others = {name: True for name in node.properties if name not in tree}
                out["properties"] = {**out.get("properties", {}), **others}
                if not out["properties"]:
                    del out["properties"]

    def _arrays(self, node: Node, tree: dict[str, Tree], at: Keys, out: dict[str, Any]) -> None:
        items = None if node.items is None else self._through(node.items, tree, at)
        prefix = [self._through(one, tree, at) for one in node.prefix]
        by_position = node.draft < 2020
        if any(one is not None for one in prefix):
            out["items" if by_position else "prefixItems"] = [{} if one is None else one for one in prefix]
            if items is not None:
                out["additionalItems" if by_position else "items"] = items
        elif items is not None and not node.prefix:
            out["items"] = items

    def _through(self, node: Node, tree: dict[str, Tree], at: Keys) -> Any:
        """What is read of items or of a map's values; None where nothing is."""
        before = self._hits
        inner = self._narrow(node, tree, at)
        return inner if self._hits > before else None

    def _branches(self, node: Node, tree: dict[str, Tree], at: Keys, out: dict[str, Any]) -> None:
        together = [inner for one in node.all_of if (inner := self._through(one, tree, at)) is not None]
        if together:
            out["allOf"] = together
        for branches in filter(None, (node.any_of, node.one_of)):
            narrowed = [self._narrow(one, tree, at) for one in branches]
            if "anyOf" in out:
                out.setdefault("allOf", []).append({"anyOf": narrowed})
            else:
                out["anyOf"] = narrowed
        if node.condition is not None:
            outcomes = {"then": node.consequence, "else": node.alternative}
            read = {word: self._through(one, tree, at) for word, one in outcomes.items() if one is not None}
            if any(one is not None for one in read.values()):
                out["if"] = self._whole(node.condition, as_written=True)
                out.update({word: one for word, one in read.items() if one is not None})
        for name, schema in node.then_also.items():
            inner = self._through(schema, tree, at)
            if inner is not None:
                word = "dependentSchemas" if node.draft >= 2019 else "dependencies"
                out.setdefault(word, {})[name] = inner

    def _refuse_unknown(self, paths: Iterable[str]) -> None:
        for path in paths:
            keys = tuple(path.split("."))
            if keys[-1] == "*":
                keys = keys[:-1]
            for length in range(1, len(keys) + 1):
                if keys[:length] in self._found:
                    continue
                offered = sorted(self._offered.get(keys[: length - 1], ()))
                near = difflib.get_close_matches(keys[length - 1], offered, 1)
                hint = f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(offered[:8]) or 'none'}"
                raise UnknownFieldError(
                    f"reads {path!r}, and {self._schema.where} has no property {keys[length - 1]!r} there{hint}",
                    path=path,
                )

    # --- what is read as a whole ---------------------------------------------------------------------------------------------

    def _whole(self, node: Node, *, as_written: bool = False) -> Any:
        """All of a node, open where it was closed; what it refers to goes into the definitions."""
        self._spend(node)
        if node.always is not None:
            return {} if node.always and not as_written else node.always  # true says that nothing is read
        if node.target and node.draft <= 7:
            return {"$ref": self._definition(node, as_written=as_written)}
        raw = node.raw
        out: dict[str, Any] = {}
        for keyword, value in raw.items():
            if keyword == "unevaluatedItems" and not as_written and not is_alone(node):
                continue  # what it means depends on more than can be told of a value beforehand
            if keyword in _NAMES or (not as_written and keyword in _ANYTHING and not self._is_map(node, keyword)):
                continue
            if keyword == "$ref":
                out[keyword] = self._definition(node, as_written=as_written)
                continue
            inside = as_written or keyword in _AS_WRITTEN or (keyword == "contains" and node.max_contains is not None)
            subs = {name: sub for (word, name), sub in node.subs.items() if word == keyword}
            if not subs:
                new = value
            elif isinstance(value, dict) and "" not in subs:
                new = {
                    name: self._whole(subs[name], as_written=inside) if name in subs else one
                    for name, one in value.items()
                }
            elif isinstance(value, list):
                new = [self._whole(subs[str(index)], as_written=inside) for index in range(len(value))]
            else:
                new = self._whole(subs[""], as_written=inside)
            if keyword == "oneOf" and not as_written and "anyOf" in raw:
                out["allOf"] = [*out.get("allOf", ()), {"anyOf": new}]
            elif keyword == "allOf":
                out["allOf"] = [*new, *out.get("allOf", ())]
            else:
                out["anyOf" if keyword == "oneOf" and not as_written else keyword] = new
        return out

    @staticmethod
    def _is_map(node: Node, keyword: str) -> bool:
        return keyword == "additionalProperties" and node.additional is not None and node.additional.always is None

    def _definition(self, node: Node, *, as_written: bool) -> str:
        target = node.ref
        assert target is not None  # noqa: S101  # parsing found it
        word = "$defs" if self._draft >= 2019 else "definitions"
        key = id(target) * 2 + as_written
        name = self._named.get(key)
        if name is None:
            label = node.label or node.target.rpartition("/")[2].strip("#").removesuffix(".json") or "root"
            name = label
            number = 2
            while name in self._definitions:
                name, number = f"{label}{number}", number + 1
            self._named[key] = name
            self._definitions[name] = {}
            self._definitions[name] = self._whole(target, as_written=as_written)
        from urllib.parse import quote  # noqa: PLC0415  # takes a tenth of a check's time

        return f"#/{word}/{quote(name.replace('~', '~0').replace('/', '~1'), safe='~$')}"


def _tree(paths: Iterable[str]) -> dict[str, Tree]:
    tree: dict[str, Tree] = {}
    for path in paths:
        inside: Tree = tree
        keys = path.split(".")
        if keys[-1] == "*":
            keys.pop()
        for position, key in enumerate(keys):
            assert inside is not None  # noqa: S101  # left below
            if position == len(keys) - 1:
                inside[key] = None
            elif inside.setdefault(key, {}) is None:
                break
            else:
                inside = inside[key]
    return tree


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
