"""jsonschema-rs, with the options that make it safe: nothing is fetched, and patterns are bounded.

``format``, ``contentEncoding`` and ``contentMediaType`` are annotations in every draft: they reject nothing, as in
Confluent's registry and its clients.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import jsonschema_rs

from prism_jsonschema.documents import Documents
from prismlib.errors import SchemaParseError

_LINEAR: Final = jsonschema_rs.RegexOptions(size_limit=1 << 16)
_BOUNDED: Final = jsonschema_rs.FancyRegexOptions(backtrack_limit=10_000, size_limit=4 << 20, dfa_size_limit=1 << 20)


class _Annotation:
    """A keyword that rejects nothing."""

    def __init__(self, parent: Any, value: Any, path: Any) -> None:
        pass

    def validate(self, instance: Any) -> None:
        pass


_ANNOTATIONS: Final = ("contentEncoding", "contentMediaType")


def check_schemas(documents: Documents) -> None:
    """Compare a schema and what it imports with their drafts' own schemas.

    Raises:
        SchemaParseError: one is no schema.
    """
    for document in (documents.root, *documents.imported.values()):
        try:
            jsonschema_rs.meta.validate(document)
        except jsonschema_rs.ValidationError as error:
            raise _no_schema(error) from error
        except (ValueError, TypeError, OverflowError) as error:
            raise SchemaParseError(f"it cannot be read: {str(error)[:200]}") from error


def compile_schema(documents: Documents) -> Callable[[Any], bool]:
    """A function that says whether a parsed value fits. It may raise ValueError for what JSON has not got.

    Raises:
        SchemaParseError: a pattern is none or too large, or a reference leads to no schema.
    """
    text = json.dumps([documents.root, *documents.imported.values()])
    # Any keyword of our own, used or not, would double the time of every check.
    annotations: dict[str, Any] = {name: _Annotation for name in _ANNOTATIONS if f'"{name}"' in text}
    try:
        return jsonschema_rs.validator_for(
            documents.root,
            base_uri=documents.base,
            retriever=documents.retrieve,
            validate_formats=False,
            pattern_options=_BOUNDED,
            keywords=annotations or None,
        ).is_valid
    except jsonschema_rs.ValidationError as error:
        raise _no_schema(error) from error
    except (ValueError, TypeError, OverflowError, jsonschema_rs.ReferencingError) as error:
        raise SchemaParseError(f"it cannot be compiled: {str(error)[:200]}") from error


def _no_schema(error: jsonschema_rs.ValidationError) -> SchemaParseError:
    place = "".join(f"/{part}" for part in error.instance_path)
    return SchemaParseError(f"it is no valid JSON Schema at {place[:200] or 'its root'}: {error.message[:200]}")


def is_linear(pattern: str) -> bool:
    """Whether matching a text takes time in proportion to its length: no look-around, no back-references, and small."""
    try:
        jsonschema_rs.Draft7Validator({"pattern": pattern}, pattern_options=_LINEAR)
    except ValueError:
        return False
    return True


def matcher(pattern: str) -> Callable[[Any], bool]:
    """Whether a text matches, as it does in a whole schema."""
    return jsonschema_rs.Draft7Validator({"pattern": pattern}, pattern_options=_BOUNDED).is_valid


has_unique_items: Final = jsonschema_rs.Draft7Validator({"uniqueItems": True}).is_valid
"""Whether no two elements of a list are equal, in less than quadratic time."""
