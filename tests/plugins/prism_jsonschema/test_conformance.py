"""The suites that every decoder and encoder passes, on JSON with and without a header."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from prism_jsonschema.decoder import JsonDecoder
from prism_jsonschema.encoder import JsonEncoder
from prismlib.contracts.framing import header
from prismlib.records import Row
from prismlib.testing.decoder_conformance import DecoderConformance, batch_of
from prismlib.testing.encoder_conformance import EncoderConformance

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["id", "lines", "total", "paid"],
    "properties": {
        "id": {"type": "string"},
        "lines": {"type": "array", "items": {"type": "object", "required": ["sku"]}},
        "total": {"type": "number", "minimum": 0},
        "paid": {"type": "boolean"},
        "": {},
    },
}
ORDERS: list[dict[str, Any]] = [
    {"id": "ä\u2028\0", "lines": [{"sku": None, "count": -1}], "total": 0.1, "paid": True, "": {}},
    {"id": "", "lines": [], "total": 2**64 - 1, "paid": False, "": {"deep": [[[1]]]}},
]


class Harness:
    patience = 30.0

    def __init__(self, registry: Any, new_decoder: Callable[..., JsonDecoder], wire: str, validate: str) -> None:
        self._registry = registry
        self._new_decoder = new_decoder
        self.config = {"subject": "orders-value", "wire": wire, "validate": validate}
        released = registry.release("orders-value", schema=SCHEMA)
        self._start = header(released.id) if wire == "confluent" else b""
        self._unfit = [{**ORDERS[0], "total": -1}, {**ORDERS[0], "lines": [{}]}, {}] if validate == "always" else []
        self._avro = registry.release("avro-value", "avro")

    def make_decoder(self) -> JsonDecoder:
        return self._new_decoder(self._registry, **self.config)

    def corrupt(self) -> Sequence[bytes]:
        payloads = [b"", b"{", b"[]", b"null", b'{"a":1,}', b'{"a":NaN}', b'{"a":"\xff"}', b'{"a":"\\ud800"}', b"{}{}"]
        payloads += [json.dumps(one).encode() for one in self._unfit]
        return [*[self._start + one for one in payloads], *self.without_header()]

    def without_header(self) -> Sequence[bytes]:
        return [b"", b"\0\0\0", b"{}", b"\1\0\0\0\1{}", header(999) + b"{}"] if self._start else []

    def drifting(self) -> bytes | None:
        return header(self._avro.id) + b"{}" if self._start else None

    def read_back(self, value: bytes) -> object:
        return self.make_decoder().decode(batch_of([value])).rows[0]


class DecoderHarness(Harness):
    def valid(self) -> Sequence[tuple[bytes, Row]]:
        texts = [json.dumps(ORDERS[0], ensure_ascii=False), json.dumps(ORDERS[1], indent=1)]
        return [(self._start + text.encode(), order) for text, order in zip(texts, ORDERS, strict=True)]


class PassingOnHarness(DecoderHarness):
    """Nothing is read, so that rows are payloads, which are looked into only to validate them."""

    def make_decoder(self) -> JsonDecoder:
        return self._new_decoder(self._registry, (), **self.config)

    def valid(self) -> Sequence[tuple[bytes, Row]]:
        return [(value, value[len(self._start) :]) for value, _ in super().valid()]

    def corrupt(self) -> Sequence[bytes]:
        return super().corrupt() if self._unfit else self.without_header()


class EncoderHarness(Harness):
    def __init__(
        self,
        registry: Any,
        new_decoder: Callable[..., JsonDecoder],
        new_encoder: Callable[..., JsonEncoder],
        wire: str,
        validate: str,
    ) -> None:
        super().__init__(registry, new_decoder, wire, validate)
        self._new_encoder = new_encoder

    def make_encoder(self) -> JsonEncoder:
        return self._new_encoder(self._registry, **self.config)

    def valid(self) -> Sequence[dict[str, Any]]:
        return ORDERS

    def invalid(self) -> Sequence[dict[str, Any]]:
        never = [{"a": float("nan")}, {"a": [{"b": 2**64}]}, {1: "a"}, {"a": b"bytes"}, {"a": "\ud800"}, {"a": {1}}]
        return [*never, *self._unfit]


@pytest.fixture(params=["confluent", "bare"])
def wire(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture(params=["always", "sample", "never"])
def validate(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


class TestJsonDecoder(DecoderConformance):
    @pytest.fixture
    def harness(
        self, registry: Any, new_decoder: Callable[..., JsonDecoder], wire: str, validate: str
    ) -> DecoderHarness:
        return DecoderHarness(registry, new_decoder, wire, validate)


class TestJsonDecoderThatPassesOn(DecoderConformance):
    @pytest.fixture
    def harness(self, registry: Any, new_decoder: Callable[..., JsonDecoder], validate: str) -> DecoderHarness:
        return PassingOnHarness(registry, new_decoder, "confluent", validate)


class TestJsonEncoder(EncoderConformance):
    @pytest.fixture
    def harness(
        self,
        registry: Any,
        new_decoder: Callable[..., JsonDecoder],
        new_encoder: Callable[..., JsonEncoder],
        wire: str,
        validate: str,
    ) -> EncoderHarness:
        return EncoderHarness(registry, new_decoder, new_encoder, wire, validate)
