"""The conformance kit on decoder, encoder and plugin."""

import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from prism_protobuf.plugin import prism_stages
from prismlib.errors import ConfigError
from prismlib.plugin.hookspecs import BuildContext
from prismlib.testing.decoder_conformance import DecoderConformance, batch_of
from prismlib.testing.encoder_conformance import EncoderConformance

FIRST = 'syntax = "proto3"; package a; message M { string carrier = 1; int32 delay = 2; repeated string codes = 3; }'
SECOND = 'syntax = "proto3"; package a; message M { string carrier = 1; }'


class Harness:
    patience = 30.0

    def __init__(self, schemas: Any) -> None:
        schemas.release("s", FIRST, SECOND)
        self.schemas = schemas

    def make_decoder(self) -> Any:
        return self.schemas.decoder("s", "*", version=1)

    def make_encoder(self) -> Any:
        return self.schemas.encoder("s", version=1)

    def corrupt(self) -> Sequence[bytes]:
        return [
            b"",
            b"\1",
            b"\0\0\0\0\1\0",
            self.schemas.head("s") + b"\x0a\x05ab",
            self.schemas.head("s", 1, b"\x02\x08"),
        ]

    def drifting(self) -> bytes:
        value: bytes = self.schemas.value("s", 2, carrier="UA")
        return value

    def invalid(self) -> Sequence[dict[str, Any]]:
        return [{"carrier": 1}, {"unknown": 1}, {"codes": "JFK"}]

    def read_back(self, value: bytes) -> object:
        return self.make_decoder().decode(batch_of([value])).rows[0]

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [
            {"carrier": "UA", "delay": -5, "codes": ["a", ""]},
            {"carrier": "", "delay": 0, "codes": []},
        ]


class DecoderHarness(Harness):
    def valid(self) -> Any:
        return [(self.schemas.value("s", 1, **body), body) for body in self.bodies]


class EncoderHarness(Harness):
    def valid(self) -> Any:
        return self.bodies


class TestProtobufDecoder(DecoderConformance):
    @pytest.fixture
    def harness(self, schemas: Any) -> Any:
        return DecoderHarness(schemas)


class TestProtobufEncoder(EncoderConformance):
    @pytest.fixture
    def harness(self, schemas: Any) -> Any:
        return EncoderHarness(schemas)


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
