"""Hostile schemas: an answer or a clear error, in bounded time and memory.

``PRISM_FUZZ_SCHEMAS`` is the number of mutated schemas; the time limit of the suite is what stops a check that does not end.
"""

from __future__ import annotations

import json
import os
import random
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from prism_avro.compatibility.format import AvroFormat
from prismlib.contracts.format import SchemaText
from prismlib.errors import ContractError, SchemaParseError

FORMAT = AvroFormat()
BUDGET = int(os.environ.get("PRISM_FUZZ_SCHEMAS", "2000"))


def record(name: str, *fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields)}


def field(name: str, kind: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, **more}


def answer(reader: str, writer: str) -> str:
    """What comes out of everything that a check can ask; lets nothing through but what a user is shown."""
    try:
        new, old = (FORMAT.parse(SchemaText(text, {}, "s")) for text in (reader, writer))
        found = FORMAT.can_read(new, old)
        for one in found[:3]:
            FORMAT.line_of(reader, one.path)
        FORMAT.changes(old, new)
        FORMAT.project(new, frozenset({"*"}))
    except ContractError as error:
        return type(error).__name__ if len(str(error)) < 500 else str(error)
    return "differs" if found else "same"


def long(kind: str) -> Any:
    return record("R", *(field(f"f{number}", kind) for number in range(150_000)))


def chain(*, forward: bool) -> Any:
    links = [record("R0", field("x", "int"))]
    links += [record(f"R{number}", field("x", f"R{number - 1}")) for number in range(1, 20_000)]
    return links if forward else links[::-1]


def large(name: str, count: int) -> Any:
    return record(name, *(field(f"f{number}", "int", default=0) for number in range(count)))


def busy(prefix: str) -> Any:
    enum = {"type": "enum", "name": "E", "symbols": [f"{prefix}{number}" for number in range(50_000)]}
    return record("Z", field("first", enum), *(field(f"z{number}", "E") for number in range(50_000)))


def doubling(default: int) -> Any:
    """Each record has the one before twice, with defaults that are spelled out nowhere."""
    records = [record("R0", field("x", "int", default=default))]
    for number in range(1, 100):
        inner = f"R{number - 1}"
        records.append(record(f"R{number}", field("x", inner, default={}), field("y", inner, default={})))
    return records


def alike(prefix: str, depth: int, *more: dict[str, Any]) -> Any:
    """Unions of records with one short name, so that each branch has to be tried, at every level."""
    kind: Any = "int"
    for level in range(depth):
        inner = [kind, f"{prefix}0{level - 1}.R" if level else "int"]
        kind = [record(f"{prefix}{number}{level}.R", field("x", inner[number]), *more) for number in range(2)]
    return record("Root", field("x", kind))


def same_names(prefix: str, *more: dict[str, Any]) -> Any:
    return [record(f"{prefix}{number}.R", field("x", "int"), *more) for number in range(3000)]


HOSTILE: dict[str, tuple[Callable[[], Any], Callable[[], Any], str]] = {
    "5 MB of fields": (lambda: long("int"), lambda: long("int"), "same"),
    "5 MB of differences": (lambda: long("int"), lambda: long("long"), "ContractError"),
    "a chain of names": (lambda: chain(forward=True), lambda: chain(forward=True), "ContractError"),
    "a chain of names, used before they are defined": (
        lambda: chain(forward=False), lambda: chain(forward=False), "SchemaParseError",
    ),
    "2**100 paths": (lambda: doubling(1), lambda: doubling(1), "same"),
    "2**100 values in a default": (lambda: doubling(1), lambda: doubling(2), "differs"),
    "2**40 choices of branches": (lambda: alike("a", 40), lambda: alike("b", 40), "SchemaParseError"),
    "2**20 choices of branches": (lambda: alike("a", 20), lambda: alike("b", 20), "ContractError"),
    "2**20 choices of branches that all fail": (
        lambda: alike("a", 20, field("y", "int")), lambda: alike("b", 20), "differs",
    ),
    "9,000,000 pairs of branches": (
        lambda: same_names("a", field("y", "int")), lambda: same_names("b"), "ContractError",
    ),
    "half a million symbols": (
        lambda: {"type": "enum", "name": "E", "symbols": [f"S{n}" for n in range(500_000)]},
        lambda: {"type": "enum", "name": "E", "symbols": [f"T{n}" for n in range(500_000)]},
        "ContractError",
    ),
    "a union of 50,000 records": (
        lambda: [record(f"R{n}", field("x", "int")) for n in range(50_000)],
        lambda: [record(f"R{n}", field("x", "int")) for n in range(50_000)],
        "ContractError",
    ),
    "a union of 5,000 records": (
        lambda: [record(f"a.R{n}", field("x", "int")) for n in range(5000)],
        lambda: [record(f"b.R{n}", field("x", "int")) for n in range(50)],
        "same",
    ),
    "one large record read as 20,000 others": (
        lambda: [large("R", 40_000), record("Z", *(field(f"z{n}", "R") for n in range(20_000)))],
        lambda: [record("Z", *(field(f"z{n}", record(f"n{n}.R")) for n in range(20_000)))],
        "ContractError",
    ),
    "an enum of 50,000 symbols in 50,000 fields": (lambda: busy("S"), lambda: busy("T"), "ContractError"),
    "a large record in 20,000 defaults": (
        lambda: [large("R", 40_000), record("Z", *(field(f"z{n}", "R", default={}) for n in range(20_000)))],
        lambda: "int",
        "ContractError",
    ),
    "a default of 100,000 items, each of 5,000 types": (
        lambda: record("Z", field("z", {"type": "array", "items": [
            *(record(f"R{n}") for n in range(5000)), "int"]}, default=[1] * 100_000)),
        lambda: "int",
        "ContractError",
    ),
    "a union of 200 enums that moved": (
        lambda: [{"type": "enum", "name": f"a.E{n}", "symbols": ["A"]} for n in range(200)],
        lambda: [{"type": "enum", "name": f"b.E{n}", "symbols": ["A"]} for n in range(200)],
        "same",
    ),
    "9,000 fields gone, among 10,000 with aliases": (
        lambda: record("R", *(field(f"f{n}", "int", default=1) for n in range(9_000))),
        lambda: record("R", *(field(f"g{n}", "int", aliases=[f"f{n}"]) for n in range(10_000))),
        "differs",
    ),
    "a record that has itself as its default": (
        lambda: record("R", field("x", "R", default={})), lambda: record("R"), "SchemaParseError",
    ),
    "a record that has no end": (lambda: record("R", field("x", "R")), lambda: record("R", field("x", "R")), "same"),
}  # fmt: skip


@pytest.mark.parametrize(("reader", "writer", "wanted"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_schema_gets_an_answer(reader, writer, wanted):
    assert answer(json.dumps(reader()), json.dumps(writer())) == wanted


def test_memory_is_bounded():
    """A name of a million letters is in the path of each of 20,000 differences."""
    name = "x" * 1_000_000
    texts = [
        json.dumps(record("R", field(name, record("S", *(field(f"f{number}", kind) for number in range(20_000))))))
        for kind in ("int", "long")
    ]
    tracemalloc.start()
    try:
        assert answer(*texts) == "ContractError"
        assert tracemalloc.get_traced_memory()[1] < 200 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "text",
    [
        "[" * 5_000_000,
        '{"type":"array","items":' * 200_000,
        '{"type":"array","items":' * 200 + '"int"' + "}" * 200,
        '{"type":"int","x":' + "1" * 5_000_000 + "}",
        " " * 5_000_000,
        '"' + "\\u0000" * 800_000 + '"',
        '{"type": "record", "name": "R", "fields": [], "x": NaN}',
        "\ud800",
        json.dumps("x" * 5_000_000),
        " " * 10_000_001,
    ],
    ids=lambda text: f"{len(text)}: {text[:30]!r}",
)
def test_text_that_is_no_schema_is_refused_in_a_short_sentence(text):
    with pytest.raises(SchemaParseError) as caught:
        FORMAT.parse(SchemaText(text, {}, "s"))
    assert len(str(caught.value)) < 400


REAL = record(
    "shop.Order",
    field("id", {"type": "fixed", "name": "Id", "size": 16, "logicalType": "uuid"}),
    field("kind", {"type": "enum", "name": "Kind", "symbols": ["A", "B"], "default": "A"}, default="B"),
    field("price", {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}),
    field("at", ["null", {"type": "long", "logicalType": "timestamp-millis"}], default=None, aliases=["time"]),
    field("lines", {"type": "array", "items": record("Line", field("sku", "string"), field("parts", {"type": "array", "items": "Line"}))}),
    field("notes", {"type": "map", "values": ["null", "string", "Order"]}, default={}),
)  # fmt: skip
TYPES: list[Any] = ["int", "long", "string", "shop.Order", "Kind", ["null", "int"], {"type": "map", "values": "Id"}]
PIECES: list[Any] = [
    None, True, -1, 1 << 70, 1.5, "", "int", "shop.Order", "Line", "\ud800", "a-b", [], {}, ["null"], ["int", "Line"],
    {"type": "Order"}, {"type": "map", "values": "Kind"}, {"type": "fixed", "name": "Id", "size": 3}, REAL,
]  # fmt: skip


def mutated(draw: random.Random) -> str:
    schema = json.loads(json.dumps(REAL))
    for _ in range(draw.randint(1, 3)):
        holders: list[Any] = [schema]
        for one in holders:
            holders.extend(
                inner for inner in (one.values() if isinstance(one, dict) else one) if isinstance(inner, dict | list)
            )
            if len(holders) > 500:
                break
        holder = draw.choice([one for one in holders if one] or [schema])
        if not holder:
            break
        key = draw.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        if draw.random() < 0.5 and isinstance(holder, dict) and holder.keys() & {"items", "values", "type"}:
            key = draw.choice(sorted(holder.keys() & {"items", "values", "type"}))
            holder[key] = json.loads(json.dumps(draw.choice(TYPES)))
        elif draw.random() < 0.3:
            del holder[key]
        elif draw.random() < 0.3 and isinstance(holder, dict):
            value = holder.pop(key)
            holder[draw.choice([*holder, "namespace", "default", "aliases"])] = value
        else:
            holder[key] = json.loads(json.dumps(draw.choice(PIECES)))
    text = json.dumps(schema)
    if draw.random() < 0.1:
        at = draw.randrange(len(text))
        text = text[:at] + chr(draw.choice([0, 34, 92, 123, 0xD800, 0x1F600])) + text[at + draw.randint(0, 3) :]
    return text


def test_mutated_schemas_get_an_answer():
    draw = random.Random(8)
    before = json.dumps(REAL)
    answers = {}
    for _ in range(BUDGET):
        text = mutated(draw)
        for pair in ((text, before), (before, text)):
            given = answer(*pair)
            answers[given] = answers.get(given, 0) + 1
    assert answers.keys() >= {"same", "differs", "SchemaParseError"}
    assert max(answers.values()) < 0.9 * sum(answers.values())
