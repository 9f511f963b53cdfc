import tomllib

from prismlib.mapping import mapping_from

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
