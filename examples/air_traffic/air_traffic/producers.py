"""What three teams publish, each in a format of its own: flights in Avro, weather in Protobuf, planes in JSON.

Every value begins with the registry header, whose id names the schema that it was written with.
"""

from __future__ import annotations

import json
import struct
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

import fastavro
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_tools import protoc
from jsonschema import validators

from prismlib.contracts.registry import Registry

from .records import flights, planes, weather

INPUT = Path(__file__).resolve().parent.parent / "input"


@dataclass(frozen=True, slots=True)
class Producer:
    """One team's producer.

    Attributes:
        topic: where it publishes.
        format: of its records, for people.
        subject: whose latest schema it writes with.
        rows: the records of the input folder.
        key: of a record.
        encoder: from a schema's id and text to a function that makes a value of a record.
    """

    topic: str
    format: str
    subject: str
    rows: Callable[[Path], Iterable[dict[str, Any]]]
    key: Callable[[dict[str, Any]], str]
    encoder: Callable[[int, str], Callable[[dict[str, Any]], bytes]]

    def count(self) -> int:
        """How many records there are to publish."""
        return sum(1 for _ in self.rows(INPUT))

    def pairs(self, registry: Registry, *, limit: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values, ``limit`` of them or all; the registry has the subject."""
        schema = registry.latest(self.subject)
        encode = self.encoder(schema.id, schema.text)
        return ((self.key(row).encode(), encode(row)) for row in islice(self.rows(INPUT), limit))


def avro_encoder(schema_id: int, text: str) -> Callable[[dict[str, Any]], bytes]:
    """Writes a record as Avro behind the registry header."""
    schema = fastavro.parse_schema(json.loads(text))
    header = struct.pack(">bI", 0, schema_id)

    def encode(row: dict[str, Any]) -> bytes:
        buffer = BytesIO(header)
        buffer.seek(len(header))
        fastavro.schemaless_writer(buffer, schema, row, strict=True)
        return buffer.getvalue()

    return encode


def protobuf_encoder(schema_id: int, text: str) -> Callable[[dict[str, Any]], bytes]:
    """Writes a record as the first message of a ``.proto`` text behind the registry header."""
    with tempfile.TemporaryDirectory() as folder:
        source, compiled = Path(folder, "schema.proto"), Path(folder, "schema.binpb")
        source.write_text(text, encoding="utf-8")
        if protoc.main(["protoc", f"--proto_path={folder}", f"--descriptor_set_out={compiled}", str(source)]):
            raise ValueError("the Protobuf schema of the weather cannot be compiled; protoc says why above")
        files = descriptor_pb2.FileDescriptorSet.FromString(compiled.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(files.file[0])
    message = files.file[0].package + "." + files.file[0].message_type[0].name
    make = message_factory.GetMessageClass(pool.FindMessageTypeByName(message))
    # The last byte is the path to the message in its file: 0 stands for the first.
    header = struct.pack(">bIb", 0, schema_id, 0)

    def encode(row: dict[str, Any]) -> bytes:
        return header + bytes(make(**row).SerializeToString())

    return encode


def json_encoder(schema_id: int, text: str) -> Callable[[dict[str, Any]], bytes]:
    """Writes a record as JSON behind the registry header; raises ValidationError for one that does not fit its schema."""
    schema = json.loads(text)
    validator = validators.validator_for(schema)(schema)
    header = struct.pack(">bI", 0, schema_id)

    def encode(row: dict[str, Any]) -> bytes:
        validator.validate(row)
        return header + json.dumps(row, ensure_ascii=False).encode()

    return encode


PRODUCERS = (
    Producer("flights", "Avro", "flights-value", flights, lambda row: f"{row['carrier']}{row['flight']}", avro_encoder),
    Producer("weather", "Protobuf", "weather-value", weather, lambda row: str(row["origin"]), protobuf_encoder),
    Producer("planes", "JSON Schema", "planes-value", planes, lambda row: str(row["tailnum"]), json_encoder),
)
