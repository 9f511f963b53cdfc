"""Hostile bytes and schemas: every byte string is a row or an error, in bounded time and memory.

``PRISM_FUZZ`` is the number of random values.
"""

from __future__ import annotations

import copy
import decimal
import gc
import io
import os
import random
import tracemalloc
from typing import Any

import fastavro
import psutil
import pytest

from prism_avro.numbers import MAX_DEPTH, MAX_EMPTY_ITEMS

BUDGET = int(os.environ.get("PRISM_FUZZ", "20000"))
RICH = {
    "type": "record",
    "name": "Rich",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "n", "type": ["null", "int", "string"]},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B", "C"]}},
        {"name": "tree", "type": {"type": "array", "items": ["null", "boolean", "Rich"]}},
        {"name": "map", "type": {"type": "map", "values": "double"}},
        {"name": "key", "type": {"type": "fixed", "name": "Key", "size": 3}},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 2}},
    ],
}
NUMBERS = {
    "type": "record",
    "name": "Numbers",
    "fields": [{"name": f"n{i}", "type": kind} for i, kind in enumerate(["long", "int", "float", "boolean", "bytes"])],
}
NULLS = {"type": "record", "name": "Nulls", "fields": [{"name": "a", "type": {"type": "array", "items": "null"}}]}
CHAIN = {"type": "record", "name": "Chain", "fields": [{"name": "next", "type": ["null", "Chain"]}]}
SCHEMAS = [RICH, NUMBERS, NULLS, CHAIN]
MAX_LONG = b"\xfe" + b"\xff" * 8 + b"\x01"
MIN_LONG = b"\xff" * 9 + b"\x01"
HUGE = b"\x80" * 8 + b"\x20"  # 2**60


def values_of(seed: int, count: int) -> list[tuple[int, bytes]]:
    """Schema number and payload: random bytes, and sound records with some bytes changed."""
    draw = random.Random(seed)
    tree: dict[str, Any] = {
        "id": "x",
        "n": 5,
        "kind": "B",
        "tree": [],
        "map": {"a": 1.5},
        "key": b"abc",
        "price": decimal.Decimal("1.25"),
    }
    sound = [
        (RICH, {**tree, "tree": [None, True, {**tree, "n": "text"}]}),
        (NUMBERS, {"n0": 1 << 40, "n1": -3, "n2": 1.5, "n3": True, "n4": b"bytes"}),
        (NULLS, {"a": [None] * 3}),
        (CHAIN, {"next": {"next": {"next": None}}}),
    ]
    written = []
    for schema, value in sound:
        out = io.BytesIO()
        fastavro.schemaless_writer(out, fastavro.parse_schema(copy.deepcopy(schema)), value)
        written.append(out.getvalue())
    values = []
    for _ in range(count):
        which = draw.randrange(len(SCHEMAS))
        if draw.random() < 0.3:
            payload = bytearray(draw.randbytes(draw.randrange(40)))
        else:
            payload = bytearray(written[which])
            for _ in range(draw.randrange(4)):
                place = draw.randrange(len(payload)) if payload else 0
                payload[place : place + draw.randrange(2)] = draw.randbytes(draw.randrange(3))
        values.append((which, bytes(payload)))
    return values


def test_what_is_decoded_from_random_bytes_is_what_fastavro_reads(new_registry, new_decoder, batch_of):
    registry = new_registry()
    parsed = [fastavro.parse_schema(copy.deepcopy(schema)) for schema in SCHEMAS]
    decoders = []
    for number, schema in enumerate(SCHEMAS):
        registry.release(str(number), schema)
        decoders.append(new_decoder(registry, str(number), wire="bare"))
    process = psutil.Process()
    decoded_rows = 0
    resident = 0
    for part in range(0, BUDGET, 5000):
        values = values_of(part, min(5000, BUDGET - part))
        for number, decoder in enumerate(decoders):
            payloads = [payload for which, payload in values if which == number]
            decoded = decoder.decode(batch_of(payloads))
            assert decoded.stop is None
            assert len(decoded.rows) == len(payloads)
            for row, (payload, value) in enumerate(zip(payloads, decoded.rows, strict=True)):
                assert (value is None) == (row in decoded.errors)
                if value is not None:
                    source = io.BytesIO(payload)
                    assert repr(value) == repr(fastavro.schemaless_reader(source, parsed[number]))
                    assert source.tell() == len(payload)
                    decoded_rows += 1
        gc.collect()
        if part == 5000:
            resident = process.memory_info().rss
    assert decoded_rows > BUDGET // 50
    assert process.memory_info().rss - (resident or process.memory_info().rss) < 32 << 20


def test_random_framed_bytes_are_rows_or_errors_whatever_is_read(new_registry, new_decoder, batch_of):
    registry = new_registry()
    one = registry.release("s", RICH)
    projections = [("*",), ("id",), ("tree.id", "kind"), ("price",), ()]
    decoders = [new_decoder(registry, "s", reads) for reads in projections]
    draw = random.Random(7)
    start = b"\0\0\0\0" + bytes([one.id])
    values: list[bytes | None] = []
    for _, payload in values_of(1, BUDGET // len(projections)):
        head = start if draw.random() < 0.95 else draw.randbytes(draw.randrange(8))
        values.append(None if draw.random() < 0.01 else head + payload)
    for decoder in decoders:
        decoded = decoder.decode(batch_of(values))
        assert decoded.stop is None
        assert len(decoded.rows) == len(values)
        assert all((row is None) == (i in decoded.errors or values[i] is None) for i, row in enumerate(decoded.rows))


def of(kind: Any) -> dict[str, Any]:
    return {"type": "record", "name": "Hostile", "fields": [{"name": "f", "type": kind}, {"name": "g", "type": "null"}]}


EMPTY = {"type": "record", "name": "Empty", "fields": [{"name": "n", "type": "null"}]}
NOTHING = {"type": "fixed", "name": "Nothing", "size": 0}


@pytest.mark.parametrize("reads", ["f", "g"])
@pytest.mark.parametrize(
    ("kind", "payload", "code"),
    [
        ("string", b"\1", "invalid-length"),
        ("string", b"\x81\x01", "invalid-length"),
        ("bytes", MIN_LONG, "invalid-length"),
        ("string", MAX_LONG, "truncated"),
        ("bytes", HUGE, "truncated"),
        ("bytes", HUGE + b"\0" * 100, "truncated"),
        ("long", b"\xff" * 10 + b"\1", "invalid-number"),
        ("long", b"\x80" * 100 + b"\0", "invalid-number"),
        ("long", b"\x80" * 5, "truncated"),
        ("double", b"\0" * 7, "truncated"),
        (["null", "string"], b"\x04", "invalid-index"),
        (["null", "string"], b"\x01", "invalid-index"),
        (["null", "string"], MAX_LONG, "invalid-index"),
        ({"type": "array", "items": "string"}, HUGE, "truncated"),
        ({"type": "array", "items": "double"}, HUGE + b"\0" * 80, "truncated"),
        ({"type": "array", "items": "long"}, b"\x01\x01", "invalid-length"),
        ({"type": "array", "items": "long"}, b"\x01" + HUGE, "truncated"),
        ({"type": "array", "items": "long"}, b"\x01\x80", "truncated"),
        ({"type": "array", "items": "long"}, b"\x02" * 50, "truncated"),
        ({"type": "map", "values": "null"}, HUGE + b"\0" * 9, "truncated"),
        ({"type": "map", "values": "long"}, MIN_LONG + b"\1", "invalid-length"),
        ({"type": "fixed", "name": "F", "size": 1 << 40}, b"abc", "truncated"),
    ],
)
def test_hostile_lengths_are_errors(kind, payload, code, reads, registry, new_decoder, batch_of):
    registry.release("s", of(kind))
    decoder = new_decoder(registry, "s", {reads}, wire="bare")
    tracemalloc.start()
    decoded = decoder.decode(batch_of([payload] * 3))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [decoded.errors[i].code for i in range(3)] == [code] * 3
    assert decoded.rows == [None] * 3
    assert peak < 1 << 20


@pytest.mark.parametrize("items", ["null", EMPTY, NOTHING])
def test_items_without_bytes_are_limited(items, registry, new_decoder, batch_of):
    registry.release("s", of({"type": "array", "items": {"type": "array", "items": items}}))
    decoder = new_decoder(registry, "s", wire="bare")
    within = b"\x02" + b"\x80\x10\0" + b"\0"  # one array of 1024
    beyond = b"\x80\x01" + b"\x80\x10\0" * 64 + b"\0"  # 64 arrays of 1024
    decoded = decoder.decode(
        batch_of([within, b"\x02" + HUGE + b"\0\0", beyond, within, b"\x02" + MIN_LONG + b"\0\0\0"])
    )
    assert {i: error.code for i, error in decoded.errors.items()} == dict.fromkeys([1, 2, 4], "too-many-items")
    assert len(decoded.rows[3]["f"][0]) == 1024 < MAX_EMPTY_ITEMS


@pytest.mark.parametrize("reads", ["*", "other"])
def test_deep_recursion_is_an_error(reads, registry, new_decoder, batch_of):
    schema = copy.deepcopy(CHAIN)
    schema["fields"].append({"name": "other", "type": ["null", "long"]})
    registry.release("s", schema)
    decoder = new_decoder(registry, "s", {reads}, wire="bare")
    deep = [b"\x02" * depth + b"\0" * (depth + 2) for depth in (MAX_DEPTH, MAX_DEPTH + 5, 100_000)]
    decoded = decoder.decode(batch_of(deep))
    assert {i: error.code for i, error in decoded.errors.items()} == {1: "too-deep", 2: "too-deep"}
    assert decoded.rows[0] is not None


def test_a_record_that_contains_itself_has_no_values(registry, new_decoder, batch_of):
    schema = {"type": "record", "name": "R", "fields": [{"name": "r", "type": "R"}]}
    registry.release("s", schema)
    assert new_decoder(registry, "s", wire="bare").decode(batch_of([b"", b"\0"])).errors[0].code == "too-deep"


@pytest.mark.parametrize(
    "name",
    ['x"]; import os; os._exit(3) #', "x'\n    raise SystemExit(3)\n#", "\\", "{p}", "\u2028", "__import__('os')", "é"],
)
def test_names_and_defaults_cannot_become_code(name, registry, new_decoder, new_encoder, batch_of):
    enum = {"type": "enum", "name": f"E{name}", "symbols": ["A", "B"]}
    writer = {"type": "record", "name": name, "fields": [{"name": name, "type": enum}]}
    reader = copy.deepcopy(writer)
    reader["fields"].append({"name": name + "2", "type": "string", "default": name})
    reader["fields"].append({"name": name + "3", "type": {"type": "map", "values": "string"}, "default": {name: name}})
    one = registry.release("s", writer)
    registry.release("s", reader)
    decoded = new_decoder(registry, "s").decode(batch_of([b"\0\0\0\0" + bytes([one.id, 0])]))
    assert decoded.rows == [{name: "A", name + "2": name, name + "3": {name: name}}]
    encoded = new_encoder(registry, "s").encode([decoded.rows[0], {name: 1}])
    assert new_decoder(registry, "s").decode(batch_of(encoded.values[:1])).rows == decoded.rows
    assert encoded.errors[1].field == name


def test_a_value_longer_than_any_decimal_is_an_error_at_once(registry, new_decoder, batch_of):
    registry.release("s", of({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}))
    payload = b"\x80\x80\x80\x01" + b"\x7f" * (1 << 20)
    assert new_decoder(registry, "s", wire="bare").decode(batch_of([payload])).errors[0].code == "invalid-decimal"


def test_wide_and_deep_schemas_are_compiled(registry, new_decoder, batch_of):
    deep: Any = "long"
    for _ in range(60):
        deep = {"type": "array", "items": deep}
    branches = ["null", *({"type": "fixed", "name": f"F{i}", "size": i + 1} for i in range(300))]
    level: Any = {
        "type": "record",
        "name": "L0",
        "fields": [{"name": "a", "type": "int"}, {"name": "b", "type": "int"}],
    }
    for i in range(1, 25):  # two to the power of 25 fields, if it were written out
        fields = [{"name": "a", "type": level}, {"name": "b", "type": f"L{i - 1}"}]
        level = {"type": "record", "name": f"L{i}", "fields": fields}
    wide = [{"name": f"f{i}", "type": "int"} for i in range(1000)]
    fields = [{"name": "deep", "type": deep}, {"name": "union", "type": branches}, *wide]
    registry.release("s", {"type": "record", "name": "Wide", "fields": fields})
    registry.release("levels", {"type": "record", "name": "R", "fields": [{"name": "l", "type": ["null", level]}]})
    value = b"\x02" * 60 + b"\x08" + b"\0" * 60 + b"\x02x" + b"\0" * 1000
    row = new_decoder(registry, "s", wire="bare").decode(batch_of([value])).rows[0]
    inner = row["deep"]
    for _ in range(60):
        (inner,) = inner
    assert (inner, row["union"], len(row)) == (4, b"x", 1002)
    decoded = new_decoder(registry, "levels", wire="bare").decode(batch_of([b"\0", b"\x02" + b"\0" * 1000]))
    assert decoded.rows[0] == {"l": None}
    assert decoded.errors[1].code == "truncated"
