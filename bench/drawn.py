"""Schemas, records, mappings and the code somebody would write by hand for them, all drawn by a seed.

Seed 0 holds one field of every kind; other seeds draw eleven fields at random. What is compared is therefore never tuned
to one lucky schema.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

WORDS = ["alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "Zürich", "東京"]
DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}
KINDS = (
    "string",
    "int",
    "long",
    "double",
    "boolean",
    "enum",
    "nullable",
    "union",
    "record",
    "array",
    "map",
    "decimal",
    "recursive",
)


@dataclass(frozen=True)
class Drawn:
    """One drawn topic.

    Attributes:
        schema: Avro schema as JSON.
        mapping: mapping file as text.
        by_hand: source of ``map_row(r)``, as a person would write it.
        kinds: kind of each drawn field.
    """

    schema: dict[str, Any]
    mapping: str
    by_hand: str
    kinds: tuple[str, ...]

    def record(self, number: int) -> dict[str, Any]:
        rng = random.Random(number)
        fields = {f"f{i}": _value(kind, rng) for i, kind in enumerate(self.kinds)}
        return {"id": f"order-{number:09d}", "at": 1_700_000_000_000 + number * 37, **fields}


def draw(seed: int) -> Drawn:
    """The topic of one seed."""
    rng = random.Random(seed)
    kinds = KINDS if seed == 0 else tuple(rng.choice(KINDS) for _ in range(11))
    schema: dict[str, Any] = {
        "type": "record",
        "name": "Order",
        "namespace": "bench",
        "fields": [
            {"name": "id", "type": "string"},
            {"name": "at", "type": "long"},
            *({"name": f"f{i}", "type": _type(kind, i)} for i, kind in enumerate(kinds)),
        ],
    }
    reads = [(i, kind) for i, kind in enumerate(kinds) if seed == 0 or rng.random() < 0.75]
    toml = [
        '[event]\nid = "id"\nkind = { const = "order" }\ntime = { from = "at", parse = "epoch_ms" }\n[event.attributes]'
    ]
    hand = []
    for i, kind in reads:
        path = {"record": f"f{i}.name", "recursive": f"f{i}.value"}.get(kind, f"f{i}")
        if kind == "decimal":
            toml.append(f'a{i} = {{ from = "{path}", cast = "str" }}')
            hand.append(f'"a{i}": str(r["f{i}"]),')
        else:
            toml.append(f'a{i} = "{path}"')
            hand.append(f'"a{i}": ' + "".join(["r", *(f'["{part}"]' for part in path.split("."))]) + ",")
    by_hand = (
        "from datetime import UTC, datetime\n"
        "def map_row(r):\n"
        '    time = datetime.fromtimestamp(r["at"] / 1000, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"\n'
        '    return {"id": r["id"], "kind": "order", "time": time, "attributes": {' + " ".join(hand) + "}}\n"
    )
    return Drawn(schema, "\n".join(toml) + "\n", by_hand, kinds)


def _type(kind: str, i: int) -> Any:
    return {
        "enum": {"type": "enum", "name": f"Colour{i}", "symbols": ["RED", "GREEN", "BLUE", "GREY"]},
        "nullable": ["null", "string"],
        "union": ["null", "string", "long", "double"],
        "record": {
            "type": "record",
            "name": f"Place{i}",
            "fields": [{"name": "name", "type": "string"}, {"name": "code", "type": "int"}],
        },
        "array": {"type": "array", "items": "string"},
        "map": {"type": "map", "values": "int"},
        "decimal": DECIMAL,
        "recursive": {
            "type": "record",
            "name": f"Node{i}",
            "fields": [{"name": "value", "type": "int"}, {"name": "next", "type": ["null", f"Node{i}"]}],
        },
    }.get(kind, kind)


def _value(kind: str, rng: random.Random) -> Any:
    match kind:
        case "string":
            return " ".join(rng.choices(WORDS, k=2))
        case "int":
            return rng.randint(-1000, 1_000_000)
        case "long":
            return rng.randint(0, 1 << 45)
        case "double":
            return rng.random() * 1000
        case "boolean":
            return rng.random() < 0.5
        case "enum":
            return rng.choice(["RED", "GREEN", "BLUE", "GREY"])
        case "nullable":
            return None if rng.random() < 0.3 else rng.choice(WORDS)
        case "union":
            return rng.choice([None, rng.choice(WORDS), rng.randint(0, 1 << 40), rng.random()])
        case "record":
            return {"name": rng.choice(WORDS), "code": rng.randint(0, 9999)}
        case "array":
            return rng.choices(WORDS, k=rng.randint(0, 4))
        case "map":
            return {word: rng.randint(0, 99) for word in rng.sample(WORDS, rng.randint(0, 3))}
        case "decimal":
            return Decimal(rng.randint(0, 10_000_000)).scaleb(-2)
        case "recursive":
            inner = {"value": rng.randint(0, 99), "next": None}
            return {"value": rng.randint(0, 99), "next": inner if rng.random() < 0.5 else None}
    raise ValueError(kind)
