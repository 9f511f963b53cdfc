"""A schema compiled to what says in a microsecond whether a value fits; why one does not is said by another, slow part.

What a hostile schema or value could do is bounded in time and memory. :mod:`prism_jsonschema.limits` refuses schemas that multiply themselves,
and says how deep a value may be. A pattern without look-around and back-references takes time in proportion to the value;
another, or a large one, gives up after a while, so that the value does not fit, and meets values of ``CAREFUL`` bytes at most.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Final, TypeVar

from prism_jsonschema.documents import Documents, read_documents
from prism_jsonschema.effort import Budget
from prism_jsonschema.engine import check_schemas, compile_schema, is_linear
from prism_jsonschema.explaining import Explainer
from prism_jsonschema.limits import MOST_DEPTH, measure
from prism_jsonschema.subjects import name_of
from prismlib.contracts.registry import RegisteredSchema, Registry, resolve_references
from prismlib.errors import RecordError, SchemaParseError

MOST_CHECKS: Final = 1_000_000_000
"""Bytes of a value times subschemas that look at one place of it: some seconds where both are made for that."""
CAREFUL: Final = 1 << 16
"""Bytes of a value that may meet a pattern whose time is not in proportion to its length."""
MOST_PATTERNS: Final = 1_000
"""Different patterns of a schema: some 100 megabytes where all are large."""
MOST_CAREFUL: Final = 20
"""Different patterns whose time is not in proportion, which may take a few megabytes each."""

E = TypeVar("E", bound=RecordError)


class SchemaCheck:
    """Whether values fit one schema.

    Attributes:
        name: of the schema, in sentences.
        fits: whether a parsed value does. May raise ValueError for what JSON has not got.
        longest: bytes of JSON that may be checked.
        untyped_text: whether ``fits`` is to be asked about what was parsed only: it would miss what becomes text when it
            is written, such as dates.
    """

    def __init__(self, name: str, documents: Documents) -> None:
        """Compile a schema.

        Raises:
            SchemaParseError: it is none, or one that could stop a worker.
        """
        check_schemas(documents)
        limits = measure(documents)
        if len(limits.patterns) > MOST_PATTERNS:
            raise SchemaParseError(f"it has {len(limits.patterns)} different patterns, more than {MOST_PATTERNS}")
        careful = [pattern for pattern in limits.patterns if not is_linear(pattern)]
        if len(careful) > MOST_CAREFUL:
            raise SchemaParseError(
                f"{len(careful)} of its patterns are large, look around or refer back, more than {MOST_CAREFUL}"
            )
        is_valid = compile_schema(documents)
        self.name = name
        self.longest = min(MOST_CHECKS // limits.work, CAREFUL if careful else MOST_CHECKS)
        self.untyped_text = limits.untyped_text
        self.fits: Callable[[Any], bool] = is_valid
        self._deepest = limits.deepest
        if limits.deepest < MOST_DEPTH:
            self.fits = lambda value: not is_deeper(value, limits.deepest) and is_valid(value)
        self._explainer = Explainer(documents, patterns_of_names=limits.patterns_of_names)

    def fault(self, value: Any, size: int, budget: Budget, kind: type[E]) -> E:
        """The error for a value that does not fit; it holds nothing of the value but names of fields.

        Args:
            value: as orjson parses it.
            size: bytes of its JSON.
            budget: how long may be searched for the place at fault.
            kind: which error to make.
        """
        if size > self.longest or is_deeper(value, self._deepest):
            limit = (
                f"longer than {self.longest} bytes" if size > self.longest else f"deeper than {self._deepest} levels"
            )
            return kind(
                f"the value is {limit}, and {self.name} could take too long to check it; "
                'make the schema simpler, or set validate = "never"',
                code="too-costly",
            )
        found = self._explainer.explain(value, budget)
        if found is None:
            return kind(f"the value does not fit {self.name}", code="schema")
        where = f"the field {found.field[:200]}" if found.field else "the value"
        reason = f"{where} {found.wanted}; {self.name} says so at {found.keyword[:200]}"
        return kind(reason, code="schema", field=found.field or None)


def compile_check(registry: Registry, registered: RegisteredSchema) -> SchemaCheck:
    """Compile a registered schema with what it imports.

    Raises:
        SchemaParseError: it cannot be used to check values; its sentence begins behind the schema's name.
        SchemaNotFoundError, RegistryUnavailableError, ConfigError: what it imports cannot be had.
    """
    return SchemaCheck(name_of(registered), read_documents(registered.text, resolve_references(registry, registered)))


def is_deeper(value: Any, limit: int) -> bool:
    """Whether a parsed value has more than ``limit`` levels of objects and arrays."""
    level = [value]
    for _ in range(limit + 1):
        inner = [one.values() if one.__class__ is dict else one for one in level if one.__class__ in (dict, list)]
        if not inner:
            return False
        level = list(itertools.chain.from_iterable(inner))
    return True
