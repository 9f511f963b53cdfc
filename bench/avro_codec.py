"""CPU time of the Avro codec beside fastavro, in microseconds a record.

    python bench/avro_codec.py [--records 5000] [--repeat 7] [--seed 1]

The first row is an order of 12 fields (text, timestamps, a nested record, an enum, a list); the others have schemas drawn
by the seed. ``whole`` decodes everything, ``part`` a fourth of the fields; fastavro is given the same reader schema.
Every contender's result is compared with fastavro's before it is timed. The lowest of the repetitions counts.
"""

from __future__ import annotations

import argparse
import gc
import io
import json
import random
import time
from collections.abc import Callable
from typing import Any

import fastavro

from prism_avro.decoder import AvroDecoder
from prism_avro.encoder import AvroEncoder
from prism_avro.parsing import parse
from prism_avro.schema import Record
from prism_avro.subjects import SubjectSchema
from prismlib.contracts.registry import RegisteredSchema
from prismlib.errors import SchemaNotFoundError
from prismlib.records import Partition, RecordBatch

BATCH = 500
HEADER = b"\0\0\0\0\1"
SCALARS = ["string", "string", "int", "long", "double", "boolean", ["null", "string"], "timestamp", "enum", "float"]


class OneSchema:
    """A registry of one schema."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self.only = RegisteredSchema(1, "bench-value", 1, "avro", json.dumps(schema))

    def by_id(self, schema_id: int) -> RegisteredSchema:
        if schema_id != 1:
            raise SchemaNotFoundError(f"there is no schema {schema_id}")
        return self.only

    def latest(self, subject: str) -> RegisteredSchema:
        return self.version(subject, 1)

    def version(self, subject: str, version: int) -> RegisteredSchema:
        if (subject, version) != ("bench-value", 1):
            raise SchemaNotFoundError(f"there is no version {version} of {subject}")
        return self.only

    def versions(self, subject: str) -> list[int]:
        return [self.latest(subject).version]

    def subjects(self) -> list[str]:
        return ["bench-value"]


def order_schema() -> dict[str, Any]:
    address = [{"name": name, "type": "string"} for name in ("street", "city", "zip")]
    fields = [
        ("id", "string"),
        ("customer", "string"),
        ("created", {"type": "long", "doc": "milliseconds"}),
        ("quantity", "int"),
        ("price", "double"),
        ("currency", "string"),
        ("paid", "boolean"),
        ("status", {"type": "enum", "name": "Status", "symbols": ["NEW", "PAID", "SENT"]}),
        ("note", ["null", "string"]),
        ("address", {"type": "record", "name": "Address", "fields": address}),
        ("tags", {"type": "array", "items": "string"}),
        ("total", "long"),
    ]
    return {"type": "record", "name": "Order", "fields": [{"name": name, "type": kind} for name, kind in fields]}


def drawn_schema(draw: random.Random, name: str, depth: int = 2) -> dict[str, Any]:
    fields = []
    for i in range(draw.randrange(6, 16)):
        kind: Any = draw.choice([*SCALARS, *(["array", "map", "record"] if depth else [])])
        match kind:
            case "timestamp":
                kind = {"type": "long", "doc": "milliseconds"}
            case "enum":
                kind = {"type": "enum", "name": f"{name}E{i}", "symbols": [f"S{n}" for n in range(5)]}
            case "array":
                kind = {"type": "array", "items": draw.choice(["string", "int", drawn_schema(draw, f"{name}A{i}", 0)])}
            case "map":
                kind = {"type": "map", "values": draw.choice(["string", "double"])}
            case "record":
                kind = drawn_schema(draw, f"{name}R{i}", depth - 1)
        fields.append({"name": f"f{i}", "type": kind})
    return {"type": "record", "name": name, "fields": fields}


def drawn_value(draw: random.Random, schema: Any) -> Any:
    if isinstance(schema, list):
        return drawn_value(draw, draw.choice(schema))
    kind = schema if isinstance(schema, str) else schema["type"]
    match kind:
        case "null":
            return None
        case "string":
            return f"text-{draw.randrange(10 ** draw.randrange(1, 9))}"
        case "int":
            return draw.randrange(60)
        case "long":
            return 1_700_000_000_000 + draw.randrange(10**9) if isinstance(schema, dict) else draw.randrange(100_000)
        case "double" | "float":
            return draw.randrange(1000) / 8
        case "boolean":
            return draw.random() < 0.5
        case "enum":
            return draw.choice(schema["symbols"])
        case "array":
            return [drawn_value(draw, schema["items"]) for _ in range(draw.randrange(4))]
        case "map":
            return {f"key{i}": drawn_value(draw, schema["values"]) for i in range(draw.randrange(4))}
    return {one["name"]: drawn_value(draw, one["type"]) for one in schema["fields"]}


def each(work: Callable[[Any], object], parts: list[Any]) -> None:
    """One call a batch, each result dropped before the next, as a runner does."""
    for part in parts:
        work(part)


def lowest(work: Callable[[], object], repeat: int, records: int) -> float:
    """Microseconds of CPU a record."""
    times = []
    for _ in range(repeat):
        gc.collect()
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times) / records * 1e6


def measure(schema: dict[str, Any], draw: random.Random, records: int, repeat: int) -> list[float]:
    bodies = [drawn_value(draw, schema) for _ in range(records)]
    reads = frozenset(one["name"] for one in schema["fields"][:: max(1, len(schema["fields"]) // 3)])
    parsed = fastavro.parse_schema(json.loads(json.dumps(schema)))
    fewer = [one for one in schema["fields"] if one["name"] in reads]
    part_schema = fastavro.parse_schema(json.loads(json.dumps({**schema, "fields": fewer})))

    def fast_write() -> list[bytes]:
        values = []
        for body in bodies:
            out = io.BytesIO()
            out.write(HEADER)
            fastavro.schemaless_writer(out, parsed, body)
            values.append(out.getvalue())
        return values

    values = fast_write()
    parts = [values[i : i + BATCH] for i in range(0, records, BATCH)]
    batches = []
    for part in parts:
        rows = range(len(part))
        batches.append(RecordBatch(Partition("bench", 0), rows, rows, [None] * len(rows), part, [None] * len(rows)))
    body_parts = [bodies[i : i + BATCH] for i in range(0, records, BATCH)]

    def fast_read(reader: Any) -> None:
        for part in parts:
            _ = [fastavro.schemaless_reader(io.BytesIO(value[5:]), parsed, reader) for value in part]

    registry = OneSchema(schema)
    root = parse(registry.only.text, {}, "bench")
    if not isinstance(root, Record):
        raise SystemExit("the schema must be a record")
    subject = SubjectSchema(registry.only, root)
    whole = AvroDecoder(subject, frozenset({"*"}), registry, framed=True)
    part_only = AvroDecoder(subject, reads, registry, framed=True)
    encoder = AvroEncoder(subject, framed=True)

    wanted = [fastavro.schemaless_reader(io.BytesIO(value[5:]), parsed, None) for value in values]
    cut = [fastavro.schemaless_reader(io.BytesIO(value[5:]), parsed, part_schema) for value in values]
    if [row for batch in batches for row in whole.decode(batch).rows] != wanted:
        raise SystemExit("the decoder and fastavro differ")
    if [row for batch in batches for row in part_only.decode(batch).rows] != cut:
        raise SystemExit("the projected decoder and fastavro differ")
    if [value for part in body_parts for value in encoder.encode(part).values] != values:
        raise SystemExit("the encoder and fastavro differ")

    return [
        lowest(lambda: each(whole.decode, batches), repeat, records),
        lowest(lambda: fast_read(None), repeat, records),
        lowest(lambda: each(part_only.decode, batches), repeat, records),
        lowest(lambda: fast_read(part_schema), repeat, records),
        lowest(lambda: each(encoder.encode, body_parts), repeat, records),
        lowest(fast_write, repeat, records),
    ]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--records", type=int, default=5000)
    arguments.add_argument("--repeat", type=int, default=7)
    arguments.add_argument("--seed", type=int, default=1)
    given = arguments.parse_args()
    draw = random.Random(given.seed)
    cases = [("order, 12 fields", order_schema())]
    cases += [(f"drawn {i}", drawn_schema(draw, f"Drawn{i}")) for i in range(4)]
    print("| us/record | whole | fastavro | part | fastavro | encode | fastavro |")
    print("| --- | --: | --: | --: | --: | --: | --: |")
    for name, schema in cases:
        figures = measure(schema, draw, given.records, given.repeat)
        print(f"| {name} | " + " | ".join(f"{figure:.2f}" for figure in figures) + " |", flush=True)


if __name__ == "__main__":
    main()
