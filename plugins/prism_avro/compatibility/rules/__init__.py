"""The rules of Avro. Each module is one rule, and its docstring is the rule's page."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any, Final

from prism_avro.compatibility.pairs import Fields, Met, Mismatched, Pair
from prism_avro.compatibility.rules import (
    alias_in_moved_record,
    ambiguous_alias,
    decimal_precision_exceeded,
    decimal_scale_changed,
    enum_symbol_read_as_default,
    enum_symbol_unknown_to_reader,
    field_default_changed,
    field_read_by_alias,
    fixed_size_changed,
    logical_type_changed,
    namespace_changed_in_union,
    null_unknown_to_reader,
    number_loses_digits,
    reader_field_without_default,
    string_as_bytes,
    time_unit_changed,
    type_changed,
    type_renamed,
    union_branch_unknown_to_reader,
    unwritten_field_read_as_default,
)
from prismlib.contracts.rules import Rule

_OF: Final = {
    Met: (
        type_renamed,
        enum_symbol_unknown_to_reader,
        fixed_size_changed,
        string_as_bytes,
        logical_type_changed,
        time_unit_changed,
        decimal_scale_changed,
        decimal_precision_exceeded,
        enum_symbol_read_as_default,
        number_loses_digits,
        namespace_changed_in_union,
    ),
    Mismatched: (
        type_changed,
        null_unknown_to_reader,
        union_branch_unknown_to_reader,
    ),
    Fields: (
        reader_field_without_default,
        ambiguous_alias,
        unwritten_field_read_as_default,
        field_default_changed,
        field_read_by_alias,
        alias_in_moved_record,
    ),
}

CHECKS: Final[dict[type[Pair], tuple[tuple[Rule, Callable[[Any], str | None]], ...]]] = {
    kind: tuple((module.RULE, module.check) for module in modules) for kind, modules in _OF.items()
}
"""For each kind of pair the rules that look at it, each with the function that says what is wrong, or None."""

RULES: Final = {rule.id: rule for rule, _ in sorted(chain(*CHECKS.values()), key=lambda one: one[0].id)}
