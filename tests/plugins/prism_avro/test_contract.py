"""Contracts of consumers: cut out of a schema, and checked against what became of it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prismlib.contracts import check_compatibility, check_consumer, derive_contract
from prismlib.errors import ContractError, UnknownFieldError
from tests.plugins.prism_avro.drawing import cut, draw_reads, named_types, paths, read, write
from tests.plugins.prism_avro.evolving import rich_schemas, values_of

RICH = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def derived(schema: Any, *reads: str) -> Any:
    return json.loads(derive_contract(format="avro", schema=json.dumps(schema), reads=reads))


def consumer(contract: Any, new: Any) -> list[tuple[str, str, bool]]:
    verdict = check_consumer(format="avro", contract=json.dumps(contract), new=json.dumps(new))
    return [(one.rule, one.field, one.fails) for one in verdict.findings]


def record(name: str, *fields: Any, **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields), **more}


def field(name: str, kind: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, **more}


ADDRESS = record("shop.Address", field("zip", "string", doc="as printed"), field("city", "string"))
ORDER = record(
    "shop.Order",
    field("id", "long", aliases=["number"]),
    field("when", {"type": "long", "logicalType": "timestamp-millis"}),
    field("price", {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}),
    field("kind", {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}),
    field("billing", ADDRESS),
    field("shipping", ["null", "Address"], default=None),
    field("lines", {"type": "array", "items": record("Line", field("sku", "string"), field("n", "int", default=1))}),
    field("notes", {"type": "map", "values": ["null", record("Note", field("text", "string"), field("by", "string"))]}),
    field("event", ["string", record("Paid", field("at", "long")), record("Sent", field("at", "long"))]),
    doc="an order",
)


def test_a_contract_has_the_fields_that_are_read_and_nothing_else():
    contract = derived(ORDER, "id", "billing.zip", "lines.sku", "notes.text")
    assert contract == record(
        "Order",
        field("id", "long", aliases=["number"]),
        field(
            "billing",
            record("Address", field("zip", "string", doc="as printed")),
        ),
        field("lines", {"type": "array", "items": record("Line", field("sku", "string"))}),
        field("notes", {"type": "map", "values": ["null", record("Note", field("text", "string"))]}),
        namespace="shop",
        doc="an order",
    )


def test_what_values_mean_goes_into_the_contract():
    contract = derived(ORDER, "when", "price", "kind", "event.at")
    types = {one["name"]: one["type"] for one in contract["fields"]}
    assert types["when"] == {"type": "long", "logicalType": "timestamp-millis"}
    assert types["price"] == {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}
    assert types["kind"]["symbols"] == ["A", "B"]
    assert [one if isinstance(one, str) else one["name"] for one in types["event"]] == ["string", "Paid", "Sent"]


def test_a_type_that_is_read_in_different_parts_is_defined_for_each():
    contract = derived(ORDER, "billing.zip", "shipping.city")
    billing, shipping = (one["type"] for one in contract["fields"])
    assert [one["name"] for one in billing["fields"]] == ["zip"]
    assert [one["name"] for one in shipping[1]["fields"]] == ["city"]
    assert (shipping[1]["name"], shipping[1]["aliases"]) == ("Address", ["shop.Address"])
    assert consumer(contract, ORDER) == []
    # the writer takes the type apart: each place has just its own fields left
    new = copy.deepcopy(ORDER)
    new["fields"][4]["type"] = record("shop.Address", field("zip", "string"))
    new["fields"][5]["type"] = ["null", record("post.Address", field("city", "string"))]
    assert consumer(contract, new) == []


def test_a_type_that_is_read_the_same_everywhere_is_defined_once():
    contract = derived(ORDER, "billing", "shipping")
    assert contract["fields"][1]["type"] == ["null", "shop.Address"]


def test_a_record_that_contains_itself_is_read_as_deep_as_the_paths_say():
    node = record(
        "shop.Node",
        field("name", "string"),
        field("size", "int"),
        field("children", {"type": "array", "items": "Node"}),
    )
    contract = derived(node, "children.name")
    inner = contract["fields"][0]["type"]["items"]
    assert [one["name"] for one in contract["fields"]] == ["children"]
    assert [one["name"] for one in inner["fields"]] == ["name"]
    assert consumer(contract, node) == []
    value = {"name": "a", "size": 1, "children": [{"name": "b", "size": 2, "children": []}]}
    assert read(write(node, value), node, contract) == {"children": [{"name": "b"}]}
    new = copy.deepcopy(node)
    new["fields"][0]["type"] = "bytes"
    assert consumer(contract, new) == [("AVR009", "children.name", True)]
    assert derived(node, "*") == {**node, "name": "Node", "namespace": "shop", "fields": [
        *node["fields"][:2], field("children", {"type": "array", "items": "shop.Node"})]}  # fmt: skip


def test_defaults_are_cut_like_their_types():
    outer = record(
        "R",
        field("at", record("P", field("x", "int"), field("y", "int", default=2)), default={"x": 1, "y": 5}),
        field("list", {"type": "array", "items": "P"}, default=[{"x": 1}]),
    )
    contract = derived(outer, "at.x", "list.y")
    assert [one["default"] for one in contract["fields"]] == [{"x": 1}, [{}]]
    assert consumer(contract, outer) == []


def test_a_contract_needs_no_references():
    contract = derive_contract(
        format="avro",
        schema=json.dumps(record("R", field("at", "geo.Point"), field("more", "int"))),
        reads=["at.x"],
        references=[
            {
                "name": "geo.Point",
                "schema": json.dumps(record("geo.Point", field("x", "geo.Number"), field("y", "int"))),
            },
            {"name": "geo.Number", "schema": json.dumps({"type": "fixed", "name": "geo.Number", "size": 4})},
        ],
    )
    assert json.loads(contract)["fields"][0]["type"]["fields"] == [
        field("x", {"type": "fixed", "name": "Number", "size": 4})
    ]


def test_the_contract_of_a_union_at_the_root():
    root = [record("a.Paid", field("at", "long"), field("by", "string")), record("a.Sent", field("at", "long"))]
    contract = derived(root, "at")
    assert [[one["name"] for one in branch["fields"]] for branch in contract] == [["at"], ["at"]]
    assert consumer(contract, root) == []


def test_an_alias_that_would_be_ambiguous_stays_behind():
    schema = record("R", field("a", "int", aliases=["b", "c", "a", "c"]), field("b", "int"))
    contract = derived(schema, "a")
    assert contract["fields"] == [field("a", "int", aliases=["c"])]
    assert consumer(contract, schema) == []


def test_text_that_is_half_a_surrogate_pair_is_escaped():
    schema = record("R", field("a", "string", doc="\ud800 ü"))
    text = derive_contract(format="avro", schema=json.dumps(schema), reads=["a"])
    assert json.loads(text.encode().decode())["fields"][0]["doc"] == "\ud800 ü"
    assert "ü" in derive_contract(
        format="avro", schema=json.dumps(record("R", field("a", "int", doc="ü"))), reads=["a"]
    )


@pytest.mark.parametrize(
    ("path", "hint"), [("lines.skU", "did you mean 'sku'"), ("id.x", "no field 'x'"), ("event.gate", "no field 'gate'")]
)
def test_a_path_that_names_nothing_is_refused(path, hint):
    with pytest.raises(UnknownFieldError, match=hint) as caught:
        derived(ORDER, path)
    assert caught.value.path == path


def test_what_is_too_deep_for_one_text_is_refused():
    references = []
    for number in range(60):
        inner = f"R{number - 1}" if number else "int"
        references.append({"name": f"R{number}", "schema": json.dumps(record(f"R{number}", field("x", inner)))})
    with pytest.raises(ContractError, match="nested too deeply"):
        derive_contract(format="avro", schema='{"type": "array", "items": "R59"}', reads=["*"], references=references)
    with pytest.raises(ContractError, match="too long"):
        derived(record("R", field("x", ["null", "R"])), "x." * 5000 + "x")


@RICH
@given(data=st.data(), schema=rich_schemas())
def test_a_contract_is_kept_by_the_schema_that_it_is_cut_from(data, schema):
    named = named_types(schema)
    reads = data.draw(st.composite(lambda draw: draw_reads(draw, schema, named))())
    contract = derived(schema, *(paths(reads) or {"*"}))
    assert consumer(contract, schema) == []
    value = write(schema, data.draw(values_of(schema)))
    assert read(value, schema, contract) == cut(read(value, schema), schema, reads, named)


def removed(fields: list[Any], one: Any) -> None:
    fields.remove(one)


def renamed(_: list[Any], one: Any) -> None:
    one["aliases"] = [one["name"]]
    one["name"] = "another"


def nullable(_: list[Any], one: Any) -> None:
    if isinstance(one["type"], list):
        one["type"].append({"type": "map", "values": "boolean"})
    elif one["type"] != "null":
        one["type"] = ["null", one["type"]]


def widened(_: list[Any], one: Any) -> None:
    one["type"] = {"int": "long", "float": "double", "long": "double"}.get(one["type"], one["type"]) if isinstance(
        one["type"], str
    ) else one["type"]  # fmt: skip


def other_meaning(_: list[Any], one: Any) -> None:
    if one["type"] in ("int", "long", "string"):
        one["type"] = {
            "type": one["type"],
            "logicalType": {"int": "date", "long": "timestamp-micros"}.get(one["type"], "uuid"),
        }
    elif isinstance(one["type"], dict) and "logicalType" in one["type"] and one["type"]["type"] != "fixed":
        one["type"] = one["type"]["type"]


def other_scale(_: list[Any], one: Any) -> None:
    if isinstance(one["type"], dict) and "scale" in one["type"]:
        one["type"]["scale"] = (one["type"]["scale"] + 1) % 13


def other_default(_: list[Any], one: Any) -> None:
    if one["type"] in ("int", "long") and "default" in one:
        one["default"] += 1


def more_symbols(_: list[Any], one: Any) -> None:
    if isinstance(one["type"], dict) and one["type"]["type"] == "enum":
        one["type"]["symbols"].append("MORE")


CHANGES = [removed, renamed, nullable, widened, other_meaning, other_scale, other_default, more_symbols]


@pytest.mark.parametrize("change", CHANGES)
@RICH
@given(data=st.data(), schema=rich_schemas())
def test_a_change_fails_the_consumers_that_read_the_field_and_no_others(
    change: Callable[[list[Any], Any], None], data: Any, schema: dict[str, Any]
) -> None:
    named = named_types(schema)
    reads = data.draw(st.composite(lambda draw: draw_reads(draw, schema, named))())
    contract = derived(schema, *(paths(reads) or {"*"}))
    new = copy.deepcopy(schema)
    records = [one for one in named_types(new).values() if one["type"] == "record"]
    within = data.draw(st.sampled_from(records))
    one = data.draw(st.sampled_from(within["fields"]))
    name = one["name"]
    if named_types(one["type"]).keys() - {within["name"]} and change is not more_symbols:
        return  # other places may name what is defined here
    change(within["fields"], one)
    if new == schema:
        return
    is_read = any(
        name in [each["name"] for each in definition["fields"]]
        for definition in definitions(contract)
        if definition["name"] == within["name"].rpartition(".")[2]
    )
    fails = [finding for finding in consumer(contract, new) if finding[2]]
    assert bool(fails) == is_read


def definitions(schema: Any) -> list[Any]:
    """All records that a contract defines, some by the same short name."""
    if isinstance(schema, list):
        return [found for one in schema for found in definitions(one)]
    if not isinstance(schema, dict):
        return []
    inner = [found for one in schema.values() for found in definitions(one)]
    return [schema, *inner] if schema.get("type") == "record" else inner


def test_what_evolves_freely_between_versions_fails_a_consumer():
    """A removed field with a default is compatible in every mode, and data loss for whoever reads it."""
    old = record("R", field("a", "int"), field("b", ["null", "string"], default=None))
    new = record("R", field("a", "int"))
    for profile in ("confluent", "wire"):
        assert check_compatibility(
            format="avro", new=json.dumps(new), old=[json.dumps(old)], mode="FULL", profile=profile
        ).compatible
    assert consumer(derived(old, "b"), new) == [("AVR015", "b", True)]
    assert consumer(derived(old, "a"), new) == []
