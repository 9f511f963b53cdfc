"""How far a bad value can be read: names, types and positions, and the same verdict as protobuf itself."""

from __future__ import annotations

import os
import random
import tracemalloc
from typing import Any

import pytest

from prismlib.errors import DecodeError, SchemaDriftError
from prismlib.stages import Explains

COUNT = int(os.environ.get("PRISM_FUZZ", "20000"))
TEXT = """
syntax = "proto3";
package a;
message M {
  string t = 1; repeated int32 i = 2; map<string, M> m = 3; M inner = 4; repeated M list = 5;
  sint64 z = 6; fixed32 f = 7; E e = 8; bytes y = 9; double d = 10; bool b = 11; uint32 u = 12; float g = 13;
  repeated string names = 14; sfixed64 s = 15; int64 l = 16;
}
message Other { int32 a = 1; }
enum E { ZERO = 0; ONE = 1; }
"""


@pytest.fixture
def decoder(schemas: Any) -> Any:
    schemas.release("s", TEXT)
    found = schemas.decoder("s", "*", message="a.M")
    assert isinstance(found, Explains)
    return found


def test_a_sound_value_is_shown_whole(schemas: Any, decoder: Any) -> None:
    fields = {"t": "é", "i": [1, -2], "inner": {"z": -3}, "list": [{}, {"b": True}], "f": 7, "e": 1, "y": b"\xff"}
    value = schemas.value(
        "s", 1, **fields, d=1.5, u=4_000_000_000, g=0.5, names=["a", "b"], s=-9, l=-1, m={"k": {"e": 9}}
    )
    found = decoder.explain(value)
    assert found.error is None
    assert found.at is None
    assert dict(found.fields) == {
        "t": "é", "i[0]": 1, "i[1]": -2, "inner.z": -3, "list[0]": {}, "list[1].b": True, "f": 7, "e": "ONE", "y": b"\xff",
        "d": 1.5, "u": 4_000_000_000, "g": 0.5, "names[0]": "a", "names[1]": "b", "s": -9, "l": -1,
        "m[0].key": "k", "m[0].value.e": 9,
    }  # fmt: skip


def test_what_the_schema_does_not_know_shows_as_its_number(schemas: Any, decoder: Any) -> None:
    value = schemas.head("s") + b"\xa0\x06\x01" + b"\x0d\x01\x02\x03\x04" + b"\xa3\x06\x08\x05\xa4\x06"
    found = decoder.explain(value)
    assert found.error is None
    assert found.fields == [("#100", 1), ("t", b"\x01\x02\x03\x04"), ("#100.#1", 5)]


@pytest.mark.parametrize(
    ("payload", "field", "at", "last"),
    [
        (b"\x0a\x02hi\x0a\x05hi", "t", 10, "t"),
        (b"\x0a\x02\xff\xff", "t", 6, None),
        (b"\x22\x04\x0a\x07ab", "inner.t", 8, None),
        (b"\x12\x02\x01\x80", "i[1]", 9, "i[0]"),
        (b"\x0a\x01x\x0f", None, 9, "t"),
        (b"\x00\x01", None, 6, None),
        (b"\x0a\x01x\x80", None, 9, "t"),
        (b"\x0a\x01x\x0c", None, 9, "t"),
        (b"\x0a\x01x\xa3\x06\x08\x05", None, 13, "#100.#1"),
    ],
)
def test_the_fault_is_found_where_it_is(
    schemas: Any, decoder: Any, payload: bytes, field: str | None, at: int, last: str | None
) -> None:
    found = decoder.explain(schemas.head("s") + payload)
    assert isinstance(found.error, DecodeError)
    assert found.error.code == "malformed"
    assert found.at == at
    assert (found.fields[-1][0] if found.fields else None) == last
    if field is not None:
        assert found.error.field == field


def test_another_message_of_the_schema_is_shown_by_its_own_names(schemas: Any, decoder: Any) -> None:
    found = decoder.explain(schemas.head("s", indexes=b"\x02\x02") + b"\x08\x05")
    assert found.error.code == "message-index"
    assert (found.fields, found.at) == ([("a", 5)], None)


def test_without_a_writer_schema_there_is_only_the_reason(schemas: Any, decoder: Any) -> None:
    for value, code in (
        (b"\0\x7f\0\0\0\0abc", "unknown-schema-id"),
        (b"noise", "no-schema-id"),
        (schemas.head("s", indexes=b"\x02\x14"), "message-index"),
        (schemas.head("s", indexes=b""), "truncated"),
    ):
        found = decoder.explain(value)
        assert (list(found.fields), found.error.code, found.at) == ([], code, None)


def test_drift_is_told_and_the_value_shown(schemas: Any) -> None:
    schemas.release("s", TEXT, TEXT.replace("string t = 1;", ""))
    found = schemas.decoder("s", "t", message="a.M", version=1).explain(schemas.value("s", 2, z=1))
    assert isinstance(found.error, SchemaDriftError)
    assert (found.fields, found.at) == ([("z", 1)], None)


def test_a_value_without_a_header_is_read_with_the_readers_schema(schemas: Any) -> None:
    schemas.release("s", TEXT)
    found = schemas.decoder("s", "*", message="a.M", wire="bare").explain(b"\x0a\x02h")
    assert (found.error.field, found.at) == ("t", 0)


def test_the_walk_and_protobuf_agree_on_hostile_values(schemas: Any, decoder: Any, decode: Any) -> None:
    cls, head, dice = schemas.message("s", 1), schemas.head("s"), random.Random(5)
    whole = cls(t="JFK", i=[1, 2, 300], m={"k": {"t": "x"}}, list=[{}, {"e": 1}], inner={"y": b"123", "z": -5}, d=2.5)
    payload = whole.SerializeToString()
    bad = 0
    for _ in range(COUNT // 4):
        spoiled = bytearray(payload[: dice.randrange(1, len(payload) + 1)])
        for _ in range(dice.randrange(4)):
            spoiled[dice.randrange(len(spoiled))] = dice.randrange(256)
        value = head + bytes(spoiled)
        error = decode(decoder, [value]).errors.get(0)
        found = decoder.explain(value)
        assert (found.error is None) == (error is None)
        assert (found.at is None) == (error is None), (value, error)
        bad += error is not None
    assert bad > COUNT // 20


def test_a_long_value_stays_small_and_deep_nesting_ends(schemas: Any, decoder: Any) -> None:
    value = schemas.value("s", 1, i=range(200_000), t="x")
    tracemalloc.start()
    found = decoder.explain(value)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.error is None
    assert len(found.fields) < 2_100
    assert peak < 40 << 20
    inner = b""
    for _ in range(5_000):
        length = len(inner)
        size = b""
        while length > 127:
            size += bytes([length & 127 | 128])
            length >>= 7
        inner = b"\x22" + size + bytes([length]) + inner
    found = decoder.explain(schemas.head("s") + inner)
    assert found.error.code == "malformed"
    assert found.at is not None
