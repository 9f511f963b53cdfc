import tomllib

import pytest

from prismlib.errors import ConfigError
from prismlib.mapping import Use, check_against, mapping_from

TEXT = """
[event]
id = { template = "{carrier}-{order.no:02}" }
kind = { const = "k" }
airport = "orign"
total = { python = "m:f", reads = ["lines[].price", "rates['EUR'].value", "order"] }
lines = { each = "lines", item = { sku = "sku", tags = "tags[0].name", deep = { each = "parts", item = { n = "n" } } } }
"""


def test_a_mapping_knows_what_it_reads_without_its_functions() -> None:
    mapping = mapping_from(tomllib.loads(TEXT), "m.toml")
    assert mapping.reads == {
        "carrier",
        "order",
        "orign",
        "rates.value",
        "lines.price",
        "lines.sku",
        "lines.tags.name",
        "lines.parts.n",
    }
    assert [(use.where.rpartition(".")[2], use.field) for use in mapping.uses] == [
        ("id", "carrier"),
        ("id", "order.no"),
        ("airport", "orign"),
        ("total", "lines.price"),
        ("total", "rates.value"),
        ("total", "order"),
        ("sku", "lines.sku"),
        ("tags", "lines.tags.name"),
        ("n", "lines.parts.n"),
    ]


def test_fields_inside_a_list_are_read_alone_when_nothing_reads_the_list_whole() -> None:
    mapping = mapping_from({"event": {"a": "lines[].sku", "b": "lines[0].qty"}}, "m.toml")
    assert mapping.reads == {"lines.sku", "lines.qty"}


def test_each_reads_only_what_its_items_read() -> None:
    mapping = mapping_from({"event": {"a": {"each": "lines", "item": {"s": "sku", "q": {"from": "qty"}}}}}, "m.toml")
    assert mapping.reads == {"lines.sku", "lines.qty"}


def test_each_with_items_of_constants_reads_the_list() -> None:
    mapping = mapping_from({"event": {"a": {"each": "lines", "item": {"k": {"const": "k"}}}}}, "m.toml")
    assert mapping.reads == {"lines"}


def test_a_mapping_of_constants_reads_nothing() -> None:
    assert mapping_from({"event": {"kind": {"const": "k"}}}, "m.toml").reads == frozenset()


def test_a_field_that_the_schema_lacks_is_named_with_file_key_and_the_nearest_one() -> None:
    mapping = mapping_from({"event": {"airport": "orign", "a": {"b": "carrier"}}}, "mappings/flights.toml")
    with pytest.raises(ConfigError) as caught:
        check_against(mapping.uses, ["origin", "carrier"], "flights-value v2")
    assert str(caught.value) == (
        "mappings/flights.toml: event.airport: reads 'orign', which flights-value v2 does not have; did you mean 'origin'?"
    )


def test_a_record_is_known_when_one_of_its_fields_is() -> None:
    check_against([Use("m", "order"), Use("m", "order.lines"), Use("m", "*")], {"order.lines.sku"}, "s v1")
    with pytest.raises(ConfigError, match=r"m: reads 'order.lines.sku.x', which s v1 does not have; "):
        check_against([Use("m", "order.lines.sku.x")], {"order.lines.sku"}, "s v1")


def test_every_missing_field_has_a_line_of_its_own() -> None:
    with pytest.raises(ConfigError) as caught:
        check_against([Use("m: a", "x"), Use("m: b", "known"), Use("m: c", "y")], {"known"}, "s v1")
    assert [line[:4] for line in str(caught.value).splitlines()] == ["m: a", "m: c"]


def test_a_schema_with_maps_answers_itself() -> None:
    check_against([Use("m", "rates.EUR")], lambda path: path.startswith("rates."), "s v1")
    with pytest.raises(ConfigError, match="reads 'other'"):
        check_against([Use("m", "other")], lambda path: path.startswith("rates."), "s v1")
