"""The decoder: the suite that every decoder passes, and hostile values."""

from __future__ import annotations

import datetime as dt
import random
import tracemalloc
from collections.abc import Sequence
from typing import Any

import msgpack
import pytest

import prismlib
from prismlib.testing import DecoderConformance, DecoderHarness, batch_of, build_stage

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
ORDER: dict[str, Any] = {"id": "o1", "total": 12.5, "lines": [{"sku": "x", "n": 2}], "raw": b"\x00", "note": None}


class Harness:
    """What the suite needs to know of this decoder."""

    patience = 10.0

    def make_decoder(self) -> prismlib.Decoder:
        return make()

    def valid(self) -> Sequence[tuple[bytes, prismlib.Row]]:
        return [(msgpack.packb(ORDER), ORDER), (msgpack.packb({"at": NOON}, datetime=True), {"at": NOON})]

    def corrupt(self) -> Sequence[bytes]:
        return [b"", b"\xc1", msgpack.packb([ORDER]), msgpack.packb(ORDER)[:-1], msgpack.packb(None)]

    def drifting(self) -> bytes | None:
        return None


class TestMessagePack(DecoderConformance):
    @pytest.fixture
    def harness(self) -> DecoderHarness:
        return Harness()


def make(**settings: Any) -> prismlib.Decoder:
    """By its name, as a pipeline file makes it."""
    decoder: prismlib.Decoder = build_stage("decoder", "msgpack", settings, reads=frozenset({"*"}))
    return decoder


def code_of(value: bytes, **settings: Any) -> str | None:
    """Why a value is refused."""
    errors = make(**settings).decode(batch_of([value])).errors
    return errors[0].code if errors else None


def nested(levels: int) -> bytes:
    return b"\x81\xa1a" * (levels - 1) + b"\x80"


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (msgpack.packb({"a": msgpack.ExtType(5, b"x")}), "extension-type"),
        (b"\x81\xa1a\xc7\x00\x2a", "extension-type"),
        (msgpack.packb({"a": 1}) + msgpack.packb({"a": 2}), "trailing"),
        (b"\x81\xa1a\xdd\xff\xff\xff\xff\x01", "invalid"),
        (b"\x81\xa1a\xdf\xff\xff\xff\xff\x01", "invalid"),
        (b"\x81\xa1a\xdb\xff\xff\xff\xff\x01", "invalid"),
        (b"\x81\xa1a\xc6\xff\xff\xff\xff\x01", "invalid"),
        (b"\x81\xa1a\xc9\xff\xff\xff\xff\x01\x01", "invalid"),
        (b"\x81\xa1\xff\x01", "invalid"),
        (b"\x81\x01\x01", "invalid"),
        (b"\x81\xc4\x01a\x01", "key"),
        (b"\x81\xa1a\xc7\x0c\xff\x00\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff", "invalid"),
        (nested(32), None),
        (nested(33), "too-deep"),
        (nested(100_000), "invalid"),
    ],
)
def test_a_hostile_value_is_an_error_of_its_record(value: bytes, code: str | None) -> None:
    assert code_of(value) == code


def test_items_are_bounded_by_the_settings() -> None:
    value = msgpack.packb({"a": list(range(20))})
    assert code_of(value, max_items=20) is None
    assert code_of(value, max_items=19) == "invalid"
    assert code_of(nested(5), max_depth=4) == "too-deep"


@pytest.mark.parametrize("claimed", [4_096, 1_000_000])
def test_lengths_that_are_only_claimed_take_no_memory(claimed: int) -> None:
    """A megabyte of headers, each of which claims as many items as there are bytes, would be gigabytes of empty lists."""
    value = b"\x81\xa1a" + (b"\xdd" + claimed.to_bytes(4)) * 200_000
    decoder = make()
    tracemalloc.start()
    try:
        decoded = decoder.decode(batch_of([value]))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert list(decoded.errors) == [0]
    assert peak < 64 << 20


def test_noise_never_raises() -> None:
    dice = random.Random(7)
    decoder = make()
    for _ in range(300):
        values = [b"\x81\xa1a" + dice.randbytes(dice.randrange(1, 60)) for _ in range(20)]
        decoded = decoder.decode(batch_of(values))
        assert [row is None for row in decoded.rows] == [row in decoded.errors for row in range(20)]


def test_payloads_pass_through_when_nothing_is_read() -> None:
    decoder = build_stage("decoder", "msgpack", {})
    assert decoder.decode(batch_of([b"\xc1", None])) == prismlib.Decoded([b"\xc1", None])
