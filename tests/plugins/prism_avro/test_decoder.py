"""What the decoder promises, clause by clause, and when it stops rather than skips."""

from __future__ import annotations

import decimal
import io
import struct
from typing import Any

import fastavro
import pytest

from prism_avro.plugin import AvroConfig, prism_stages
from prismlib.config.model import validate
from prismlib.contracts.registry import Reference
from prismlib.errors import ConfigError, RegistryUnavailableError, SchemaNotFoundError, SchemaParseError
from prismlib.plugin.hookspecs import BuildContext
from prismlib.stages import IdentifiesSchema


def record(*fields: Any, name: str = "shop.Order", **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": [field(*one) for one in fields], **more}


def field(name: str, kind: Any, *default: Any, aliases: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"name": name, "type": kind, "aliases": list(aliases), **({"default": default[0]} if default else {})}


def encode(schema: Any, value: Any, schema_id: int | None = None) -> bytes:
    out = io.BytesIO()
    if schema_id is not None:
        out.write(b"\0" + struct.pack(">I", schema_id))
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)
    return out.getvalue()


ORDER = record(("id", "string"), ("amount", "long"))


def test_golden_bytes(registry, new_decoder, batch_of):
    schema = record(
        ("text", "string"),
        ("small", "int"),
        ("large", "long"),
        ("ratio", "double"),
        ("flag", "boolean"),
        ("kind", {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}),
        ("maybe", ["null", "string"]),
        ("list", {"type": "array", "items": "int"}),
        ("map", {"type": "map", "values": "int"}),
        ("price", {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}),
        ("when", {"type": "long", "logicalType": "timestamp-millis"}),
        ("key", {"type": "fixed", "name": "Key", "size": 16, "logicalType": "uuid"}),
    )
    registry.release("orders-value", schema)
    value = bytes.fromhex(
        "00 00000001"  # header
        "04 6869"  # "hi"
        "01"  # -1
        "ffffffffffffffffff 01"  # the smallest long
        "000000000000f83f"  # 1.5
        "01"  # true
        "02"  # B
        "02 02 78"  # second branch, "x"
        "03 04 02 04 02 06 00"  # a block of 2 items in 2 bytes: 1, 2; a block of one item: 3
        "02 02 61 0e 00"  # {"a": 7}
        "04 ff85"  # -123
        "80a0abfef962"  # 2023-11-14
        "000102030405060708090a0b0c0d0e0f"
    )
    decoded = new_decoder(registry, "orders-value").decode(batch_of([value]))
    assert not decoded.errors
    assert decoded.rows == [
        {
            "text": "hi",
            "small": -1,
            "large": -(1 << 63),
            "ratio": 1.5,
            "flag": True,
            "kind": "B",
            "maybe": "x",
            "list": [1, 2, 3],
            "map": {"a": 7},
            "price": decimal.Decimal("-1.23"),
            "when": 1700000000000,
            "key": "00010203-0405-0607-0809-0a0b0c0d0e0f",
        }
    ]


def test_rows_are_aligned_and_neighbours_of_bad_values_are_decoded(registry, new_decoder, batch_of):
    one = registry.release("s", ORDER)
    good = encode(ORDER, {"id": "a", "amount": 1}, one.id)
    values = [good, None, b"", good[:-1], good, b"\1" + good[1:], good + b"x", b"\0\0\0\0\x63abc", None, good]
    batch = batch_of(tuple(values))
    decoder = new_decoder(registry, "s")
    decoded = decoder.decode(batch)
    row = {"id": "a", "amount": 1}
    assert decoded.rows == [row, None, None, None, row, None, None, None, None, row]
    assert {i: error.code for i, error in decoded.errors.items()} == {
        2: "no-schema-id",
        3: "truncated",
        5: "no-schema-id",
        6: "trailing-bytes",
        7: "unknown-schema-id",
    }
    assert decoded.stop is None
    assert list(batch.values) == values
    again = decoder.decode(batch)
    assert again.rows == decoded.rows
    assert {i: str(e) for i, e in again.errors.items()} == {i: str(e) for i, e in decoded.errors.items()}


def test_a_batch_may_mix_writer_schemas(registry, new_decoder, batch_of):
    old = registry.release("s", record(("id", "string"), ("amount", "int")))
    new = registry.release("s", record(("amount", "long"), ("note", "string", ""), ("id", "string")))
    values = [
        encode(record(("id", "string"), ("amount", "int")), {"id": "a", "amount": 1}, old.id),
        encode(
            record(("amount", "long"), ("note", "string"), ("id", "string")),
            {"id": "b", "amount": 2, "note": "n"},
            new.id,
        ),
    ] * 3
    decoded = new_decoder(registry, "s").decode(batch_of(values))
    assert decoded.rows == [{"amount": 1, "note": "", "id": "a"}, {"amount": 2, "note": "n", "id": "b"}] * 3
    assert sorted(registry.asked) == [old.id, new.id]


def test_an_error_names_the_field(registry, new_decoder, batch_of):
    schema = record(("lines", {"type": "array", "items": record(("sku", "string"), name="Line")}))
    registry.release("s", schema)
    value = encode(schema, {"lines": [{"sku": "a"}, {"sku": "b"}]}).replace(b"b", b"\xff")
    error = new_decoder(registry, "s", wire="bare").decode(batch_of([value])).errors[0]
    assert (error.code, error.field) == ("invalid-utf8", "lines[1].sku")


def test_only_what_is_read_is_in_a_row(registry, new_decoder, batch_of):
    line = record(("sku", "string"), ("price", "double"), name="Line")
    schema = record(
        ("id", "string"),
        ("lines", {"type": "array", "items": line}),
        ("by_key", {"type": "map", "values": "Line"}),
        ("last", ["null", "Line"]),
        ("tags", {"type": "array", "items": "string"}),
    )
    registry.release("s", schema)
    lines = {"sku": "a", "price": 1.0}
    value = encode(schema, {"id": "1", "lines": [lines], "by_key": {"k": lines}, "last": lines, "tags": ["t"]})
    reads = {"lines.sku", "by_key.price", "last", "last.sku"}
    row = new_decoder(registry, "s", reads, wire="bare").decode(batch_of([value])).rows[0]
    assert row == {"lines": [{"sku": "a"}], "by_key": {"k": {"price": 1.0}}, "last": lines}


def test_rows_do_not_share_defaults(registry, new_decoder, batch_of):
    old = registry.release("s", record(("id", "string")))
    registry.release("s", record(("id", "string"), ("tags", {"type": "array", "items": "string"}, ["x"])))
    value = encode(record(("id", "string")), {"id": "a"}, old.id)
    rows = new_decoder(registry, "s").decode(batch_of([value, value])).rows
    rows[0]["tags"].append("y")
    assert rows[1] == {"id": "a", "tags": ["x"]}


def test_without_reads_payloads_pass_through(registry, new_decoder, batch_of):
    one = registry.release("s", ORDER)
    other = registry.release("other", record(("id", "string"), name="shop.Other"))
    good = encode(ORDER, {"id": "a", "amount": 1}, one.id)
    values = [good, None, b"\0\0\0\0\x63abc", good, b"\0\0\0\0" + bytes([other.id])]
    decoded = new_decoder(registry, "s", ()).decode(batch_of(values))
    assert decoded.rows == [good[5:], None, None, good[5:]]
    assert decoded.errors[2].code == "unknown-schema-id"
    assert decoded.stop[0] == 4
    bare = new_decoder(registry, "s", (), wire="bare").decode(batch_of([b"anything", None]))
    assert bare.rows == [b"anything", None]


def test_bare_values_are_written_with_the_given_version(registry, new_decoder, batch_of):
    registry.release("s", ORDER)
    registry.release("s", record(("amount", "long"), ("id", "string")))
    decoder = new_decoder(registry, "s", wire="bare", version=1)
    assert decoder.decode(batch_of([b"\2a\4"])).rows == [{"id": "a", "amount": 2}]
    assert decoder.schema_id(b"\0\0\0\0\7abc") is None
    assert new_decoder(registry, "s", wire="bare").decode(batch_of([b"\4\2a"])).rows == [{"id": "a", "amount": 2}]


def test_the_reader_version_shapes_the_rows(registry, new_decoder, batch_of):
    one = registry.release("s", ORDER)
    registry.release("s", record(("id", "string"), ("amount", "long"), ("more", "string", "m")))
    value = encode(ORDER, {"id": "a", "amount": 1}, one.id)
    assert new_decoder(registry, "s").decode(batch_of([value])).rows == [{"id": "a", "amount": 1, "more": "m"}]
    assert new_decoder(registry, "s", version=1).decode(batch_of([value])).rows == [{"id": "a", "amount": 1}]


def test_it_says_which_schema_wrote_a_value(registry, new_decoder):
    registry.release("s", ORDER)
    decoder = new_decoder(registry, "s")
    assert isinstance(decoder, IdentifiesSchema)
    assert decoder.schema_id(b"\0\0\0\1\2") == 258
    assert [decoder.schema_id(value) for value in (b"", b"\0\0\0\1", b"\1\0\0\0\1")] == [None] * 3


@pytest.mark.parametrize(
    ("writer", "said"),
    [
        (record(("id", "string"), name="shop.Customer"), "record shop.Customer"),
        (record(("id", "string")), "'amount' is read, has no default and is not written"),
        (record(("id", "string"), ("amount", "string")), "'amount' is written as string and read as long"),
        (record(("id", "string"), ("amount", ["string", "boolean"])), "AVR005 union-branch-unknown-to-reader"),
        ("no schema at all", "not an Avro schema"),
        ({"type": "enum", "name": "Order", "symbols": ["A"]}, "enum Order"),
    ],
)
def test_it_stops_at_a_writer_that_cannot_be_read(writer, said, registry, new_decoder, batch_of):
    one = registry.release("s", ORDER)
    bad = registry.release("written", writer)
    good = encode(ORDER, {"id": "a", "amount": 1}, one.id)
    decoder = new_decoder(registry, "s", version=1)
    for _ in range(2):
        decoded = decoder.decode(batch_of([good, good[:-1], b"\0\0\0\0" + bytes([bad.id]) + b"\2a\2", good]))
        assert decoded.rows == [{"id": "a", "amount": 1}, None]
        assert list(decoded.errors) == [1]
        row, drift = decoded.stop
        assert row == 2
        for part in (said, "subject written version 1", f"schema id {bad.id}", "subject s"):
            assert part in str(drift)
    assert registry.asked.count(bad.id) == 1


def test_what_is_not_read_need_not_be_readable(registry, new_decoder, batch_of):
    writer = record(("amount", {"type": "array", "items": "string"}), ("id", "string"))
    bad = registry.release("written", writer)
    registry.release("s", ORDER)
    value = encode(writer, {"id": "a", "amount": ["x"]}, bad.id)
    assert new_decoder(registry, "s", {"id"}).decode(batch_of([value])).rows == [{"id": "a"}]


def test_a_schema_of_another_format_stops(registry, new_decoder, batch_of):
    registry.release("s", ORDER)
    other = registry.release("clicks", "syntax = 'proto3';", "protobuf")
    decoded = new_decoder(registry, "s").decode(batch_of([b"\0\0\0\0" + bytes([other.id])]))
    assert decoded.stop[0] == 0
    assert "protobuf" in str(decoded.stop[1])


def test_it_stops_at_a_value_that_the_reader_has_no_place_for_unless_it_is_corrupt(registry, new_decoder, batch_of):
    writer = record(("id", ["null", "string"]), ("kind", {"type": "enum", "name": "K", "symbols": ["A", "B"]}))
    reader = record(("id", "string"), ("kind", {"type": "enum", "name": "K", "symbols": ["A"]}))
    one = registry.release("s", writer)  # the older version: a newer one would be held against what is read
    registry.release("s", reader)
    decoder = new_decoder(registry, "s")
    good = encode(writer, {"id": "a", "kind": "A"}, one.id)
    null = encode(writer, {"id": None, "kind": "A"}, one.id)
    symbol = encode(writer, {"id": "a", "kind": "B"}, one.id)
    assert decoder.decode(batch_of([good, null])).stop[0] == 1
    row, drift = decoder.decode(batch_of([good, null[:-1], null + b"\0", symbol, good])).stop
    assert row == 3
    assert "'B'" in str(drift)
    corrupt = decoder.decode(batch_of([null[:-1], null + b"\0", good]))
    assert {i: error.code for i, error in corrupt.errors.items()} == {0: "truncated", 1: "trailing-bytes"}
    assert corrupt.stop is None


def test_a_registry_that_does_not_answer_stops_and_is_asked_again(registry, new_decoder, batch_of):
    one = registry.release("s", ORDER)
    decoder = new_decoder(registry, "s")
    good = encode(ORDER, {"id": "a", "amount": 1}, one.id)
    registry.down = True
    decoded = decoder.decode(batch_of([None, good]))
    assert decoded.rows == [None]
    assert decoded.stop[0] == 1
    assert "the registry is down" in str(decoded.stop[1])
    registry.down = False
    assert decoder.decode(batch_of([good])).rows == [{"id": "a", "amount": 1}]
    registry.down = True
    assert decoder.decode(batch_of([good])).rows == [{"id": "a", "amount": 1}]


@pytest.mark.parametrize("error", [RegistryUnavailableError, SchemaNotFoundError, ConfigError])
def test_an_import_that_cannot_be_had_stops_and_is_asked_for_again(error, registry, new_decoder, batch_of, monkeypatch):
    line = record(("sku", "string"), name="shop.Line")
    registry.release("line", line)
    one = registry.release("s", record(("line", "shop.Line")), references=[Reference("shop.Line", "line", 1)])
    registry.release("read", record(("line", line)))
    decoder = new_decoder(registry, "read")
    value = b"\0\0\0\0" + bytes([one.id]) + b"\2x"

    whole = registry.version

    def broken(subject, version):
        if subject == "read":
            return whole(subject, version)
        raise error(f"the folder of {subject} is not in order")

    monkeypatch.setattr(registry, "version", broken)
    decoded = decoder.decode(batch_of([None, value]))
    assert decoded.rows == [None]
    assert "subject s version 1" in str(decoded.stop[1])
    assert "the folder of line is not in order" in str(decoded.stop[1])
    monkeypatch.undo()
    assert decoder.decode(batch_of([value])).rows == [{"line": {"sku": "x"}}]


def test_aliases_and_namespaces(registry, new_decoder, batch_of):
    writer = record(("number", "int"), name="old.Purchase")
    reader = record(name="new.Order", aliases=["old.Purchase"])
    reader["fields"] = [field("count", "long", aliases=("number",))]
    one = registry.release("s", writer)
    registry.release("s", reader)
    assert new_decoder(registry, "s").decode(batch_of([encode(writer, {"number": 3}, one.id)])).rows == [{"count": 3}]


def test_a_union_of_the_reader_prefers_the_type_that_was_written(registry, new_decoder, batch_of):
    writer = record(("n", "long"))
    one = registry.release("s", writer)
    registry.release("s", record(("n", ["double", "long"])))
    exact = (1 << 62) + 1
    assert new_decoder(registry, "s").decode(batch_of([encode(writer, {"n": exact}, one.id)])).rows == [{"n": exact}]


def test_a_changed_scale_does_not_change_an_amount(registry, new_decoder, batch_of):
    def of_scale(scale: int) -> Any:
        return record(("n", {"type": "bytes", "logicalType": "decimal", "precision": 30, "scale": scale}))

    one = registry.release("s", of_scale(2))
    registry.release("s", of_scale(4))
    amount = decimal.Decimal("1234567890123456789012345678.91")
    value = encode(of_scale(2), {"n": amount}, one.id)
    assert new_decoder(registry, "s").decode(batch_of([value])).rows == [{"n": amount}]


def test_schemas_may_import_others(registry, new_decoder, batch_of):
    registry.release("sku", {"type": "fixed", "name": "shop.Sku", "size": 2})
    registry.release(
        "line", record(("sku", "shop.Sku"), name="shop.Line"), references=[Reference("shop.Sku", "sku", 1)]
    )
    registry.release("s", record(("line", "shop.Line")), references=[Reference("shop.Line", "line", 1)])
    assert new_decoder(registry, "s", wire="bare").decode(batch_of([b"ab"])).rows == [{"line": {"sku": b"ab"}}]


@pytest.mark.parametrize(
    ("schema", "reads", "said"),
    [
        (ORDER, {"amuont"}, "did you mean 'amount'"),
        (ORDER, {"id.inner"}, "has no field 'inner' there"),
        ("string", {"*"}, "is of type string; rows can be made of records only"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused(schema, reads, said, registry, new_decoder):
    registry.release("s", schema if isinstance(schema, dict) else '"string"')
    with pytest.raises(ConfigError, match=said):
        new_decoder(registry, "s", reads)


def test_a_missing_subject_version_or_registry_is_refused(registry, new_decoder):
    with pytest.raises(ConfigError, match="subject 's' has not got a released version"):
        new_decoder(registry, "s")
    registry.release("s", ORDER)
    with pytest.raises(ConfigError, match="subject 's' has not got version 2"):
        new_decoder(registry, "s", version=2)
    registry.release("p", "message M {}", "protobuf")
    with pytest.raises(ConfigError, match='use type = "protobuf"'):
        new_decoder(registry, "p")
    spec = next(iter(prism_stages()))
    with pytest.raises(ConfigError, match="needs a schema registry"):
        spec.factory(AvroConfig(subject="s"), BuildContext("test"))
    with pytest.raises(ConfigError, match="did you mean 'version'"):
        validate(AvroConfig, {"subject": "s", "versoin": 1}, "decode")
    registry.down = True
    with pytest.raises(RegistryUnavailableError):
        new_decoder(registry, "s")


def test_a_default_that_does_not_fit_its_type_is_refused(registry, new_decoder):
    registry.release("s", record(("id", "string")))
    registry.release("s", record(("id", "string"), ("n", {"type": "array", "items": "int"}, ["x"])))
    decoder = new_decoder(registry, "s")
    assert decoder is not None
    registry.release("bad", record(("n", {"type": "fixed", "name": "F", "size": 2}, "abc")))
    with pytest.raises(SchemaParseError, match="the default of the field 'n'"):
        from prism_avro.encoder import build_encoder  # noqa: PLC0415  # only here

        build_encoder(AvroConfig(subject="bad"), BuildContext("test", registry=registry))


def test_of_several_records_of_one_short_name_the_first_that_can_read_is_taken(registry, new_decoder, batch_of):
    written = record(("at", record(("id", "long"), name="c.P")))
    branches = [record(("id", "long"), ("more", "long"), name="a.P"), record(("id", "long"), name="b.P")]
    value = encode(written, {"at": {"id": 7}}, registry.release("s", written).id)
    registry.release("s", record(("at", branches)))
    decoded = new_decoder(registry, "s").decode(batch_of([value]))
    assert (decoded.rows, decoded.stop) == ([{"at": {"id": 7}}], None)
    registry.release("s", record(("at", [*branches[:1], record(("id", "string"), name="b.P")])))
    drift = new_decoder(registry, "s").decode(batch_of([value])).stop
    assert drift is not None
    assert "'at.more' is read, has no default and is not written" in str(drift[1])


def test_references_of_a_registered_schema_come_in_any_order(registry, new_decoder, batch_of):
    line = record(("sku", "shop.Sku"), name="shop.Line")
    sku = {"type": "fixed", "name": "shop.Sku", "size": 2}
    registry.release("line", line, references=[Reference("shop.Sku", "sku", 1)])
    registry.release("sku", sku)
    order = record(("line", "shop.Line"))
    names = [Reference("shop.Line", "line", 1), Reference("shop.Sku", "sku", 1)]
    one = registry.release("s", order, references=names)
    decoded = new_decoder(registry, "s").decode(batch_of([b"\0" + struct.pack(">I", one.id) + b"ab"]))
    assert decoded.rows == [{"line": {"sku": b"ab"}}]
