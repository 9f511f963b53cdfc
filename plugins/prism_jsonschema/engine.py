"""jsonschema-rs, with the options that make it safe: nothing is fetched, and patterns are bounded.

``format``, ``contentEncoding`` and ``contentMediaType`` are annotations in every draft: they reject nothing, as in
Confluent's registry and its clients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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


_KEYWORDS: Final[Mapping[str, Any]] = {"contentEncoding": _Annotation, "contentMediaType": _Annotation}


def compile_schema(documents: Documents) -> Callable[[Any], bool]:
    """A function that says whether a parsed value fits. It may raise ValueError for what JSON has not got.

    Raises:
        SchemaParseError: it is no schema, or a pattern in it is none or too large.
    """
    try:
        return jsonschema_rs.validator_for(
            documents.root,
            base_uri=documents.base,
            retriever=documents.retrieve,
            validate_formats=False,
            pattern_options=_BOUNDED,
            keywords=dict(_KEYWORDS),
        ).is_valid
    except jsonschema_rs.ValidationError as error:
        place = "".join(f"/{part}" for part in error.instance_path)
        raise SchemaParseError(
            f"it is no valid JSON Schema at {place[:200] or 'its root'}: {error.message[:200]}"
        ) from error
    except (ValueError, TypeError, OverflowError, jsonschema_rs.ReferencingError) as error:
        raise SchemaParseError(f"it cannot be compiled: {str(error)[:200]}") from error


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
