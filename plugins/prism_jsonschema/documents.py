"""A registered schema and what it imports, as documents that refer to each other and to nothing else.

References are names, as in Confluent's registry: a ``$ref`` finds an imported schema by the name it is registered under,
taken as it is or relative to the ``$id`` of the schema that says it. Nothing is ever fetched, from a network or a file.

A schema without ``$schema`` is of draft-07, as in Confluent's registry; so is an imported one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote, urldefrag, urljoin

from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped]

from prismlib.errors import SchemaParseError

_METASCHEMAS: Final[Any] = REGISTRY

MOST_TEXT: Final = 1 << 20
"""Characters of a schema and all that it imports; a registry's own topic takes as much by default."""

BASE: Final = "http://registry.invalid/"
"""Where documents without ``$id`` are taken to lie; a name that can never be looked up."""

DRAFTS: Final = {
    "draft-04/schema": "http://json-schema.org/draft-04/schema#",
    "draft-06/schema": "http://json-schema.org/draft-06/schema#",
    "draft-07/schema": "http://json-schema.org/draft-07/schema#",
    "draft/2019-09/schema": "https://json-schema.org/draft/2019-09/schema",
    "draft/2020-12/schema": "https://json-schema.org/draft/2020-12/schema",
}
"""The drafts that are known, by what follows ``http://json-schema.org/``."""
DEFAULT_DRAFT: Final = DRAFTS["draft-07/schema"]


@dataclass(frozen=True, slots=True)
class Documents:
    """What one schema consists of.

    Attributes:
        root: the schema itself, with its ``$schema``.
        base: its address.
        imported: the schemas that it may refer to, by every address that may mean them.
    """

    root: dict[str, Any]
    base: str
    imported: Mapping[str, dict[str, Any]]

    def retrieve(self, address: str) -> dict[str, Any]:
        """The imported schema, or the meta-schema of a draft, at an address.

        Raises:
            LookupError: it is not among the registered references.
        """
        wanted = urldefrag(address).url
        found = self.imported.get(wanted, self.imported.get(unquote(wanted)))
        if found is None and address in _METASCHEMAS:
            found = dict(_METASCHEMAS.contents(address))
        if found is None:
            raise LookupError(f"{wanted.removeprefix(BASE)} is not among its registered references")
        return found


def read_documents(text: str, references: Mapping[str, str]) -> Documents:
    """Parse a schema and what it imports.

    Args:
        text: of the schema.
        references: text of what it imports, directly or not, by name.

    Raises:
        SchemaParseError: one is no JSON, no schema or of an unknown draft, or they are too large.
    """
    size = len(text) + sum(map(len, references.values()))
    if size > MOST_TEXT:
        raise SchemaParseError(f"it has {size} characters with what it imports, more than {MOST_TEXT}")
    root = _document(text, "it")
    named = {name: _document(other, f"the imported {name!r}") for name, other in references.items()}
    bases = dict.fromkeys([BASE, *(_address(one) for one in (root, *named.values()))])
    imported: dict[str, dict[str, Any]] = {}
    for name, document in named.items():
        for address in (_joined("", name), *(_joined(base, name) for base in bases), _address(document)):
            imported.setdefault(address, document)
    return Documents(root, _address(root), imported)


def _address(document: Mapping[str, Any]) -> str:
    name = "id" if document["$schema"] == DRAFTS["draft-04/schema"] else "$id"
    own = document.get(name)
    return _joined(BASE, own) if isinstance(own, str) else BASE


def _joined(base: str, name: str) -> str:
    try:
        return urldefrag(urljoin(base, name)).url
    except ValueError as error:
        raise SchemaParseError(f"the name {name[:200]!r} is no URI: {error}") from error


def _document(text: str, what: str) -> dict[str, Any]:
    try:
        parsed = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise SchemaParseError(f"{what} is not usable as JSON: {error}") from error
    if isinstance(parsed, bool):
        return {"$schema": DEFAULT_DRAFT} if parsed else {"$schema": DEFAULT_DRAFT, "not": {}}
    if not isinstance(parsed, dict):
        raise SchemaParseError(f"{what} is neither an object nor true or false")
    return {**parsed, "$schema": _draft(parsed.get("$schema"), what)}


def _draft(named: object, what: str) -> str:
    if named is None:
        return DEFAULT_DRAFT
    if isinstance(named, str):
        for prefix in ("http://json-schema.org/", "https://json-schema.org/"):
            draft = DRAFTS.get(named.removeprefix(prefix).removesuffix("#"))
            if named.startswith(prefix) and draft:
                return draft
    raise SchemaParseError(f"{what} names a $schema other than drafts 4, 6, 7, 2019-09 and 2020-12")


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
