"""The rules of JSON Schema. Each module is one rule, and its docstring is the rule's page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from prism_jsonschema.compatibility.pairs import (
    Branches,
    Items,
    Meaning,
    OtherBranch,
    Overlap,
    Pair,
    Property,
    Refused,
    Required,
    Undeclared,
    Unproved,
    Values,
)
from prism_jsonschema.compatibility.rules import (
    jsn001_type_changed,
    jsn002_null_unknown_to_reader,
    jsn003_property_added_to_open_model,
    jsn004_property_unknown_to_closed_reader,
    jsn005_undeclared_properties_refused,
    jsn006_pattern_properties_narrowed,
    jsn007_required_property_missing,
    jsn008_required_property_with_default,
    jsn009_value_unknown_to_reader,
    jsn010_number_bound_tightened,
    jsn011_multiple_changed,
    jsn012_text_length_tightened,
    jsn013_pattern_changed,
    jsn014_item_count_tightened,
    jsn015_unique_items_asked,
    jsn016_property_count_tightened,
    jsn017_items_narrowed,
    jsn018_dependency_added,
    jsn019_property_names_narrowed,
    jsn020_contains_changed,
    jsn021_branch_unknown_to_reader,
    jsn022_branches_overlap,
    jsn023_excluded_value_written,
    jsn024_condition_changed,
    jsn025_not_decidable,
    jsn026_format_changed,
    jsn027_format_added_by_writer,
    jsn028_default_changed,
    jsn029_unwritten_property_read,
    jsn030_taken_by_another_branch,
)
from prismlib.contracts.rules import Rule

_OF: Final[dict[type[Pair], tuple[Any, ...]]] = {
    Values: (
        jsn001_type_changed,
        jsn002_null_unknown_to_reader,
        jsn009_value_unknown_to_reader,
        jsn010_number_bound_tightened,
        jsn011_multiple_changed,
        jsn012_text_length_tightened,
        jsn013_pattern_changed,
        jsn014_item_count_tightened,
        jsn015_unique_items_asked,
        jsn016_property_count_tightened,
    ),
    Meaning: (
        jsn026_format_changed,
        jsn027_format_added_by_writer,
        jsn028_default_changed,
    ),
    Property: (
        jsn003_property_added_to_open_model,
        jsn029_unwritten_property_read,
    ),
    Refused: (jsn004_property_unknown_to_closed_reader,),
    Undeclared: (
        jsn005_undeclared_properties_refused,
        jsn006_pattern_properties_narrowed,
    ),
    Required: (
        jsn007_required_property_missing,
        jsn008_required_property_with_default,
    ),
    Items: (jsn017_items_narrowed,),
    Unproved: (
        jsn018_dependency_added,
        jsn019_property_names_narrowed,
        jsn020_contains_changed,
        jsn023_excluded_value_written,
        jsn024_condition_changed,
        jsn025_not_decidable,
    ),
    Branches: (jsn021_branch_unknown_to_reader,),
    Overlap: (jsn022_branches_overlap,),
    OtherBranch: (jsn030_taken_by_another_branch,),
}

CHECKS: Final[dict[type[Pair], tuple[tuple[Rule, Callable[[Any], str | None]], ...]]] = {
    kind: tuple((module.RULE, module.check) for module in modules) for kind, modules in _OF.items()
}
"""For each kind of pair the rules that look at it, each with the function that says what is wrong, or None."""

RULES: Final = {
    rule.id: rule for rule in sorted((rule for checks in CHECKS.values() for rule, _ in checks), key=lambda one: one.id)
}
"""By id."""
