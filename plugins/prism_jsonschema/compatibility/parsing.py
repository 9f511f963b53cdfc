"""Schema texts to nodes. Every ``$ref`` is looked up among the texts that are given; nothing is fetched, ever."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Final

from prism_jsonschema.compatibility.keywords import KEYWORDS, WrongKeywordError
from prism_jsonschema.compatibility.nodes import Node, Schema, find_twins
from prismlib.contracts.format import SchemaText
from prismlib.errors import SchemaParseError

_MOST_TEXT: Final = 1 << 20
"""Characters of a schema and all that it imports; a registry's own topic takes as much by default."""
_MOST_NODES: Final = 60_000
_DEEPEST: Final = 100

_DRAFTS: Final = {
    "json-schema.org/draft-04/schema": 4,
    "json-schema.org/draft-06/schema": 6,
    "json-schema.org/draft-07/schema": 7,
    "json-schema.org/draft/2019-09/schema": 2019,
    "json-schema.org/draft/2020-12/schema": 2020,
}
_DEFAULT_DRAFT: Final = 7
"""Of a schema without ``$schema``, as in Confluent's registry."""

_HOLDERS: Final = frozenset({"$defs", "definitions"})


def parse(schema: SchemaText) -> Schema:
    """Parse a schema.

    Raises:
        SchemaParseError: it is no JSON Schema, refers to what is not there or to itself alone, or is too large.
    """
    size = len(schema.text) + sum(map(len, schema.references.values()))
    if size > _MOST_TEXT:
        raise SchemaParseError(f"{schema.where}: it has {size:,} characters with what it imports, over {_MOST_TEXT:,}")
    return _Parser(schema).parse()


@dataclass(slots=True)
class _Document:
    raw: Any
    draft: int
    base: str
    name: str


class _Parser:
    def __init__(self, schema: SchemaText) -> None:
        self._schema = schema
        self._raws: dict[str, Any] = {}
        self._references = schema.references
        self._documents: dict[str, _Document] = {}
        self._by_address: dict[str, tuple[Any, _Document, str, str]] = {}
        self._anchors: dict[tuple[str, str], tuple[Any, _Document, str, str]] = {}
        self._nodes: dict[int, Node] = {}
        self._built: list[Node] = []
        self._open: list[tuple[Node, str, str, _Document]] = []
        self._depth = 0

    def parse(self) -> Schema:
        raw = self._json(self._schema.text, "")
        document = _Document(raw, self._draft(raw, ""), "", "")
        self._by_address[""] = (raw, document, "", "")
        root = self._node(raw, document, "", "")
        while self._open:
            node, ref, base, found_in = self._open.pop()
            node.ref = self._resolve(ref, base, found_in, node.path)
        self._refuse_loops()
        find_twins(self._built)
        return Schema(root, raw, self._schema.where)

    # --- texts ---------------------------------------------------------------------------------------------------------

    def _json(self, text: str, name: str) -> Any:
        try:
            raw = json.loads(text, parse_constant=_no_constant, parse_float=_finite)
        except json.JSONDecodeError as error:
            place = f"line {error.lineno}, column {error.colno}"
            raise SchemaParseError(f"{self._called(name)}: {place}: not JSON: {error.msg}") from error
        except ValueError as error:
            reason = "a number has too many digits" if "digits" in str(error) else error
            raise SchemaParseError(f"{self._called(name)}: not JSON: {reason}") from error
        except RecursionError as error:
            raise SchemaParseError(f"{self._called(name)}: nested too deeply to be a schema") from error
        if not isinstance(raw, dict | bool):
            raise SchemaParseError(f"{self._called(name)}: neither an object nor true or false, so no JSON Schema")
        if "\\u" in text or not text.isascii():
            try:
                json.dumps(raw, ensure_ascii=False).encode()
            except UnicodeEncodeError as error:
                raise SchemaParseError(
                    f"{self._called(name)}: a string holds half of a surrogate pair, which is no text"
                ) from error
        return raw

    def _draft(self, raw: Any, name: str) -> int:
        said = raw.get("$schema") if isinstance(raw, dict) else None
        if said is None:
            return _DEFAULT_DRAFT
        known = _DRAFTS.get(said.partition("://")[2].rstrip("#")) if isinstance(said, str) else None
        if known is None:
            raise SchemaParseError(
                f"{self._called(name)}: $schema is {said!r}; known are the drafts 4, 6, 7, 2019-09 and 2020-12"
            )
        return known

    def _called(self, name: str) -> str:
        return f"{self._schema.where}: the imported {name!r}" if name else self._schema.where

    def _wrong(self, path: str, document: _Document, reason: str) -> SchemaParseError:
        from prism_jsonschema.compatibility.lines import line_at  # noqa: PLC0415  # for errors alone

        text = self._references[document.name] if document.name else self._schema.text
        line = line_at(text, path)
        place = f"line {line}, {path or '/'}" if line else path
        return SchemaParseError(f"{self._called(document.name)}: {place}: {reason}")

    # --- nodes ---------------------------------------------------------------------------------------------------------

    def _node(self, raw: Any, document: _Document, base: str, path: str) -> Node:
        if raw.__class__ is dict:
            known = self._nodes.get(id(raw))
            if known is not None:
                return known
        elif raw.__class__ is not bool:
            raise self._wrong(path, document, "a schema is an object, or true or false")
        if len(self._built) >= _MOST_NODES:
            raise SchemaParseError(f"{self._schema.where}: more than {_MOST_NODES:,} subschemas")
        if self._depth >= _DEEPEST:
            raise self._wrong(path, document, f"nested more than {_DEEPEST} subschemas deep")
        node = Node()
        node.path = path
        node.draft = draft = document.draft
        node.raw = raw
        self._built.append(node)
        if raw.__class__ is bool:
            node.always = raw
            if not raw:
                node.own["false"] = True
            return node
        self._nodes[id(raw)] = node
        base = self._identify(raw, document, base, path)
        if not path:
            document.base = base
        ref = raw.get("$ref")
        if "$ref" in raw:
            if not isinstance(ref, str):
                raise self._wrong(path, document, "$ref must be text")
            node.target = ref
            self._open.append((node, ref, base, document))
        alone = ref is not None and draft <= 7

        def build(sub: Any, keyword: str, name: str) -> Node:
            step = f"{path}/{keyword}/{_escaped(name)}" if name else f"{path}/{keyword}"
            made = self._node(sub, document, base, step)
            if keyword not in _HOLDERS:
                node.subs[keyword, name] = made
            return made

        self._depth += 1
        readers = KEYWORDS[draft]
        for keyword, value in raw.items():
            reader = readers.get(keyword)
            if reader is None or (alone and keyword not in _HOLDERS):
                continue
            try:
                reader(node, value, build)
            except WrongKeywordError as error:
                raise self._wrong(f"{path}/{_escaped(keyword)}", document, f"{keyword} must be {error}") from None
        self._depth -= 1
        return node

    def _identify(self, raw: dict[str, Any], document: _Document, base: str, path: str) -> str:
        """Register what the schema is called; its base for references."""
        draft = document.draft
        identity = raw.get("id" if draft == 4 else "$id")
        if isinstance(identity, str) and not (draft <= 7 and "$ref" in raw):
            address, _, fragment = identity.partition("#")
            if address:
                base = _joined(base, address)
                self._by_address.setdefault(base, (raw, document, base, path))
            if fragment and draft <= 7:
                self._anchors.setdefault((base, fragment), (raw, document, base, path))
        if draft >= 2019:
            for keyword in ("$anchor", "$dynamicAnchor"):
                anchor = raw.get(keyword)
                if isinstance(anchor, str):
                    self._anchors.setdefault((base, anchor), (raw, document, base, path))
        return base

    # --- references ----------------------------------------------------------------------------------------------------

    def _resolve(self, ref: str, base: str, document: _Document, path: str) -> Node:
        address, _, fragment = ref.partition("#")
        found = self._find(address, base, document)
        if found is None:
            raise self._wrong(
                path,
                document,
                f"$ref {ref!r} is in neither the schema nor its references; list it among them, under that name",
            )
        raw, inside, inner, at = found
        fragment = _unquoted(fragment)
        if fragment and not fragment.startswith("/"):
            anchored = self._anchors.get((inner, fragment))
            if anchored is None:
                raise self._wrong(path, document, f"$ref {ref!r}: there is no anchor {fragment!r}")
            raw, inside, inner, at = anchored
            return self._node(raw, inside, inner, at)
        for step in fragment.split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            raw = _below(raw, key)
            if raw is None:
                raise self._wrong(path, document, f"$ref {ref!r} leads to nothing")
            at = f"{at}/{step}"
            own = raw.get("id" if inside.draft == 4 else "$id") if isinstance(raw, dict) else None
            if isinstance(own, str) and own.partition("#")[0]:
                inner = _joined(inner, own.partition("#")[0])
        return self._node(raw, inside, inner, at)

    def _find(self, address: str, base: str, document: _Document) -> tuple[Any, _Document, str, str] | None:
        if not address:
            own = self._by_address.get(base)
            return own or (document.raw, document, document.base, "")
        joined = _joined(base, address)
        known = self._by_address.get(joined)
        if known is not None:
            return known
        for name in (address, _unquoted(address), joined):
            if name in self._references:
                return self._import(name, joined)
        for name in self._references:  # one may call itself by that address
            self._import(name, name)
        return self._by_address.get(joined)

    def _import(self, name: str, address: str) -> tuple[Any, _Document, str, str]:
        document = self._documents.get(name)
        if document is None:
            raw = self._json(self._references[name], name)
            document = _Document(raw, self._draft(raw, name), address, name)
            self._documents[name] = document
            depth, self._depth = self._depth, 0
            self._node(raw, document, address, "")
            self._depth = depth
        found = (document.raw, document, document.base, "")
        return self._by_address.setdefault(address, found)

    def _refuse_loops(self) -> None:
        """A schema that asks about a value only itself, before it looks at the value, says nothing."""
        done: set[int] = set()
        for start in self._built:
            if id(start) in done:
                continue
            line: list[Node] = [start]
            waiting = [iter(start.in_place)]
            entered = {id(start)}
            while line:
                following = next(waiting[-1], None)
                if following is None:
                    node = line.pop()
                    waiting.pop()
                    done.add(id(node))
                    entered.discard(id(node))
                elif id(following) in entered:
                    raise SchemaParseError(
                        f"{self._schema.where}: {following.path or '/'}: its references lead back to itself "
                        "before they say anything"
                    )
                elif id(following) not in done:
                    line.append(following)
                    waiting.append(iter(following.in_place))
                    entered.add(id(following))


def _below(raw: Any, key: str) -> Any:
    if isinstance(raw, dict):
        return raw.get(key)
    if isinstance(raw, list) and key.isdecimal() and len(key) < 9 and int(key) < len(raw):
        return raw[int(key)]
    return None


def _joined(base: str, address: str) -> str:
    if not base:
        return address
    from urllib.parse import urljoin  # noqa: PLC0415  # takes a tenth of a check's time, and few schemas need it

    return urljoin(base, address)


def _unquoted(text: str) -> str:
    if "%" not in text:
        return text
    from urllib.parse import unquote  # noqa: PLC0415  # as above

    return unquote(text)


def _escaped(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1") if "~" in step or "/" in step else step


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:40]} is too large")
    return number
