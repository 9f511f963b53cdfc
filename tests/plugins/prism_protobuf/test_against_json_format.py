"""Rows against Protobuf's own ``json_format``, and bodies through encoder and decoder and back."""

import base64
import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf import json_format, timestamp_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

TEXT = """
syntax = "proto3";
package a;
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
message M {
  int32 i = 1; sint64 s = 2; fixed64 f = 3; bool b = 4; double d = 5; float g = 6; string t = 7; bytes y = 8; E e = 9;
  optional int32 oi = 11; optional string ot = 12; optional E oe = 13; optional bytes oy = 14;
  repeated int64 ri = 21; repeated string rt = 22; repeated E re = 23; repeated M rm = 24; repeated bytes ry = 25;
  map<string, int64> mi = 31; map<int64, M> mm = 32; map<bool, E> me = 33; map<string, bytes> my = 34;
  M m = 41; google.protobuf.Timestamp ts = 42; google.protobuf.Int64Value w = 43; google.protobuf.StringValue wt = 44;
  oneof o { string x1 = 51; int32 x2 = 52; M x3 = 53; }
  repeated google.protobuf.Timestamp rts = 54; map<string, google.protobuf.BoolValue> mw = 55;
}
enum E { ZERO = 0; ONE = 1; MINUS = -1; }
"""

INT32 = st.integers(-(2**31), 2**31 - 1)
INT64 = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=5)
BYTES = st.binary(max_size=5)
ENUM = st.sampled_from(["ZERO", "ONE", "MINUS", 7])
FLOAT32 = st.integers(-999, 999).map(lambda n: n / 4) | st.just(math.inf)
TIME = st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999)
SCALARS: dict[str, Any] = {
    "i": INT32, "s": INT64, "f": st.integers(0, 2**64 - 1), "b": st.booleans(), "d": st.floats(allow_nan=False),
    "g": FLOAT32, "t": TEXTS, "y": BYTES, "e": ENUM, "oi": st.none() | INT32, "ot": st.none() | TEXTS,
    "oe": st.none() | ENUM, "oy": st.none() | BYTES, "ri": st.lists(INT64, max_size=3),
    "rt": st.lists(TEXTS, max_size=3), "re": st.lists(ENUM, max_size=3), "ry": st.lists(BYTES, max_size=2),
    "mi": st.dictionaries(TEXTS, INT64, max_size=3), "me": st.dictionaries(st.sampled_from(["true", "false"]), ENUM),
    "my": st.dictionaries(TEXTS, BYTES, max_size=2), "ts": st.none() | TIME, "w": st.none() | INT64,
    "wt": st.none() | TEXTS, "rts": st.lists(TIME, max_size=2), "mw": st.dictionaries(TEXTS, st.booleans(), max_size=2),
}  # fmt: skip


def bodies(inner: Any) -> Any:
    """Whole bodies, as the decoder gives them."""
    more = {
        "rm": st.lists(inner, max_size=2),
        "mm": st.dictionaries(INT64.map(str), inner, max_size=2),
        "m": st.none() | inner,
    }
    one_of = st.one_of(
        st.just({"x1": None, "x2": None, "x3": None}),
        TEXTS.map(lambda v: {"x1": v, "x2": None, "x3": None}),
        INT32.map(lambda v: {"x1": None, "x2": v, "x3": None}),
        inner.map(lambda v: {"x1": None, "x2": None, "x3": v}),
    )
    return st.builds(lambda body, member: {**body, **member}, st.fixed_dictionaries({**SCALARS, **more}), one_of)


EMPTY = {
    "i": 0, "s": 0, "f": 0, "b": False, "d": 0.0, "g": 0.0, "t": "", "y": b"", "e": "ZERO", "oi": None, "ot": None,
    "oe": None, "oy": None, "ri": [], "rt": [], "re": [], "rm": [], "ry": [], "mi": {}, "mm": {}, "me": {}, "my": {},
    "m": None, "ts": None, "w": None, "wt": None, "x1": None, "x2": None, "x3": None, "rts": [], "mw": {},
}  # fmt: skip
BODIES = bodies(bodies(st.just(EMPTY)))


@pytest.fixture(scope="module")
def schemas(make_schemas: Callable[[], Any]) -> Any:
    made = make_schemas()
    made.release("s", TEXT)
    return made


def as_json(name: str, value: Any) -> Any:
    """A value of a row as ``json_format`` writes it: names starting with these letters are of these types."""
    if isinstance(value, dict) and name in ("m", "rm", "x3"):
        return {key: as_json(key, one) for key, one in value.items() if one is not None}
    if isinstance(value, dict):
        inner = {"mi": "s", "mm": "m", "me": "e", "my": "y", "mw": "b"}[name]
        return {key: as_json(inner, one) for key, one in value.items()}
    if isinstance(value, list):
        inner = {"ri": "s", "rt": "t", "re": "e", "rm": "m", "ry": "y", "rts": "ts"}[name]
        return [as_json(inner, one) for one in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if name == "ts":
        stamp = timestamp_pb2.Timestamp()
        stamp.FromMicroseconds(value)
        return stamp.ToJsonString()
    if name in ("s", "f", "w"):
        return str(value)
    if isinstance(value, float) and math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(BODIES, max_size=3))
def test_what_is_encoded_is_read_back_and_json_format_agrees(schemas: Any, decode: Any, given: Any) -> None:
    encoded = schemas.encoder("s").encode(given)
    assert not encoded.errors
    decoded = decode(schemas.decoder("s", "*"), encoded.values)
    assert not decoded.errors
    assert decoded.rows == given
    cls = schemas.message("s", 1)
    for row, value in zip(decoded.rows, encoded.values, strict=True):
        message = cls.FromString(value[6:])
        expected = json_format.MessageToDict(
            message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        # Through JSON, because there a float and an int that are equal look the same only to Python.
        assert json.loads(json.dumps(as_json("m", row))) == json.loads(json.dumps(expected))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(BODIES, st.frozensets(st.sampled_from(sorted(EMPTY)), min_size=1))
def test_a_projection_is_a_part_of_the_whole_row(schemas: Any, decode: Any, body: Any, reads: frozenset[str]) -> None:
    values = schemas.encoder("s").encode([body]).values
    assert decode(schemas.decoder("s", *reads), values).rows == [{name: body[name] for name in EMPTY if name in reads}]
