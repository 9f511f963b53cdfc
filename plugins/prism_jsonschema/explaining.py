"""Why a value does not fit its schema: the field at fault and what the schema wants there, without the value itself.

The slow half of validation, by the ``jsonschema`` library, for values that are known not to fit. To search alternatives
that stand in each other can take for ever, so it has a budget. Patterns are matched by the fast half: Python's engine
knows other ones, and can hang.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from jsonschema import Draft7Validator, validators
from jsonschema.exceptions import ValidationError, best_match
from referencing import Registry
from referencing.jsonschema import SchemaRegistry, SchemaResource, specification_with

from prism_jsonschema.documents import Documents
from prism_jsonschema.effort import STEPS_OF_ONE, Budget
from prism_jsonschema.engine import has_unique_items, matcher
from prism_jsonschema.reading import path_of

_SHOWN: Final = 200

Keyword = Callable[[Any, Any, Any, Any], Iterable[ValidationError] | None]


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a value.

    Attributes:
        field: path of the field, such as ``lines[2].sku``; empty for the value itself.
        wanted: what the schema wants of it, as a sentence goes on after its name.
        keyword: where the schema says so, as a JSON pointer.
    """

    field: str
    wanted: str
    keyword: str


class _ExhaustedError(Exception):
    """The budget is used up."""


class Explainer:
    """Explains values that do not fit one schema. One instance serves one thread."""

    def __init__(self, documents: Documents, *, patterns_of_names: bool) -> None:
        """Make an explainer.

        Args:
            documents: the schema.
            patterns_of_names: whether it has ``patternProperties``, which the library would match by itself to find out what
                is not evaluated; that is then not looked at.
        """
        self._left = 0
        self._compiled = cache(matcher)
        draft = validators.validator_for(documents.root)
        specification = specification_with(documents.root["$schema"])
        # The fast half knows `dependencies` in every draft.
        known = {"dependencies": Draft7Validator.VALIDATORS["dependencies"], **draft.VALIDATORS}
        keywords: dict[str, Keyword] = {name: self._counted(keyword) for name, keyword in known.items()}
        keywords["properties"] = self._properties
        keywords["pattern"] = self._pattern
        keywords["patternProperties"] = self._pattern_properties
        keywords["additionalProperties"] = self._additional_properties
        keywords["uniqueItems"] = self._unique_items
        if patterns_of_names:
            keywords["unevaluatedProperties"] = _passed_over

        @cache
        def retrieve(address: str) -> SchemaResource:
            return specification.create_resource(_undrafted(documents.retrieve(address)))

        extend: Any = validators.extend
        resources: SchemaRegistry = Registry(retrieve=retrieve)  # type: ignore[call-arg]  # attrs names it so
        self._validator = extend(draft, keywords)(_undrafted(documents.root), registry=resources)

    def explain(self, value: Any, budget: Budget) -> Fault | None:
        """What is wrong with a value; None where that is not found within the budget."""
        granted = self._left = min(STEPS_OF_ONE, budget.left)
        try:
            error = best_match(self._validator.iter_errors(value))
        except (_ExhaustedError, RecursionError, ArithmeticError):
            return None
        finally:
            budget.left -= granted - max(self._left, 0)
        return None if error is None else _fault(error)

    def _spend(self, steps: int = 1) -> None:
        self._left -= steps
        if self._left < 0:
            raise _ExhaustedError

    def _counted(self, keyword: Any) -> Keyword:
        def check(validator: Any, wanted: Any, value: Any, schema: Any) -> Any:
            self._spend(1 + len(wanted) if isinstance(wanted, list | dict) else 1)
            return keyword(validator, wanted, value, schema)

        return check

    def _matches(self, pattern: str, text: str) -> bool:
        self._spend()
        return self._compiled(pattern)(text)

    def _pattern(self, validator: Any, wanted: Any, value: Any, _: Any) -> Iterator[ValidationError]:
        if validator.is_type(value, "string") and not self._matches(wanted, value):
            yield ValidationError("")

    def _properties(self, validator: Any, wanted: Any, value: Any, _: Any) -> Iterator[ValidationError]:
        self._spend(len(wanted))
        if validator.is_type(value, "object"):
            for name, schema in wanted.items():
                if name in value:
                    yield from _field(validator, name, value[name], schema, name)

    def _pattern_properties(self, validator: Any, wanted: Any, value: Any, _: Any) -> Iterator[ValidationError]:
        if validator.is_type(value, "object"):
            for pattern, schema in wanted.items():
                for name, inner in value.items():
                    if self._matches(pattern, name):
                        yield from _field(validator, name, inner, schema, pattern)

    def _additional_properties(self, validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
        if validator.is_type(value, "object"):
            known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
            for name, inner in value.items():
                self._spend()
                if name not in known and not any(self._matches(pattern, name) for pattern in patterns):
                    yield from _field(validator, name, inner, wanted)

    def _unique_items(self, validator: Any, wanted: Any, value: Any, _: Any) -> Iterator[ValidationError]:
        self._spend()
        if wanted and validator.is_type(value, "array") and not has_unique_items(value):
            yield ValidationError("")


def _field(validator: Any, name: str, value: Any, schema: Any, place: str | None = None) -> Iterator[ValidationError]:
    """What is wrong with a field; the library itself loses its name where the schema is ``false``."""
    if schema is False:
        nothing: dict[str, Any] = {"validator": None, "validator_value": None}
        yield ValidationError("", path=(name,), schema_path=() if place is None else (place,), **nothing)
    else:
        yield from validator.descend(value, schema, path=name, schema_path=place)


def _undrafted(document: dict[str, Any]) -> dict[str, Any]:
    """A schema that does not say of which draft it is, or the library would go on with its own keywords behind a ``$ref``."""

    def without(table: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in table.items() if name != "$schema" or not isinstance(value, str)}

    undrafted: dict[str, Any] = json.loads(json.dumps(document), object_hook=without)
    return undrafted


def _passed_over(_validator: Any, _wanted: Any, _value: Any, _schema: Any) -> None:
    return None


_SENTENCES: Final[Mapping[str, str]] = {
    "additionalItems": "has more elements than the schema knows",
    "const": "must be {}",
    "contains": "must contain an element of a certain form",
    "dependencies": "lacks a field that another one asks for",
    "dependentRequired": "lacks a field that another one asks for",
    "enum": "must be one of {}",
    "exclusiveMaximum": "must be less than {}",
    "exclusiveMinimum": "must be more than {}",
    "maxContains": "must contain at most {} elements of a certain form",
    "maxItems": "must have at most {} elements",
    "maxLength": "must have at most {} characters",
    "maxProperties": "must have at most {} fields",
    "maximum": "must be at most {}",
    "minContains": "must contain at least {} elements of a certain form",
    "minItems": "must have at least {} elements",
    "minLength": "must have at least {} characters",
    "minProperties": "must have at least {} fields",
    "minimum": "must be at least {}",
    "multipleOf": "must be a multiple of {}",
    "not": "has a form that is excluded",
    "oneOf": "must fit exactly one of several alternatives",
    "anyOf": "must fit one of several alternatives",
    "pattern": "must match the pattern {}",
    "unevaluatedItems": "has more elements than the schema knows",
    "unevaluatedProperties": "has a field that the schema does not know",
    "uniqueItems": "must not hold an element twice",
}


def _fault(error: ValidationError) -> Fault:
    path = list(error.absolute_path)
    wanted: Any = error.validator_value
    value: Any = error.instance
    keyword = "".join(f"/{part}" for part in error.absolute_schema_path)
    if error.validator == "required":
        missing: str = next(name for name in wanted if name not in value)
        return Fault(path_of([*path, missing]), "is required and missing", keyword)
    if error.validator == "type":
        names = [wanted] if isinstance(wanted, str) else wanted
        return Fault(path_of(path), f"must be of type {' or '.join(map(str, names))}", keyword)
    if error.validator is None:
        return Fault(path_of(path), "is not allowed", keyword)
    sentence = _SENTENCES.get(str(error.validator), f"does not fit {error.validator}")
    return Fault(path_of(path), sentence.format(_shown(wanted)), keyword)


def _shown(wanted: Any) -> str:
    """What the schema says, cut where it is long."""
    text = json.dumps(wanted, ensure_ascii=False)
    if isinstance(wanted, list):
        text = text[1:-1]
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
