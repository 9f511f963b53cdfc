"""What the encoder refuses, and how it says so."""

import copy
from typing import Any

import pytest

from prismlib.errors import InvalidValueError

TEXT = """
syntax = "proto3";
package a;
import "google/protobuf/timestamp.proto";
import "google/protobuf/struct.proto";
message M {
  int32 i = 1; string t = 2; bool b = 3; E e = 4; repeated string rt = 5; map<int32, Line> by = 6; Line line = 7;
  repeated Line lines = 8; google.protobuf.Timestamp ts = 9; google.protobuf.Struct extra = 10; M self = 11;
  bytes y = 12; double d = 13; map<bool, int32> flags = 14; google.protobuf.Value any = 15;
}
message Line { string sku = 1; int32 count = 2; repeated int32 codes = 3; }
enum E { ZERO = 0; ONE = 1; }
"""


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        ({"x": 1}, "x", "message a.M has no such field"),
        ({1: 1}, "1", "no such field"),
        ({"i": "1"}, "i", "a value of type str does not fit int32 i"),
        ({"i": 2**31}, "i", "a value of type int does not fit int32 i"),
        ({"i": 1.0}, "i", "a value of type float does not fit int32 i"),
        ({"i": True}, "i", "a value of type bool"),
        ({"t": 1}, "t", "string t"),
        ({"t": "\ud800"}, "t", "string t"),
        ({"b": "true"}, "b", "bool b"),
        ({"e": "TWO"}, "e", "does not fit a.E e"),
        ({"y": "text"}, "y", "bytes y"),
        ({"d": "1"}, "d", "double d"),
        ({"rt": "JFK"}, "rt", "a value of type str does not fit repeated string rt"),
        ({"rt": ["a", 1]}, "rt[1]", "a value of type int"),
        ({"rt": [None]}, "rt[0]", "a value of type NoneType"),
        ({"rt": {"a": 1}}, "rt", "a value of type dict"),
        ({"line": 1}, "line", "a value of type int does not fit a.Line line"),
        ({"line": {"sku": "a", "cuont": 1}}, "line.cuont", "message a.Line has no such field"),
        ({"lines": [{}, {"codes": [1, "2"]}]}, "lines[1].codes[1]", "repeated int32 codes"),
        ({"lines": {"sku": "a"}}, "lines", "a value of type dict"),
        ({"by": {"7": {"count": "x"}}}, "by['7'].count", "int32 count"),
        ({"by": {"x": {}}}, "by['x']", "map<int32, a.Line> by"),
        ({"by": {True: {}}}, "by[True]", "map<int32, a.Line> by"),
        ({"by": []}, "by", "a value of type list"),
        ({"flags": {"yes": 1}}, "flags['yes']", "map<bool, int32> flags"),
        ({"ts": "2013-01-01"}, "ts", "google.protobuf.Timestamp ts"),
        ({"ts": 1.5}, "ts", "a value of type float"),
        ({"extra": {"a": {1, 2}}}, "extra", "google.protobuf.Struct extra"),
        ({"extra": []}, "extra", "a value of type list"),
        ({"any": 2**60 + 1}, "any", "google.protobuf.Value any"),
        ({"self": {"self": {"line": {"count": "x"}}}}, "self.self.line.count", "int32 count"),
        (b"{}", None, "a dict is needed for message a.M, not a bytes"),
        ([], None, "not a list"),
    ],
)
def test_a_body_that_does_not_fit_names_the_field(schemas: Any, body: Any, field: str | None, reason: str) -> None:
    schemas.release("s", TEXT)
    encoder = schemas.encoder("s", message="a.M")
    before = copy.deepcopy(body)
    encoded = encoder.encode([{"i": 1}, body, None, {"t": "x"}])
    head = schemas.head("s")
    assert encoded.values == [head + b"\x08\x01", None, None, head + b"\x12\x01x"]
    assert list(encoded.errors) == [1]
    error = encoded.errors[1]
    assert isinstance(error, InvalidValueError)
    assert error.field == field
    assert reason in error.reason
    assert body == before


def test_bodies_that_are_endless_or_too_deep_are_refused(schemas: Any) -> None:
    schemas.release("s", TEXT)
    endless: dict[str, Any] = {}
    endless["self"] = endless
    struct: dict[str, Any] = {}
    struct["a"] = struct
    deep: dict[str, Any] = {}
    for _ in range(200):
        deep = {"self": deep}
    encoded = schemas.encoder("s", message="a.M").encode([endless, {"extra": struct}, deep, {"i": 1}])
    assert [value is None for value in encoded.values] == [True, True, True, False]
    assert all("too deeply" in error.reason for error in encoded.errors.values())


def test_what_is_taken_besides_what_the_decoder_gives(schemas: Any, decode: Any) -> None:
    schemas.release("s", TEXT)
    body = {"by": {7: {}}, "flags": {True: 1}, "e": 1, "rt": ("a", "b"), "d": 1, "t": None, "any": [1, None, "x"]}
    values = schemas.encoder("s", message="a.M").encode([body]).values
    (row,) = decode(schemas.decoder("s", "by", "flags", "e", "rt", "d", "any", message="a.M"), values).rows
    assert row == {
        "by": {"7": {"sku": "", "count": 0, "codes": []}},
        "flags": {"true": 1},
        "e": "ONE",
        "rt": ["a", "b"],
        "d": 1.0,
        "any": [1.0, None, "x"],
    }
