"""What Confluent's serializer writes is decoded here, and what is encoded here is read by its deserializer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.serialization import MessageField, SerializationContext, SerializationError

from prismlib.contracts.registry import Reference, RegisteredSchema

MONEY = {"type": "object", "required": ["cents"], "properties": {"cents": {"type": "integer", "minimum": 0}}}
ORDER = {
    "title": "Order",
    "type": "object",
    "additionalProperties": False,
    "required": ["id", "lines"],
    "properties": {
        "id": {"type": "string", "minLength": 1},
        "placed": {"type": ["string", "null"], "format": "date-time"},
        "lines": {
            "type": "array",
            "items": {"type": "object", "required": ["sku"], "properties": {"sku": {"type": "string"}, "price": {"$ref": "money.json"}}},
        },
    },
}  # fmt: skip
ORDERS: list[dict[str, Any]] = [
    {"id": "ä", "placed": None, "lines": [{"sku": "a", "price": {"cents": 5}}, {"sku": ""}]},
    {"id": "2", "placed": "not a time, which nobody checks", "lines": []},
]
WRONG = [
    ({"id": "", "lines": []}, "id"),
    ({"id": "3", "lines": [{"sku": "a"}, {"sku": "b", "price": {"cents": -1}}]}, "lines[1].price.cents"),
    ({"id": "4", "lines": [], "more": 1}, "more"),
    ({"id": "5"}, "lines"),
]
CONTEXT = SerializationContext("orders", MessageField.VALUE)


class Registry:
    """Confluent's own registry in memory, as ours."""

    def __init__(self) -> None:
        self.client: Any = SchemaRegistryClient.new_client({"url": "mock://interop"})

    def register(self, subject: str, schema: object, references: Sequence[SchemaReference] = ()) -> Schema:
        registered = Schema(json.dumps(schema), "JSON", list(references))
        self.client.register_schema(subject, registered)
        return registered

    def by_id(self, schema_id: int) -> RegisteredSchema:
        subjects = [
            one for one in self.client.get_subjects() if self.client.get_latest_version(one).schema_id == schema_id
        ]
        return self.latest(subjects[0])

    def latest(self, subject: str) -> RegisteredSchema:
        return self._ours(self.client.get_latest_version(subject))

    def version(self, subject: str, version: int) -> RegisteredSchema:
        return self._ours(self.client.get_version(subject, version))

    def versions(self, subject: str) -> Sequence[int]:
        versions: Sequence[int] = self.client.get_versions(subject)
        return versions

    def subjects(self) -> Sequence[str]:
        return sorted(self.client.get_subjects())

    @staticmethod
    def _ours(found: Any) -> RegisteredSchema:
        references = tuple(Reference(one.name, one.subject, one.version) for one in found.schema.references or ())
        return RegisteredSchema(
            found.schema_id, found.subject, found.version, "jsonschema", found.schema.schema_str, references
        )


@pytest.fixture(
    params=[None, "http://json-schema.org/draft-07/schema#", "https://json-schema.org/draft/2020-12/schema"]
)
def peer(request: pytest.FixtureRequest) -> tuple[Registry, Schema]:
    registry = Registry()
    registry.register("money-value", MONEY)
    schema = ORDER if request.param is None else {"$schema": request.param, **ORDER}
    return registry, registry.register("orders-value", schema, [SchemaReference("money.json", "money-value", 1)])


def test_what_confluent_writes_is_decoded(peer, new_decoder, batch_of):
    registry, schema = peer
    serialize = JSONSerializer(schema, registry.client, conf={"auto.register.schemas": False})
    values = [serialize(order, CONTEXT) for order in ORDERS]
    decoded = new_decoder(registry, subject="orders-value").decode(batch_of(values))
    assert (decoded.rows, decoded.errors, decoded.stop) == (ORDERS, {}, None)
    passed = new_decoder(registry, (), subject="orders-value").decode(batch_of(values))
    assert [json.loads(row) for row in passed.rows] == ORDERS


def test_what_is_encoded_is_read_by_confluent(peer, new_encoder):
    registry, _ = peer
    encoded = new_encoder(registry, subject="orders-value").encode([*ORDERS, json.dumps(ORDERS[0]).encode()])
    assert not encoded.errors
    deserialize = JSONDeserializer(None, schema_registry_client=registry.client)
    assert [deserialize(value, CONTEXT) for value in encoded.values] == [*ORDERS, ORDERS[0]]


def test_both_refuse_the_same(peer, new_encoder, new_decoder, batch_of):
    registry, schema = peer
    serialize = JSONSerializer(schema, registry.client, conf={"auto.register.schemas": False})
    deserialize = JSONDeserializer(None, schema_registry_client=registry.client)
    bodies = [body for body, _ in WRONG]
    encoded = new_encoder(registry, subject="orders-value").encode(bodies)
    assert [error.field for error in encoded.errors.values()] == [field for _, field in WRONG]
    values = new_encoder(registry, subject="orders-value", validate="never").encode(bodies).values
    decoded = new_decoder(registry, subject="orders-value").decode(batch_of(values))
    assert [error.field for error in decoded.errors.values()] == [field for _, field in WRONG]
    for body, value in zip(bodies, values, strict=True):
        with pytest.raises(SerializationError):
            serialize(body, CONTEXT)
        with pytest.raises(SerializationError):
            deserialize(value, CONTEXT)
