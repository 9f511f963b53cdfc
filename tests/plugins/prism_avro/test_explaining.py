"""How far a bad value can be read: the walk and the compiled decoder must come to the same verdict."""

from __future__ import annotations

import io
import random
import tracemalloc
from decimal import Decimal
from typing import Any

import fastavro
import pytest

from prismlib.errors import DecodeError, SchemaDriftError
from prismlib.stages import Explains
from tests.plugins.prism_avro.test_hostile import BUDGET, HUGE, SCHEMAS, values_of

LINE = {
    "type": "record",
    "name": "Line",
    "fields": [{"name": "sku", "type": "string"}, {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}}],
}  # fmt: skip
ORDER = {
    "type": "record",
    "name": "Order",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "at", "type": ["null", "long"]},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}},
        {"name": "lines", "type": {"type": "array", "items": LINE}},
        {"name": "tags", "type": {"type": "map", "values": "int"}},
        {"name": "paid", "type": "boolean"},
    ],
}


def order(**changed: Any) -> bytes:
    out = io.BytesIO()
    lines = [{"sku": "s1", "price": Decimal("1.25")}, {"sku": "s2", "price": Decimal(-3)}]
    body = {"id": "o1", "at": 5, "kind": "B", "lines": lines, "tags": {"x": 7}, "paid": True}
    fastavro.schemaless_writer(out, fastavro.parse_schema(ORDER), {**body, **changed})
    return out.getvalue()


@pytest.fixture
def explained(registry: Any, new_decoder: Any) -> Any:
    header = b"\0" + registry.release("orders", ORDER).id.to_bytes(4, "big")
    decoder = new_decoder(registry, "orders")
    assert isinstance(decoder, Explains)
    return lambda payload: decoder.explain(header + payload)


def test_a_sound_value_is_shown_whole(explained: Any) -> None:
    found = explained(order())
    assert found.error is None
    assert found.at is None
    assert found.fields == [
        ("id", "o1"),
        ("at", 5),
        ("kind", "B"),
        ("lines[0].sku", "s1"),
        ("lines[0].price", Decimal("1.25")),
        ("lines[1].sku", "s2"),
        ("lines[1].price", Decimal("-3.00")),
        ("tags.x", 7),
        ("paid", True),
    ]


def test_empty_lists_and_maps_are_fields_too(explained: Any) -> None:
    assert ("lines", []) in explained(order(lines=[])).fields
    assert ("tags", {}) in explained(order(tags={})).fields


@pytest.mark.parametrize(
    ("payload", "code", "field", "at", "last"),
    [
        (order()[:-1], "truncated", "paid", 29, "tags.x"),
        (order()[:4], "truncated", "at", 9, "id"),
        (order() + b"\x00", "trailing-bytes", None, 30, "paid"),
        (order()[:-1] + b"\x02", "invalid-index", "paid", 29, "tags.x"),
        (b"\x04\xff\xff" + order()[3:], "invalid-utf8", "id", 5, None),
        (order()[:3] + b"\x04" + order()[4:], "invalid-index", "at", 8, "id"),
        (b"\x01" + order()[1:], "invalid-length", "id", 5, None),
        (order()[:6] + HUGE + order()[7:], "truncated", "lines[0]", 11, "kind"),
        (b"", "truncated", "id", 5, None),
    ],
)
def test_the_fault_is_found_where_it_is(
    explained: Any, payload: bytes, code: str, field: str | None, at: int, last: str | None
) -> None:
    found = explained(payload)
    assert isinstance(found.error, DecodeError)
    assert (found.error.code, found.error.field, found.at) == (code, field, at)
    assert (found.fields[-1][0] if found.fields else None) == last


def test_what_the_reader_does_not_know_is_shown_whole(registry: Any, new_decoder: Any) -> None:
    narrow = {**ORDER, "fields": [{**f, "type": {"type": "enum", "name": "Kind", "symbols": ["A"]}} if f["name"] == "kind" else f for f in ORDER["fields"]]}  # fmt: skip
    wide = registry.release("orders", ORDER)
    registry.release("orders", narrow)
    found = new_decoder(registry, "orders").explain(b"\0" + wide.id.to_bytes(4, "big") + order())
    assert isinstance(found.error, SchemaDriftError)
    assert found.at is None
    assert ("kind", "B") in found.fields
    assert found.fields[-1] == ("paid", True)


def test_without_a_writer_schema_there_is_only_the_reason(registry: Any, new_decoder: Any, explained: Any) -> None:
    decoder = new_decoder(registry, "orders")
    for value, code in ((b"\0\0\0\0\x63abc", "unknown-schema-id"), (b"no Avro", "no-schema-id"), (b"", "no-schema-id")):
        found = decoder.explain(value)
        assert (list(found.fields), found.error.code, found.at) == ([], code, None)
    registry.down = True
    found = decoder.explain(b"\0\0\0\0\x62abc")
    assert isinstance(found.error, SchemaDriftError)


def test_a_value_without_a_header_is_read_with_the_readers_schema(registry: Any, new_decoder: Any) -> None:
    registry.release("orders", ORDER)
    found = new_decoder(registry, "orders", wire="bare").explain(order()[:-1])
    assert (found.error.field, found.at) == ("paid", 24)


def test_the_walk_and_the_decoder_agree_on_hostile_values(registry: Any, new_decoder: Any, batch_of: Any) -> None:
    ids = [registry.release(f"s{i}", schema).id for i, schema in enumerate(SCHEMAS)]
    decoders = [new_decoder(registry, f"s{i}") for i in range(len(SCHEMAS))]
    verdicts = 0
    for which, payload in values_of(11, BUDGET // 4):
        value = b"\0" + ids[which].to_bytes(4, "big") + payload
        error = decoders[which].decode(batch_of([value])).errors.get(0)
        found = decoders[which].explain(value)
        assert (found.at is None) == (error is None), (payload, error, found.error)
        if error is not None:
            assert found.error.code == error.code
            assert 5 <= found.at <= len(value)
            verdicts += 1
    assert verdicts > BUDGET // 20


def test_a_long_value_stays_small(explained: Any) -> None:
    value = order(tags={f"t{n}": n for n in range(100_000)})
    tracemalloc.start()
    found = explained(value)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.error is None
    assert len(found.fields) < 2_100
    assert found.fields[0] == ("id", "o1")
    assert found.fields[-1] == ("paid", True)
    assert any(path == "..." for path, _ in found.fields)
    assert peak < 40 << 20


def test_deep_nesting_ends(registry: Any, new_decoder: Any) -> None:
    schema = {"type": "record", "name": "Chain", "fields": [{"name": "next", "type": ["null", "Chain"]}]}
    head = b"\0" + registry.release("chain", schema).id.to_bytes(4, "big")
    found = new_decoder(registry, "chain").explain(head + b"\x02" * random.Random(1).randrange(5_000, 9_000) + b"\x00")
    assert found.error.code == "too-deep"
    assert found.at is not None
