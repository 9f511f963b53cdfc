"""The suites that every decoder and encoder passes, on values that fastavro wrote."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import fastavro
import pytest

from prism_avro.decoder import AvroDecoder
from prism_avro.encoder import AvroEncoder
from prismlib.contracts.framing import header
from prismlib.records import Row
from prismlib.testing.decoder_conformance import DecoderConformance, batch_of
from prismlib.testing.encoder_conformance import EncoderConformance

FIRST: dict[str, Any] = {
    "type": "record",
    "name": "Order",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "state", "type": {"type": "enum", "name": "State", "symbols": ["NEW", "PAID"]}},
        {"name": "lines", "type": {"type": "array", "items": {
            "type": "record", "name": "Line", "fields": [
                {"name": "sku", "type": ["null", "string"]},
                {"name": "count", "type": "int"},
            ]}}},
        {"name": "labels", "type": {"type": "map", "values": ["null", "double", "boolean"]}},
        {"name": "total", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "digest", "type": {"type": "fixed", "name": "Digest", "size": 2}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "ratio", "type": "float"},
    ],
}  # fmt: skip
SECOND = FIRST | {"fields": [*FIRST["fields"], {"name": "note", "type": "string", "default": ""}]}
WITHOUT_ID = FIRST | {"fields": FIRST["fields"][1:]}

ORDERS: list[dict[str, Any]] = [
    {
        "id": "a",
        "state": "PAID",
        "lines": [{"sku": None, "count": -1}, {"sku": "ä\0", "count": 2**31 - 1}],
        "labels": {"": None, "weight": 0.1, "fragile": True},
        "total": Decimal("-1234567.89"),
        "digest": b"\x00\xff",
        "at": 1_700_000_000_001,
        "ratio": 0.5,
        "note": "n",
    },
    {
        "id": "",
        "state": "NEW",
        "lines": [],
        "labels": {},
        "total": Decimal("0.00"),
        "digest": b"ab",
        "at": -1,
        "ratio": -0.0,
        "note": "",
    },
]


def payload(schema: dict[str, Any], row: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema, {}), row)
    return out.getvalue()


class Harness:
    """Subject ``orders-value`` with two versions, read as the second."""

    patience = 30.0

    def __init__(self, registry: Any, new_decoder: Callable[..., AvroDecoder], wire: str) -> None:
        self._registry = registry
        self._new_decoder = new_decoder
        self.wire = wire
        self._first, self._second = (registry.release("orders-value", one) for one in (FIRST, SECOND))
        self._without_id = registry.release("elsewhere-value", WITHOUT_ID)
        self._json = registry.release("json-value", "{}", "jsonschema")

    def framed(self, schema_id: int, body: bytes) -> bytes:
        return header(schema_id) + body if self.wire == "confluent" else body

    def make_decoder(self) -> AvroDecoder:
        return self._new_decoder(self._registry, "orders-value", wire=self.wire)

    def corrupt(self) -> Sequence[bytes]:
        whole = self.framed(self._second.id, payload(SECOND, ORDERS[0]))
        of_the_wire = [b"\1" + whole[1:], header(999) + whole[5:], whole[:4]] if self.wire == "confluent" else []
        return [b"", whole[:-1], self.framed(self._second.id, b"\x02a\x09" + b"\x00" * 20), *of_the_wire]

    def drifting(self) -> bytes | None:
        return header(self._without_id.id) + payload(WITHOUT_ID, ORDERS[0]) if self.wire == "confluent" else None

    def read_back(self, value: bytes) -> object:
        return self.make_decoder().decode(batch_of([value])).rows[0]


class DecoderHarness(Harness):
    def valid(self) -> Sequence[tuple[bytes, Row]]:
        pairs: list[tuple[bytes, Row]] = [
            (self.framed(self._second.id, payload(SECOND, order)), order) for order in ORDERS
        ]
        if self.wire == "confluent":
            pairs.append((self.framed(self._first.id, payload(FIRST, ORDERS[0])), ORDERS[0] | {"note": ""}))
        return pairs


class PassingOnHarness(DecoderHarness):
    """Nothing is read, so that rows are payloads, which nobody looks into."""

    def make_decoder(self) -> AvroDecoder:
        return self._new_decoder(self._registry, "orders-value", (), wire=self.wire)

    def valid(self) -> Sequence[tuple[bytes, Row]]:
        return [(value, value[5:]) for value, _ in super().valid()]

    def corrupt(self) -> Sequence[bytes]:
        return [b"", b"\0\0\0", b"\1\0\0\0\1a", header(999) + b"a"]

    def drifting(self) -> bytes | None:
        return header(self._json.id) + b"{}"


class EncoderHarness(Harness):
    def __init__(
        self, registry: Any, new_decoder: Callable[..., AvroDecoder], new_encoder: Callable[..., AvroEncoder], wire: str
    ) -> None:
        super().__init__(registry, new_decoder, wire)
        self._new_encoder = new_encoder

    def make_encoder(self) -> AvroEncoder:
        return self._new_encoder(self._registry, "orders-value", wire=self.wire)

    def valid(self) -> Sequence[dict[str, Any]]:
        return ORDERS

    def invalid(self) -> Sequence[dict[str, Any]]:
        good = ORDERS[0]
        return [
            {},
            good | {"unknown": 1},
            good | {"state": "LOST"},
            good | {"id": None},
            good | {"id": "\ud800"},
            good | {"total": Decimal("0.001")},
            good | {"digest": b"abc"},
            good | {"lines": [{"sku": "s", "count": 2**31}]},
            good | {"at": True},
            good | {"labels": {1: None}},
        ]


@pytest.fixture(params=["confluent", "bare"])
def wire(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


class TestAvroDecoder(DecoderConformance):
    @pytest.fixture
    def harness(self, registry: Any, new_decoder: Callable[..., AvroDecoder], wire: str) -> DecoderHarness:
        return DecoderHarness(registry, new_decoder, wire)


class TestAvroDecoderThatPassesOn(DecoderConformance):
    @pytest.fixture
    def harness(self, registry: Any, new_decoder: Callable[..., AvroDecoder]) -> DecoderHarness:
        return PassingOnHarness(registry, new_decoder, "confluent")


class TestAvroEncoder(EncoderConformance):
    @pytest.fixture
    def harness(
        self, registry: Any, new_decoder: Callable[..., AvroDecoder], new_encoder: Callable[..., AvroEncoder], wire: str
    ) -> EncoderHarness:
        return EncoderHarness(registry, new_decoder, new_encoder, wire)
