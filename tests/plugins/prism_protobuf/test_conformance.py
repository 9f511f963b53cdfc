"""The conformance kit on decoder, encoder and plugin."""

import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from prism_protobuf.plugin import prism_stages
from prismlib.contracts.framing import header
from prismlib.errors import ConfigError
from prismlib.plugin.hookspecs import BuildContext
from prismlib.testing.decoder_conformance import DecoderConformance, batch_of
from prismlib.testing.encoder_conformance import EncoderConformance

FIRST = """
syntax = "proto3";
package a;
message M {
  message Line { optional string sku = 1; int32 count = 2; }
  enum State { NEW = 0; PAID = 1; }
  string carrier = 1;
  sint64 delay = 2;
  repeated string codes = 3;
  repeated Line lines = 4;
  map<string, double> weights = 5;
  State state = 6;
  bool paid = 7;
  bytes digest = 8;
}
"""
SECOND = 'syntax = "proto3"; package a; message M { string carrier = 1; }'
BODIES: list[dict[str, Any]] = [
    {
        "carrier": "ä\0",
        "delay": -(2**63),
        "codes": ["a", ""],
        "lines": [{"sku": None, "count": -1}, {"sku": "", "count": 2**31 - 1}],
        "weights": {"": -0.0, "w": 0.1},
        "state": "PAID",
        "paid": True,
        "digest": b"\x00\xff",
    },
    {
        "carrier": "",
        "delay": 0,
        "codes": [],
        "lines": [],
        "weights": {},
        "state": "NEW",
        "paid": False,
        "digest": b"",
    },
]


class Harness:
    patience = 30.0

    def __init__(self, schemas: Any, wire: str) -> None:
        schemas.release("s", FIRST, SECOND)
        self.schemas = schemas
        self.wire = wire
        self.head = schemas.head("s") if wire == "confluent" else b""

    def make_decoder(self) -> Any:
        return self.schemas.decoder("s", "*", version=1, wire=self.wire)

    def corrupt(self) -> Sequence[bytes]:
        payloads = [b"\x0a\x05ab", b"\x0a\x01\xff", b"\x00", b"\x0b", b"\x10" + b"\xff" * 11]
        return [*[self.head + one for one in payloads], *self.without_header()]

    def without_header(self) -> Sequence[bytes]:
        if self.wire == "bare":
            return []
        return [b"", b"\1", header(1) + b"\0", self.schemas.head("s", 1, b""), self.schemas.head("s", 1, b"\x02\x08")]

    def drifting(self) -> bytes | None:
        if self.wire == "bare":
            return None
        value: bytes = self.schemas.value("s", 2, carrier="UA")
        return value

    def read_back(self, value: bytes) -> object:
        return self.make_decoder().decode(batch_of([value])).rows[0]


class DecoderHarness(Harness):
    def valid(self) -> Any:
        message = self.schemas.message("s", 1)
        return [(self.head + message(**body).SerializeToString(), body) for body in BODIES]


class PassingOnHarness(DecoderHarness):
    """Nothing is read, so that rows are payloads, which nobody looks into."""

    def make_decoder(self) -> Any:
        return self.schemas.decoder("s", version=1, wire=self.wire)

    def valid(self) -> Any:
        return [(value, value.removeprefix(self.head)) for value, _ in super().valid()]

    def corrupt(self) -> Sequence[bytes]:
        return self.without_header()

    def drifting(self) -> bytes | None:
        folder = self.schemas.root / "json"
        folder.mkdir(exist_ok=True)
        (folder / "subject.toml").write_text(
            'format = "jsonschema"\ncompatibility = "NONE"\nowner = "o"\ncontact = "c"\n'
        )
        (folder / "v1.json").write_text("{}")
        return header(self.schemas.id("json")) + b"{}"


class EncoderHarness(Harness):
    def make_encoder(self) -> Any:
        return self.schemas.encoder("s", version=1, wire=self.wire)

    def valid(self) -> Sequence[dict[str, Any]]:
        return BODIES

    def invalid(self) -> Sequence[dict[str, Any]]:
        return [
            {"carrier": 1},
            {"carrier": "\ud800"},
            {"unknown": 1},
            {"codes": "JFK"},
            {"delay": 2**63},
            {"lines": [{"count": 2**31}]},
            {"weights": {1: 0.5}},
            {"state": "LOST"},
        ]


@pytest.fixture(params=["confluent", "bare"])
def wire(request: Any) -> str:
    kind: str = request.param
    return kind


class TestProtobufDecoder(DecoderConformance):
    @pytest.fixture
    def harness(self, schemas: Any, wire: str) -> Any:
        return DecoderHarness(schemas, wire)


class TestProtobufDecoderThatPassesOn(DecoderConformance):
    @pytest.fixture
    def harness(self, schemas: Any) -> Any:
        return PassingOnHarness(schemas, "confluent")


class TestProtobufEncoder(EncoderConformance):
    @pytest.fixture
    def harness(self, schemas: Any, wire: str) -> Any:
        return EncoderHarness(schemas, wire)


def test_the_plugin_offers_decoder_and_encoder_and_needs_a_registry() -> None:
    specs = list(prism_stages())
    assert [(spec.kind, spec.name) for spec in specs] == [("decoder", "protobuf"), ("encoder", "protobuf")]
    for spec in specs:
        config = spec.config_model(subject="s")
        with pytest.raises(ConfigError, match="needs a schema registry"):
            spec.factory(config, BuildContext("test"))


def test_the_plugin_loads_without_protobuf_and_says_what_to_install() -> None:
    code = (
        "import sys; from prism_protobuf.plugin import *; "
        "assert not {m for m in sys.modules if m.startswith(('google', 'grpc'))}; "
        "sys.modules['google.protobuf'] = None\n"
        "try: list(prism_stages())[0].factory(ProtobufConfig(subject='s'), BuildContext('p'))\n"
        "except ConfigError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "install prism-pipeline[protobuf]" in done.stdout
