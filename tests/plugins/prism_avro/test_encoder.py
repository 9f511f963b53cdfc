"""The encoder: what it writes, and that it refuses rather than changes a value."""

from __future__ import annotations

import copy
import datetime as dt
import decimal
import enum
import uuid
from typing import Any

import pytest

from prismlib.errors import ConfigError


def of(kind: Any, *default: Any) -> dict[str, Any]:
    field = {"name": "f", "type": kind, **({"default": default[0]} if default else {})}
    return {"type": "record", "name": "Body", "fields": [field]}


class Level(enum.IntEnum):
    HIGH = 3


class Word(enum.StrEnum):
    HELLO = "hello"


PRICE = {"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": 2}
FIXED_PRICE = {"type": "fixed", "name": "P", "size": 2, "logicalType": "decimal", "precision": 4, "scale": 2}
KEY = {"type": "fixed", "name": "Key", "size": 16, "logicalType": "uuid"}
COLOUR = {"type": "enum", "name": "Colour", "symbols": ["RED", "GREEN"]}
POINT = {
    "type": "record",
    "name": "Point",
    "fields": [{"name": "x", "type": "int"}, {"name": "y", "type": "int", "default": 0}],
}
NAMED = {"type": "record", "name": "Named", "fields": [{"name": "name", "type": "string"}]}
NOON = dt.datetime(2024, 1, 2, 12, 0, 0, 123456, tzinfo=dt.timezone(dt.timedelta(hours=2)))


def test_golden_bytes(registry, new_encoder):
    one = registry.release("s", of(["null", "string"]))
    encoded = new_encoder(registry, "s").encode([{"f": "hi"}, None, {"f": None}])
    start = b"\0\0\0\0" + bytes([one.id])
    assert encoded.values == [start + b"\x02\x04hi", None, start + b"\0"]
    assert not encoded.errors
    assert new_encoder(registry, "s", wire="bare").encode([{"f": "hi"}]).values == [b"\x02\x04hi"]


def test_the_header_is_of_the_version_that_is_written(registry, new_encoder):
    registry.release("other", of("int"))
    registry.release("s", of("int"))
    registry.release("s", of("long"))
    assert new_encoder(registry, "s").encode([{"f": 1}]).values == [b"\0\0\0\0\x03\x02"]
    assert new_encoder(registry, "s", version=1).encode([{"f": 1}]).values == [b"\0\0\0\0\x02\x02"]


@pytest.mark.parametrize(
    ("kind", "value", "row"),
    [
        ("int", Level.HIGH, 3),
        ("string", Word.HELLO, "hello"),
        ("double", 3, 3.0),
        ("bytes", bytearray(b"ab"), b"ab"),
        ("string", "x" * 5000, "x" * 5000),
        ({"type": "array", "items": "int"}, (1, 2), [1, 2]),
        ({"type": "array", "items": "int"}, list(range(300)), list(range(300))),
        ({"type": "long", "logicalType": "timestamp-millis"}, NOON, 1704189600123),
        ({"type": "long", "logicalType": "timestamp-micros"}, NOON, 1704189600123456),
        ({"type": "long", "logicalType": "timestamp-nanos"}, NOON, 1704189600123456000),
        ({"type": "int", "logicalType": "date"}, dt.date(1970, 1, 11), 10),
        (["null", {"type": "long", "logicalType": "timestamp-millis"}, "string"], NOON, 1704189600123),
        (PRICE, decimal.Decimal("-1.2300"), decimal.Decimal("-1.23")),
        (PRICE, decimal.Decimal("1e2"), decimal.Decimal(100)),
        (PRICE, decimal.Decimal("0e99"), decimal.Decimal(0)),
        (PRICE, 7, decimal.Decimal(7)),
        (FIXED_PRICE, decimal.Decimal("-99.99"), decimal.Decimal("-99.99")),
        (KEY, uuid.UUID(int=5), str(uuid.UUID(int=5))),
        (KEY, str(uuid.UUID(int=5)), str(uuid.UUID(int=5))),
        (["int", "long"], 1 << 40, 1 << 40),
        (["double", "int"], 5, 5),
        (["double", "int"], 5.0, 5.0),
        (["string", COLOUR], "GREEN", "GREEN"),
        (["string", COLOUR], "BLUE", "BLUE"),
        (["boolean", "int"], True, True),
        ([POINT, NAMED], {"name": "n"}, {"name": "n"}),
        ([NAMED, POINT], {"x": 1}, {"x": 1, "y": 0}),
        ([POINT, {"type": "map", "values": "int"}], {"z": 1}, {"z": 1}),
        ([PRICE, "string"], decimal.Decimal("1.5"), decimal.Decimal("1.5")),
        (["bytes", {"type": "fixed", "name": "Two", "size": 2}], b"abc", b"abc"),
    ],
)
def test_what_is_written_is_read_back(kind, value, row, registry, new_encoder, new_decoder, batch_of):
    registry.release("s", of(kind))
    encoded = new_encoder(registry, "s").encode([{"f": value}])
    assert not encoded.errors
    rows = new_decoder(registry, "s").decode(batch_of(encoded.values)).rows
    assert rows == [{"f": row}]
    assert type(rows[0]["f"]) is type(row)


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        ("int", "secret", "must be an integer, not str"),
        ("int", True, "must be an integer, not bool"),
        ("int", 1.0, "must be an integer, not float"),
        ("int", 1 << 31, "32 bits"),
        ("long", -(1 << 63) - 1, "64 bits"),
        ("double", "1", "must be a number, not str"),
        ("double", True, "must be a number, not bool"),
        ("double", (1 << 53) + 1, "cannot hold exactly"),
        ("double", 1 << 2000, "too large"),
        ("float", 1e300, "too large"),
        ("boolean", 1, "must be a boolean, not int"),
        ("string", b"x", "must be a string, not bytes"),
        ("string", "\ud800", "surrogate"),
        ("bytes", "x", "must be bytes, not str"),
        ("null", 0, "must be None, not int"),
        (["null", "string"], 1, "must be a string, not int"),
        (["string", "null", "long"], 1.5, "type in the union of string and null and long, not float"),
        (["null", POINT, NAMED], {"z": 1}, "not dict"),
        ({"type": "fixed", "name": "Two", "size": 2}, b"abc", "2 bytes long, not 3"),
        ({"type": "array", "items": "int"}, "ab", "must be a list, not str"),
        ({"type": "array", "items": "int"}, {1: 2}, "must be a list, not dict"),
        ({"type": "map", "values": "int"}, [1], "must be a dict, not list"),
        ({"type": "map", "values": "int"}, {1: 1}, "must be a string, not int"),
        (COLOUR, "BLUE", "no symbol of Colour"),
        (COLOUR, ["RED"], "must be a string, not list"),
        (PRICE, decimal.Decimal("1.234"), "5 digits, 2 of them after the point"),
        (PRICE, decimal.Decimal("1234.5"), "5 digits"),
        (PRICE, decimal.Decimal("1e999999"), "5 digits"),
        (PRICE, decimal.Decimal("NaN"), "finite"),
        (PRICE, 1.5, "must be a Decimal, not float"),
        (KEY, "no uuid", "must be a uuid"),
        ({"type": "long", "logicalType": "timestamp-millis"}, NOON.replace(tzinfo=None), "time zone"),
        ({"type": "long", "logicalType": "timestamp-millis"}, "2024-01-01", "an integer or a datetime, not str"),
        ({"type": "int", "logicalType": "date"}, NOON, "an integer or a date, not datetime"),
        (POINT, [1], "must be a dict for record Point, not list"),
    ],
)
def test_a_value_that_does_not_fit_is_an_error_beside_sound_neighbours(kind, value, said, registry, new_encoder):
    schema = of({"type": "array", "items": kind})
    registry.release("s", schema)
    bodies = [{"f": []}, {"f": [value]}, None, {"f": []}]
    encoded = new_encoder(registry, "s", wire="bare").encode(bodies)
    assert encoded.values == [b"\0", None, None, b"\0"]
    assert list(encoded.errors) == [1]
    error = encoded.errors[1]
    assert said in str(error)
    assert error.field is not None
    assert error.field.startswith("f[0]")
    assert "secret" not in str(error)


def test_errors_name_the_field(registry, new_encoder):
    line = {"type": "record", "name": "Line", "fields": [{"name": "sku", "type": "string"}]}
    registry.release("s", of({"type": "array", "items": line}))
    bodies = [
        {"f": [{"sku": "a"}, {"sku": "b"}, {"sku": 3}]},
        {"f": [{"sku": "a"}, {}]},
        {"f": [{"sku": "a", "size": 1}]},
        {},
        b"{}",
    ]
    errors = new_encoder(registry, "s").encode(bodies).errors
    assert {i: (error.field, error.code) for i, error in errors.items()} == {
        0: ("f[2].sku", "invalid-value"),
        1: ("f[1].sku", "missing-field"),
        2: ("f[0]", "unknown-field"),
        3: ("f", "missing-field"),
        4: (None, "invalid-value"),
    }
    assert "'size'" in str(errors[2])
    assert str(errors[4]) == "the body must be a dict for record Body, not bytes"


@pytest.mark.parametrize(
    ("kind", "default", "row"),
    [
        ("bytes", "\u00ff", b"\xff"),
        (["null", "int"], None, None),
        (["null", "int"], 5, 5),
        (PRICE, "\u007b", decimal.Decimal("1.23")),
        (POINT, {"x": 4}, {"x": 4, "y": 0}),
        ({"type": "map", "values": COLOUR}, {"a": "RED"}, {"a": "RED"}),
        ("double", 3.0, 3.0),
    ],
)
def test_missing_fields_get_their_defaults(kind, default, row, registry, new_encoder, new_decoder, batch_of):
    registry.release("s", of(kind, default))
    body: dict[str, Any] = {}
    encoded = new_encoder(registry, "s").encode([body])
    assert new_decoder(registry, "s").decode(batch_of(encoded.values)).rows == [{"f": row}]
    assert body == {}


def test_bodies_that_contain_themselves_are_errors(registry, new_encoder):
    registry.release("s", {"type": "record", "name": "R", "fields": [{"name": "r", "type": ["null", "R"]}]})
    endless: dict[str, Any] = {}
    endless["r"] = endless
    assert "nested too deeply" in str(new_encoder(registry, "s").encode([endless, None]).errors[0])


def test_bodies_are_not_changed(registry, new_encoder):
    registry.release("s", of({"type": "array", "items": POINT}))
    bodies = [{"f": [{"x": 1}]}, {"f": [{"x": "no"}]}]
    before = copy.deepcopy(bodies)
    new_encoder(registry, "s").encode(bodies)
    assert bodies == before


def test_a_missing_subject_is_refused(registry, new_encoder):
    with pytest.raises(ConfigError, match="has not got a released version"):
        new_encoder(registry, "s")


def test_bytes_with_a_logical_type_that_is_not_acted_on_are_bytes_in_a_union(registry, new_encoder):
    registry.release("s", of(["string", {"type": "bytes", "logicalType": "big-decimal"}]))
    encoded = new_encoder(registry, "s", wire="bare").encode([{"f": b"ab"}])
    assert (encoded.values, encoded.errors) == ([b"\x02\x04ab"], {})
