"""Ids of schemas that no server has numbered: the first 31 bits of the SHA-256 of the canonical schema.

The canonical form makes the id survive what nobody means as a change:

- Avro and JSON Schema: the JSON with sorted keys, without whitespace, not escaped to ASCII. ``doc`` and defaults count.
- Protobuf: the text with line feeds as line ends, without whitespace at the end of lines and of the file. Comments count.
- A schema that imports others: after that a line feed and, sorted, ``name TAB subject TAB version`` a line, because the
  same text means something else when it imports another version.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from prismlib.contracts.registry import FormatName, Reference
from prismlib.errors import SchemaParseError


def canonical(schema_format: FormatName, text: str, references: Sequence[Reference] = (), where: str = "schema") -> str:
    """The canonical form of a schema.

    Args:
        schema_format: of the schema.
        text: as it was written.
        references: what it imports.
        where: the file, for errors.

    Raises:
        SchemaParseError: an Avro or JSON Schema text is not JSON.
    """
    form = _protobuf(text) if schema_format == "protobuf" else _form(_load(text, where), where)
    if references:
        lines = sorted(f"{reference.name}\t{reference.subject}\t{reference.version}" for reference in references)
        form = "\n".join([form, *lines])
    return form


def check_form(schema_format: FormatName, text: str, where: str) -> None:
    """Raise what :func:`canonical` would, in less than half its time: the form itself is needed by ids only."""
    if schema_format != "protobuf":
        value = _load(text, where)
        if "\\u" in text:  # half a surrogate pair can be read, and not be written
            _form(value, where)


def schema_id(canonical_form: str) -> int:
    """The id of a canonical form, 0 to 2**31 - 1."""
    import hashlib  # noqa: PLC0415  # loads OpenSSL, and a check asks for no ids

    return int.from_bytes(hashlib.sha256(canonical_form.encode()).digest()[:4], "big") >> 1


def _protobuf(text: str) -> str:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(line.rstrip() for line in lines).rstrip()


def _load(text: str, where: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise SchemaParseError(
            f"{where}: line {error.lineno}, column {error.colno}: not valid JSON: {error.msg}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise SchemaParseError(f"{where}: not usable as JSON: {error}") from error


def _form(value: Any, where: str) -> str:
    try:
        form = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        form.encode()
    except (ValueError, RecursionError) as error:
        raise SchemaParseError(f"{where}: not usable as JSON: {error}") from error
    return form


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} stands twice in one object")
    return table


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
