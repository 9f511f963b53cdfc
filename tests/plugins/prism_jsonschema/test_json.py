"""JSON values to rows and back: what passes through untouched, and what is refused rather than changed.

``PRISM_FUZZ`` is the number of random values.
"""

from __future__ import annotations

import copy
import datetime as dt
import decimal
import enum
import json
import math
import os
import random
import uuid
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prismlib.errors import ConfigError
from prismlib.stages import IdentifiesSchema

BUDGET = int(os.environ.get("PRISM_FUZZ", "20000"))
START = b"\0\0\0\0\x01"


def test_rows_are_aligned_and_neighbours_of_bad_values_are_decoded(registry, new_decoder, batch_of):
    registry.release("s")
    good = START + b'{"a": 1}'
    bad = [
        START,
        START + b"[1]",
        START + b"{",
        START + b'{"a": NaN}',
        START + b'{"a": "\xff"}',
        good + b"x",
        good[5:],
        b"",
    ]
    values = tuple(value for one in (*bad, b"\0\0\0\0\x63{}") for value in (good, one, None))
    decoder = new_decoder(registry, subject="s")
    decoded = decoder.decode(batch_of(values))
    assert decoded.stop is None
    assert decoded.rows == [{"a": 1}, None, None] * 9
    invalid = "invalid-json"
    codes = [
        invalid,
        "no-object",
        invalid,
        invalid,
        invalid,
        invalid,
        "no-schema-id",
        "no-schema-id",
        "unknown-schema-id",
    ]
    assert {i: error.code for i, error in decoded.errors.items()} == {3 * i + 1: code for i, code in enumerate(codes)}
    assert decoder.decode(batch_of(values)).rows == decoded.rows


def test_without_reads_payloads_pass_through_untouched(registry, new_decoder, batch_of):
    registry.release("s")
    payloads = [b'{"a": 1}\n', b"not looked at", b"", b'{"n": 123456789012345678901234567890}']
    decoder = new_decoder(registry, (), subject="s", validate="never")
    decoded = decoder.decode(batch_of([*(START + p for p in payloads), None, b"\0"]))
    assert decoded.rows == [*payloads, None, None]
    assert list(decoded.errors) == [5]
    assert new_decoder(None, (), wire="bare").decode(batch_of(payloads)).rows == payloads


def test_bare_values_need_no_registry(new_decoder, batch_of):
    decoder = new_decoder(None, {"a"}, wire="bare")
    assert decoder.decode(batch_of([b' {"a": 1, "b": 2} ', None])).rows == [{"a": 1, "b": 2}, None]
    assert decoder.schema_id(START) is None


def test_a_batch_may_mix_schemas_of_the_registry(registry, new_decoder, batch_of):
    registry.release("s")
    registry.release("t")
    values = [b"\0\0\0\0\x01{}", b'\0\0\0\0\x02{"a":1}'] * 3
    assert new_decoder(registry, subject="s").decode(batch_of(values)).rows == [{}, {"a": 1}] * 3


def test_it_stops_at_another_format_and_while_the_registry_does_not_answer(registry, new_decoder, batch_of):
    registry.release("s")
    registry.release("p", "protobuf")
    decoder = new_decoder(registry, subject="s")
    decoded = decoder.decode(batch_of([START + b"{}", b"\0\0\0\0\x02{}", START + b"{}"]))
    assert decoded.rows == [{}]
    assert decoded.stop[0] == 1
    registry.down = True
    assert decoder.decode(batch_of([START + b"{}"])).rows == [{}]
    assert decoder.decode(batch_of([None, b"\0\0\0\0\x09{}"])).stop[0] == 1


def test_it_says_which_schema_wrote_a_value(registry, new_decoder):
    registry.release("s")
    decoder = new_decoder(registry, subject="s")
    assert isinstance(decoder, IdentifiesSchema)
    assert [decoder.schema_id(value) for value in (b"\0\0\0\1\2x", b"", b"{}{}{}")] == [258, None, None]


def test_random_bytes_are_rows_or_errors(registry, new_decoder, batch_of):
    registry.release("s")
    draw = random.Random(3)
    sound = START + orjson.dumps({"a": [1, 2.5, None, {"b": "text"}], "c": True})
    modes = ("always", "sample", "never")
    decoders = [new_decoder(registry, reads, subject="s", validate=mode) for reads in (("*",), ()) for mode in modes]
    rows = 0
    for part in range(0, BUDGET, 5000):
        values = []
        for _ in range(min(5000, BUDGET - part)):
            value = bytearray(sound)
            for _ in range(draw.randrange(3)):
                place = draw.randrange(len(value))
                value[place : place + draw.randrange(3)] = draw.randbytes(draw.randrange(3))
            values.append(bytes(value))
        for decoder in decoders:
            decoded = decoder.decode(batch_of(values))
            assert decoded.stop is None
            assert len(decoded.rows) == len(values)
            assert all((row is None) == (i in decoded.errors) for i, row in enumerate(decoded.rows))
            for row in list(decoded.errors)[:50]:
                explanation = decoder.explain(values[row])
                assert (explanation.error.reason, explanation.error.code) == (
                    decoded.errors[row].reason,
                    decoded.errors[row].code,
                )
            rows += sum(row is not None for row in decoded.rows)
    assert BUDGET < rows < len(decoders) * BUDGET


def test_deep_nesting_is_an_error(new_decoder, batch_of):
    decoded = new_decoder(None, wire="bare").decode(
        batch_of([b'{"a":' * 100_000, b'{"a":' + b"[" * 9000 + b"]" * 9000 + b"}"])
    )
    assert {i: error.code for i, error in decoded.errors.items()} == {0: "invalid-json", 1: "invalid-json"}


def test_every_truncation_is_an_error(new_decoder, batch_of):
    value = orjson.dumps({"a": [1, 2.5, None, {"b": "text"}], "c": True})
    decoded = new_decoder(None, wire="bare").decode(batch_of([value[:length] for length in range(len(value))]))
    assert set(decoded.errors) == set(range(len(value)))


class Colour(enum.Enum):
    RED = "red"
    NAN = math.nan


NOON = dt.datetime(2024, 1, 2, 12, tzinfo=dt.timezone(dt.timedelta(hours=2)))


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (decimal.Decimal("1234567890123456789012345678.90"), b"1234567890123456789012345678.90"),
        (NOON, b'"2024-01-02T10:00:00Z"'),
        (NOON.replace(microsecond=5), b'"2024-01-02T10:00:00.000005Z"'),
        (NOON.date(), b'"2024-01-02"'),
        (dt.time(1, 2), b'"01:02:00"'),
        (uuid.UUID(int=1), b'"00000000-0000-0000-0000-000000000001"'),
        (Colour.RED, b'"red"'),
        ((1, None), b"[1,null]"),
        ((1 << 64) - 1, b"18446744073709551615"),
        ("null", b'"null"'),
        ([{"null": None}], b'[{"null":null}]'),
    ],
)
def test_what_is_written(value, written, new_encoder):
    encoded = new_encoder(None, wire="bare").encode([{"f": value}])
    assert not encoded.errors
    assert encoded.values == [b'{"f":' + written + b"}"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (math.nan, "NaN or infinite"),
        ((1, -math.inf), "NaN or infinite"),
        (decimal.Decimal("Infinity"), "NaN or infinite"),
        (Colour.NAN, "NaN or infinite"),
        (1 << 64, "more than 64 bits"),
        (-(1 << 63) - 1, "more than 64 bits"),
        (b"x", "type bytes"),
        ({1, 2}, "type set"),
        (object(), "type object"),
        (NOON.replace(tzinfo=None), "without time zone"),
        ("\ud800", "surrogate"),
        ({1: 2}, "keys must be strings"),
        ({"\ud800": 2}, "surrogate"),
    ],
)
def test_what_json_cannot_hold_is_an_error_beside_sound_neighbours(value, said, registry, new_encoder):
    registry.release("s")
    body = {"a": None, "f": [{"g": value}]}
    encoded = new_encoder(registry, subject="s").encode([{}, body, None, b'{"b":1}', {}])
    assert encoded.values == [START + b"{}", None, None, START + b'{"b":1}', START + b"{}"]
    assert list(encoded.errors) == [1]
    assert said in str(encoded.errors[1])
    assert encoded.errors[1].field.startswith("f[0].g")


def test_bodies_that_contain_themselves_or_are_no_dicts_are_errors(new_encoder):
    endless: dict[str, Any] = {}
    endless["r"] = [endless]
    errors = new_encoder(None, wire="bare").encode([endless, [1], "text"]).errors
    assert "nested too deeply" in str(errors[0])
    assert str(errors[1]) == "the body must be a dict or bytes, not list"
    assert set(errors) == {0, 1, 2}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(body=st.dictionaries(st.text(), JSON, max_size=4))
def test_a_body_is_read_back_or_refused_and_never_changed(body, new_encoder, new_decoder, batch_of):
    before = copy.deepcopy(body)
    encoded = new_encoder(None, wire="bare").encode([body])
    finite = "NaN" not in json.dumps(body) and "Infinity" not in json.dumps(body)
    if encoded.errors:
        assert not finite or any("\ud800" <= c <= "\udfff" for c in json.dumps(body, ensure_ascii=False))
    else:
        assert new_decoder(None, wire="bare").decode(batch_of(encoded.values)).rows == [before]
    assert repr(body) == repr(before)


def test_a_configuration_that_cannot_work_is_refused(registry, new_decoder, new_encoder):
    for make in (new_decoder, new_encoder):
        with pytest.raises(ConfigError, match="the key 'subject' is missing"):
            make(registry)
        with pytest.raises(ConfigError, match="needs a schema registry"):
            make(None, subject="s")
        with pytest.raises(ConfigError, match="has not got a released version"):
            make(registry, subject="s")
        with pytest.raises(ConfigError, match="did you mean 'subject'"):
            make(registry, subjekt="s")
    registry.release("a", "avro")
    with pytest.raises(ConfigError, match="of the format avro"):
        new_encoder(registry, subject="a")
