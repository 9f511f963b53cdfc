"""Bytes that nobody meant: noise, truncations and changed bytes give rows or errors, and no memory is kept."""

import gc
import os
import random
import tracemalloc
from typing import Any

from google.protobuf.message import DecodeError

TEXT = """
syntax = "proto3";
package a;
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
message M {
  string t = 1; repeated int32 i = 2; map<string, M> m = 3; M inner = 4; repeated M list = 5;
  google.protobuf.Value value = 6; google.protobuf.Timestamp ts = 7; oneof o { E e = 8; bytes y = 9; }
}
enum E { ZERO = 0; ONE = 1; }
"""
COUNT = int(os.environ.get("PRISM_FUZZ", "20000"))


def test_noise_is_a_row_or_an_error_and_memory_stays_flat(schemas: Any, decode: Any) -> None:
    schemas.release("s", TEXT)
    decoder = schemas.decoder("s", "*")
    cls, head = schemas.message("s", 1), schemas.head("s")
    dice = random.Random(7)
    sound = cls(t="JFK", i=[1, 2, 300], m={"k": {"t": "x"}}, list=[{}, {"e": 1}], inner={"y": b"123"})
    sound.value.struct_value.fields["a"].number_value = 1
    sound.ts.seconds = 5
    payload = sound.SerializeToString()

    def hostile() -> bytes:
        match dice.randrange(4):
            case 0:
                return dice.randbytes(dice.randrange(30))
            case 1:
                return head + dice.randbytes(dice.randrange(30))
            case 2:
                return head[: dice.randrange(7)] + payload[: dice.randrange(len(payload) + 1)]
            case _:
                spoiled = bytearray(head + payload)
                for _ in range(dice.randrange(1, 4)):
                    spoiled[dice.randrange(5, len(spoiled))] = dice.randrange(256)
                return bytes(spoiled)

    peaks = []
    agreed = 0
    for _ in range(max(COUNT // 500, 4)):
        batch = [hostile() for _ in range(500)]
        tracemalloc.start()
        decoded = decode(decoder, batch)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert decoded.stop is None
        assert len(decoded.rows) == 500
        for value, row, at in zip(batch, decoded.rows, range(500), strict=True):
            assert (row is None) == (at in decoded.errors)
            if value.startswith(head):
                agreed += 1
                try:
                    cls.FromString(value[len(head) :])
                except DecodeError:
                    assert decoded.errors[at].code == "malformed"
                else:
                    assert row is not None
    assert agreed > COUNT // 4
    assert max(peaks) < 16 << 20
    assert len(decoder._schemas._unknown) <= 1024
    assert len(decoder._plans) == 1
    gc.collect()


def test_every_truncation_and_deep_nesting(schemas: Any, decode: Any) -> None:
    schemas.release("s", TEXT)
    decoder, head = schemas.decoder("s", "*"), schemas.head("s")
    value = schemas.value("s", 1, t="JFK", i=[1, 2, 300], inner={"t": "x"})
    decoded = decode(decoder, [value[:n] for n in range(len(value))])
    assert all(decoded.errors[n].code in ("no-schema-id", "truncated") for n in range(6))
    assert decoded.rows[6] is not None
    inner = b""
    nested = []
    for _ in range(150):
        length = len(inner)
        inner = b"\x22" + (bytes([length]) if length < 128 else bytes([length & 127 | 128, length >> 7])) + inner
        nested.append(head + inner)
    decoded = decode(decoder, nested)
    assert decoded.rows[90] is not None
    assert decoded.errors[149].code == "malformed"
    huge_list = head + b"\x12\xff\xff\xff\xff\x07"
    assert decode(decoder, [huge_list, head + b"\x0a\x01\xff", head + b"\x00"]).rows == [None] * 3


def test_unknown_fields_are_legal(schemas: Any, decode: Any) -> None:
    schemas.release("s", TEXT)
    value = schemas.value("s", 1, t="x")
    assert decode(schemas.decoder("s", "t"), [value + b"\xa0\x06\x01"]).rows == [{"t": "x"}]
