"""The parser beside fastavro's, and by the facts of Avro Java 1.12 where the two differ."""

from __future__ import annotations

import copy
import json
from typing import Any

import fastavro
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prism_avro.compatibility.format import AvroFormat
from prism_avro.parsing import parse
from prism_avro.schema import Enum, Fixed, Map, Primitive, Record, Type, Union
from prismlib.contracts.format import SchemaText
from prismlib.errors import SchemaParseError
from tests.plugins.prism_avro.evolving import rich_schemas

FORMAT = AvroFormat()


def record(*fields: Any, name: str = "R", **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields), **more}


def field(name: Any, kind: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, **more}


def enum(*symbols: Any, name: str = "E", **more: Any) -> dict[str, Any]:
    return {"type": "enum", "name": name, "symbols": list(symbols), **more}


def fixed(size: Any, name: str = "F", **more: Any) -> dict[str, Any]:
    return {"type": "fixed", "name": name, "size": size, **more}


def proposal(schema: Any, **references: Any) -> Type:
    texts = {name.replace("_", "."): json.dumps(one) for name, one in references.items()}
    return FORMAT.parse(SchemaText(json.dumps(schema), texts, "the new schema"))


def fastavro_takes(schema: Any) -> bool:
    try:
        fastavro.parse_schema(copy.deepcopy(schema), {})
    except Exception:  # noqa: BLE001  # they share no base class
        return False
    return True


def ours_takes(schema: Any) -> bool:
    try:
        proposal(schema)
    except SchemaParseError:
        return False
    return True


BOTH_REFUSE = [
    field("a", "Missing"),
    field("a", "int", default="0"),
    field("a", "string", default=None),
    field("a", "boolean", default="false"),
    field("a", {"type": "int"}, default=1.5),
    field("a", ["null", "int"], default="x"),
    field("a", {"type": "array", "items": "int"}, default={}),
    field("a", {"type": "map", "values": "int"}, default=[]),
    field("a", enum("A"), default=1),
    field("a", fixed(1), default=1),
    field("a", record(name="S"), default=[]),
    field("a", enum("not a symbol")),
    field("a", enum("A", "A")),
    field("a", "int", aliases="b"),
    {"name": "a"},
    {"type": "int"},
]


@pytest.mark.parametrize("one", BOTH_REFUSE, ids=json.dumps)
def test_what_fastavro_refuses_is_refused(one):
    schema = record(one)
    assert not fastavro_takes(schema)
    with pytest.raises(SchemaParseError, match=r"^the new schema: line 1, "):
        proposal(schema)


WE_REFUSE = {
    "a record named like a type": record(field("a", record(name="int"))),
    "a name with a hyphen": record(field("a-b", "int")),
    "a name that starts with a digit": record(name="1R"),
    "a namespace with an empty part": record(namespace="a..b"),
    "an alias that is no name": record(aliases=["a-b"]),
    "the default of an array's items": record(field("a", {"type": "array", "items": "int"}, default=["x"])),
    "the default of a record without a field": record(field("a", record(field("b", "int"), name="S"), default={})),
    "a default that contains itself": record(field("a", "R", default={})),
    "a boolean for a number": record(field("a", "int", default=True)),
    "a number that is too large": record(field("a", "int", default=1 << 31)),
    "two fields of one name": record(field("a", "int"), field("a", "int")),
    "an order that is none": record(field("a", "int", order="up")),
    "a union in a union": record(field("a", ["int", ["long"]])),
    "one branch twice": record(field("a", ["int", {"type": "int", "logicalType": "date"}])),
    "another definition of a name": record(field("a", enum("A")), field("b", enum("B"))),
    "a fixed that is too large": fixed(1 << 31),
    "a default that is no symbol": enum("A", default="B"),
    "no fields": {"type": "record", "name": "R"},
}


@pytest.mark.parametrize("schema", WE_REFUSE.values(), ids=WE_REFUSE)
def test_what_fastavro_lets_pass_and_java_does_not_is_refused(schema):
    with pytest.raises(SchemaParseError):
        proposal(schema)


def test_a_namespace_is_inherited_and_a_dotted_name_brings_its_own():
    inner = record(field("x", "E"), field("y", "b.F"), name="Inner")
    schema = record(
        field("e", enum("A")), field("f", fixed(1, name="b.F")), field("i", inner), name="a.R", namespace="ignored"
    )
    root = proposal(schema)
    assert isinstance(root, Record)
    types = [one.type for one in root.fields]
    assert [one.name for one in types if isinstance(one, Record | Enum | Fixed)] == ["a.E", "b.F", "a.Inner"]
    assert isinstance(types[2], Record)
    assert [one.type for one in types[2].fields] == types[:2]


def test_an_empty_namespace_is_none_and_its_names_are_found_from_inside_others():
    root = proposal(record(field("e", enum("A", namespace="")), field("f", "E"), name="a.R"))
    assert isinstance(root, Record)
    assert root.fields[0].type is root.fields[1].type
    assert isinstance(root.fields[0].type, Enum)
    assert root.fields[0].type.name == "E"


def test_aliases_get_the_namespace_of_their_type():
    root = proposal(record(name="a.R", aliases=["Old", "b.Older"]))
    assert isinstance(root, Record)
    assert root.aliases == {"a.Old", "b.Older"}


def test_java_takes_names_before_they_are_defined_and_in_place_of_types():
    root = proposal(record(field("a", ["null", "S"]), field("b", record(name="S")), field("c", {"type": "S"})))
    assert isinstance(root, Record)
    union, one, other = (each.type for each in root.fields)
    assert isinstance(union, Union)
    assert union.branches[1] is one is other


def test_java_takes_a_definition_twice_if_it_says_the_same():
    root = proposal(record(field("a", enum("A")), field("b", enum("A"))))
    assert isinstance(root, Record)
    assert root.fields[0].type is root.fields[1].type


def test_java_takes_letters_of_any_alphabet():
    assert ours_takes(record(field("größe", "int"), name="Entität"))
    assert not ours_takes(record(field("e\u0301", "int")))
    assert not ours_takes(record(field("٣a", "int")))


def test_java_takes_numbers_as_text_for_the_default_of_a_double():
    root = proposal(record(field("a", "double", default="1.5")))
    assert isinstance(root, Record)
    assert root.fields[0].default == 1.5
    assert not ours_takes(record(field("a", "double", default="x")))
    assert not ours_takes(record(field("a", "int", default="1")))


def test_java_takes_any_branch_of_a_union_for_its_default():
    assert ours_takes(record(field("a", ["null", "string"], default="x"), field("b", ["string", "null"], default=None)))


@pytest.mark.parametrize(
    ("schema", "logical", "annotation"),
    [
        ({"type": "int", "logicalType": "date"}, "date", ""),
        ({"type": "long", "logicalType": "date"}, "", ""),
        ({"type": "int", "logicalType": "time-millis"}, "time-millis", ""),
        ({"type": "long", "logicalType": "local-timestamp-nanos"}, "local-timestamp-nanos", ""),
        ({"type": "bytes", "logicalType": "big-decimal"}, "big-decimal", ""),
        ({"type": "string", "logicalType": "iban"}, "", "iban"),
        ({"type": "string", "logicalType": 5}, "", ""),
        ({"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}, "decimal", ""),
        ({"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 5}, "", ""),
        ({"type": "bytes", "logicalType": "decimal", "precision": True}, "", ""),
        ({"type": "bytes", "logicalType": "decimal", "precision": 5000}, "", "decimal(5000, 0)"),
        (fixed(12, logicalType="duration"), "duration", ""),
        (fixed(11, logicalType="duration"), "", ""),
        (fixed(16, logicalType="uuid"), "uuid", ""),
        (fixed(4, logicalType="decimal", precision=9), "decimal", ""),
        (fixed(4, logicalType="decimal", precision=10), "", ""),
    ],
)
def test_a_logical_type_that_does_not_fit_is_ignored(schema, logical, annotation):
    root = proposal(schema)
    assert isinstance(root, Primitive | Fixed)
    assert (root.logical, root.annotation) == (logical, annotation)


def test_a_logical_type_that_avro_does_not_know_is_kept_for_every_kind_of_type():
    schemas = [
        record(logicalType="x"),
        enum("A", logicalType="x"),
        {"type": "map", "values": "int", "logicalType": "x"},
    ]
    for schema in schemas:
        root = proposal(schema)
        assert isinstance(root, Record | Enum | Map)
        assert root.annotation == "x"


def test_references_come_in_any_order():
    line = record(field("sku", "shop.Sku"), name="shop.Line")
    order = record(field("lines", {"type": "array", "items": "shop.Line"}), name="shop.Order")
    sku = fixed(4, name="shop.Sku")
    for references in ({"shop_Sku": sku, "shop_Line": line}, {"shop_Line": line, "shop_Sku": sku}):
        root = proposal(order, **references)
        assert isinstance(root, Record)
        assert FORMAT.can_read(root, proposal(order, **references)) == []


def test_references_may_name_each_other_and_bring_the_same_definition_twice():
    one = record(field("other", ["null", "b.B"]), field("e", enum("X", name="c.E")), name="a.A")
    other = record(field("other", ["null", "a.A"]), field("e", enum("X", name="c.E")), name="b.B")
    root = proposal(record(field("a", "a.A")), a_A=one, b_B=other)
    assert isinstance(root, Record)
    assert isinstance(root.fields[0].type, Record)
    with pytest.raises(SchemaParseError, match=r"c\.E is defined a second time, and differently"):
        proposal(record(field("e", enum("Y", name="c.E"))), a_A=one, b_B=other)


def test_an_error_in_a_reference_names_the_reference():
    with pytest.raises(SchemaParseError, match=r"^a\.A, imported by the new schema: line 1, column 1"):
        proposal(record(field("a", "a.A")), a_A={"type": "record", "name": "a.A"})


PRETTY = """\
{
  "type": "record",
  "name": "Flight",
  "fields": [
    {"name": "id", "type": "int"},
    {
      "name": "at",
      "type": ["null", {"type": "array", "items": "Place"}]
    }
  ]
}"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PRETTY, "line 8, column 51, /fields/at/type/1/items: not an Avro schema: unknown type 'Place'"),
        (PRETTY.replace('"int"', '"int", "default": "x"').replace("Place", "int"), "line 5, /fields/id: not an Avro schema: the default of 'id'"),
        (PRETTY[:-1], "line 11, column 1: not an Avro schema: no JSON: Expecting ',' delimiter"),
        ("", "line 1, column 1: not an Avro schema: no JSON: Expecting value"),
    ],
)  # fmt: skip
def test_an_error_says_where(text, message):
    with pytest.raises(SchemaParseError) as caught:
        FORMAT.parse(SchemaText(text, {}, "next.avsc"))
    assert str(caught.value).startswith(f"next.avsc: {message}")


def test_parse_all_gives_an_answer_for_each():
    good, bad = SchemaText('"int"', {}, "v1"), SchemaText("{", {}, "v2")
    first, second, third = FORMAT.parse_all([good, bad, good])
    assert isinstance(first, Primitive)
    assert isinstance(second, SchemaParseError)
    assert isinstance(third, Primitive)


LEAN = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@LEAN
@given(schema=rich_schemas())
def test_what_fastavro_takes_is_taken(schema):
    assert fastavro_takes(schema)
    assert ours_takes(schema)


@LEAN
@given(data=st.data(), schema=rich_schemas())
def test_what_is_spoilt_is_refused_where_fastavro_refuses_it(data, schema):
    """A value somewhere in the JSON becomes another one, or goes."""
    holders: list[Any] = [schema]
    for one in holders:
        holders.extend(
            value for value in (one.values() if isinstance(one, dict) else one) if isinstance(value, dict | list)
        )
    holder = data.draw(st.sampled_from([one for one in holders if one]))
    key = data.draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
    if data.draw(st.booleans()):
        del holder[key]
    else:
        holder[key] = data.draw(
            st.sampled_from([None, 5, "", "int", "Nothing", [], {}, ["int"], {"type": "int"}, True, -1])
        )
    if not fastavro_takes(schema) and not tolerated(schema):
        assert not ours_takes(schema)


def tolerated(schema: Any) -> bool:
    """What fastavro refuses and the specification wants ignored: a decimal that does not fit its type, or a name written as
    an object, and a number without a fraction for a float."""
    text = json.dumps(schema)
    return "decimal" in text or '"items": {"type": "test' in text


@LEAN
@given(text=st.text(max_size=30) | st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8), lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["type", "name", "fields", "items", "values", "symbols", "size", "default", "aliases", "namespace", "x"]), inner, max_size=5), max_leaves=20).map(json.dumps))  # fmt: skip
def test_anything_else_is_refused_or_parsed(text):
    (root,) = FORMAT.parse_all([SchemaText(text, {}, "drawn")])
    if isinstance(root, SchemaParseError):
        assert str(root).startswith("drawn: ")
    else:
        assert FORMAT.can_read(root, root) == [] or "aliases" in text


def test_the_codec_reads_data_whose_schema_has_a_bad_default_or_name():
    schema = record(field("a-b", "int", default="0"))
    root = parse(json.dumps(schema), {}, "v1")
    assert isinstance(root, Record)
    assert root.fields[0].name == "a-b"
