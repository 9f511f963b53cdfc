"""The rules of Protobuf. Each module is one rule, and its docstring is the rule's page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Final

from prism_protobuf.compatibility.pairs import (
    Enums,
    Fields,
    Files,
    Messages,
    Pair,
    Problem,
    Types,
    UnreadField,
    UnreadMessage,
    UnwrittenField,
    UnwrittenMessage,
)
from prism_protobuf.compatibility.rules import (
    bool_as_number,
    default_changed,
    encoding_changed,
    enum_as_number,
    enum_number_not_reserved,
    enum_value_dropped_by_reader,
    enum_value_renamed,
    enum_value_unknown_to_reader,
    field_moved_into_existing_oneof,
    field_moved_into_oneof,
    field_moved_out_of_oneof,
    field_not_written,
    field_renamed,
    field_renumbered,
    fields_moved_into_oneof,
    inner_message_unknown_to_reader,
    integer_loses_values,
    kind_changed,
    library_message_replaced,
    list_as_single,
    map_as_messages,
    message_not_written,
    message_type_renamed,
    message_unknown_to_reader,
    number_not_reserved,
    numeric_label_changed,
    oneof_member_unknown_to_reader,
    oneofs_merged,
    package_changed,
    presence_changed,
    required_enum_value_unknown_to_reader,
    required_field_not_written,
    required_field_optional_in_writer,
    required_field_unknown_to_reader,
    reservation_dropped,
    reserved_enum_number_used,
    reserved_number_used,
    string_as_bytes,
    text_not_checked_by_writer,
)
from prismlib.contracts.rules import Rule

_OF: Final = {
    Files: (package_changed,),
    UnreadMessage: (
        message_unknown_to_reader,
        inner_message_unknown_to_reader,
    ),
    UnwrittenMessage: (message_not_written,),
    Types: (
        kind_changed,
        encoding_changed,
        map_as_messages,
        message_type_renamed,
        library_message_replaced,
        integer_loses_values,
        bool_as_number,
        enum_as_number,
        string_as_bytes,
        text_not_checked_by_writer,
    ),
    Fields: (
        numeric_label_changed,
        list_as_single,
        required_field_optional_in_writer,
        presence_changed,
        default_changed,
        field_renamed,
        field_renumbered,
        field_moved_into_oneof,
        field_moved_out_of_oneof,
        required_enum_value_unknown_to_reader,
    ),
    UnwrittenField: (
        required_field_not_written,
        field_renumbered,
        field_not_written,
        number_not_reserved,
        reserved_number_used,
    ),
    UnreadField: (
        required_field_unknown_to_reader,
        number_not_reserved,
        reserved_number_used,
        oneof_member_unknown_to_reader,
    ),
    Messages: (
        fields_moved_into_oneof,
        field_moved_into_existing_oneof,
        oneofs_merged,
        reservation_dropped,
    ),
    Enums: (
        enum_value_unknown_to_reader,
        enum_value_dropped_by_reader,
        enum_value_renamed,
        enum_number_not_reserved,
        reserved_enum_number_used,
        reservation_dropped,
    ),
}

CHECKS: Final[dict[type[Pair], tuple[tuple[Rule, Callable[[Any], Sequence[Problem]]], ...]]] = {
    kind: tuple((module.RULE, module.check) for module in modules) for kind, modules in _OF.items()
}
"""For each kind of pair the rules that look at it, each with the function that says what is wrong."""

RULES: Final = {rule.id: rule for rule, _ in sorted(chain(*CHECKS.values()), key=lambda one: one[0].id)}
"""By id."""
