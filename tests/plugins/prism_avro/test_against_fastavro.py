"""fastavro as the oracle: schemas, values and evolutions are drawn, rows and bytes must be the same."""

from __future__ import annotations

import copy
import itertools
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.plugins.prism_avro.drawing import cut, draw_reads, named_types, paths, read, records, schemas, write

LEAN = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def evolve(draw: st.DrawFn, schema: dict[str, Any]) -> dict[str, Any]:
    """A reader that can read what ``schema`` writes."""
    reader = copy.deepcopy(schema)
    fresh = itertools.count(1)
    for record in [one for one in named_types(reader).values() if one["type"] == "record"]:
        for one in list(record["fields"]):
            match draw(st.sampled_from(["keep", "keep", "drop", "rename", "promote", "nullable"])):
                case "drop" if not _defines(one["type"]):
                    record["fields"].remove(one)
                case "rename":
                    one["aliases"] = [one["name"]]
                    one["name"] = f"renamed{next(fresh)}"
                case "promote":
                    one["type"] = _promoted(draw, one["type"])
                case "nullable" if not isinstance(one["type"], list) and one["type"] != "null":
                    one["type"] = ["null", one["type"]]
        for kind, default in draw(st.lists(st.sampled_from(ADDED), max_size=2)):
            record["fields"].append({"name": f"added{next(fresh)}", "type": kind, "default": default})
        record["fields"] = _in_order(draw, record["fields"])
    for enum in [one for one in named_types(reader).values() if one["type"] == "enum"]:
        if draw(st.booleans()):
            enum["symbols"] = ["UNKNOWN", *enum["symbols"][: draw(st.integers(0, 4))]]
            enum["default"] = "UNKNOWN"
    return reader


ADDED = [
    ("int", 7),
    ("string", "x"),
    (["null", "long"], None),
    ({"type": "array", "items": "int"}, [1, 2]),
    ({"type": "map", "values": "string"}, {"a": "b"}),
    ("double", 1.5),
]


def _defines(schema: Any) -> bool:
    """Whether other places may name a type that is defined here."""
    return bool(named_types(schema))


def _in_order(draw: st.DrawFn, fields: list[Any]) -> list[Any]:
    # moving a definition behind a place that names it would make another schema
    return fields if any(_defines(one["type"]) for one in fields) else draw(st.permutations(fields))


def _promoted(draw: st.DrawFn, kind: Any) -> Any:
    wider = {"int": ["long", "float", "double"], "long": ["float", "double"], "float": ["double"], "bytes": ["bytes"]}
    wider["string"] = ["bytes"]
    return draw(st.sampled_from(wider[kind])) if isinstance(kind, str) and kind in wider else kind


@LEAN
@given(data=st.data())
def test_rows_are_what_fastavro_reads(data, new_registry, new_decoder, batch_of):
    schema = data.draw(schemas())
    values = [write(schema, data.draw(records(schema))) for _ in range(3)]
    registry = new_registry()
    registry.release("s", schema)
    decoded = new_decoder(registry, "s", wire="bare").decode(batch_of(values))
    assert decoded.rows == [read(value, schema) for value in values]
    assert not decoded.errors


@LEAN
@given(data=st.data())
def test_rows_of_an_older_writer_are_what_fastavro_resolves(data, new_registry, new_decoder, batch_of):
    writer = data.draw(schemas())
    reader = data.draw(st.composite(lambda draw: evolve(draw, writer))())
    values = [write(writer, data.draw(records(writer))) for _ in range(2)]
    registry = new_registry()
    start = b"\0\0\0\0" + bytes([registry.release("s", writer).id])
    registry.release("s", reader)
    decoder = new_decoder(registry, "s")
    decoded = decoder.decode(batch_of([start + value for value in values]))
    assert decoded.stop is None
    assert not decoded.errors
    assert decoded.rows == [read(value, writer, reader) for value in values]


@LEAN
@given(data=st.data())
def test_projected_rows_are_the_whole_rows_cut_down(data, new_registry, new_decoder, batch_of):
    writer = data.draw(schemas())
    reader = data.draw(st.composite(lambda draw: evolve(draw, writer))())
    named = named_types(reader)
    reads = data.draw(st.composite(lambda draw: draw_reads(draw, reader, named))())
    if not reads:
        return
    value = write(writer, data.draw(records(writer)))
    registry = new_registry()
    start = b"\0\0\0\0" + bytes([registry.release("s", writer).id])
    registry.release("s", reader)
    decoded = new_decoder(registry, "s", paths(reads)).decode(batch_of([start + value]))
    assert decoded.stop is None
    assert not decoded.errors
    assert decoded.rows == [cut(read(value, writer, reader), reader, reads, named)]


@LEAN
@given(data=st.data())
def test_every_truncation_and_every_longer_value_is_an_error(data, new_registry, new_decoder, batch_of):
    schema = data.draw(schemas())
    value = write(schema, data.draw(records(schema)))[:400]
    named = named_types(schema)
    reads = paths(data.draw(st.composite(lambda draw: draw_reads(draw, schema, named))()))
    registry = new_registry()
    registry.release("s", schema)
    shorter = [value[:length] for length in range(len(value))]
    for some in ({"*"}, reads):
        decoded = new_decoder(registry, "s", some, wire="bare").decode(batch_of(shorter))
        assert decoded.rows == [None] * len(shorter)
        assert set(decoded.errors) == set(range(len(shorter)))
    if len(value) < 400:
        decoded = new_decoder(registry, "s", reads, wire="bare").decode(batch_of([value + b"\0", value]))
        assert decoded.errors[0].code == "trailing-bytes"
        assert list(decoded.errors) == [0]


@LEAN
@given(data=st.data())
def test_fastavro_and_we_read_what_we_encode(data, new_registry, new_decoder, new_encoder, batch_of):
    schema = data.draw(schemas())
    bodies = [data.draw(records(schema)) for _ in range(3)]
    before = copy.deepcopy(bodies)
    registry = new_registry()
    registry.release("s", schema)
    encoded = new_encoder(registry, "s", wire="bare").encode(bodies)
    assert not encoded.errors
    assert bodies == before
    rows = new_decoder(registry, "s", wire="bare").decode(batch_of(encoded.values)).rows
    assert rows == [read(value, schema) for value in encoded.values if value is not None]
    assert rows == bodies
