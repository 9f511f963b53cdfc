"""What a value is parsed to, and so validated as: 64-bit integers and floats, the last of two equal keys, no NaN."""

from __future__ import annotations

import pytest

DRAFT_4 = "http://json-schema.org/draft-04/schema#"


@pytest.mark.parametrize(
    ("schema", "json", "fits"),
    [
        ({"type": "integer"}, b"1", True),
        ({"type": "integer"}, b"1.0", True),
        ({"type": "integer"}, b"1e3", True),
        ({"type": "integer"}, b"1.5", False),
        ({"type": "integer"}, b"true", False),
        ({"type": "integer"}, b"18446744073709551615", True),
        ({"type": "integer"}, b"-9223372036854775808", True),
        # Beyond 64 bits an integer is the nearest float, which is an integer too ...
        ({"type": "integer"}, b"18446744073709551616", True),
        ({"type": "integer"}, b"123456789012345678901234567890", True),
        ({"maximum": 18446744073709551616}, b"18446744073709551617", True),
        # ... but not in draft 4, where a float never is.
        ({"$schema": DRAFT_4, "type": "integer"}, b"18446744073709551616", False),
        ({"$schema": DRAFT_4, "type": "integer"}, b"1.0", False),
        ({"$schema": DRAFT_4, "type": "integer"}, b"18446744073709551615", True),
        ({"type": "number"}, b"1e308", True),
        ({"maximum": 9007199254740993}, b"9007199254740993", True),
        ({"maximum": 9007199254740992}, b"9007199254740993", False),
        ({"exclusiveMinimum": 9007199254740992}, b"9007199254740993", True),
        ({"const": 1}, b"1.0", True),
        ({"const": 1}, b"true", False),
        ({"enum": [0]}, b"-0.0", True),
        ({"enum": [18446744073709551615]}, b"18446744073709551615", True),
        ({"multipleOf": 0.01}, b"19.99", True),
        ({"multipleOf": 0.01}, b"19.999", False),
        ({"multipleOf": 0.1}, b"0.3", True),
        ({"multipleOf": 1e-300}, b"1e300", True),
        ({"uniqueItems": True}, b"[1,1.0]", False),
        ({"uniqueItems": True}, b"[1,true,0,false]", True),
        # Of a key that stands twice, the last value is the one that is decoded.
        ({"properties": {"a": {"type": "integer"}}}, b'{"a":"x","a":1}', True),
        ({"properties": {"a": {"type": "integer"}}}, b'{"a":1,"a":"x"}', False),
        ({"maxProperties": 1}, b'{"a":1,"a":2}', True),
        ({"maxLength": 1}, '"\N{GRINNING FACE}"'.encode(), True),
        ({"maxLength": 1}, b'"\\ud83d\\ude00"', True),
        ({"maxLength": 1}, '"e\N{COMBINING ACUTE ACCENT}"'.encode(), False),
    ],
)  # fmt: skip
def test_numbers_keys_and_text(schema, json, fits, registry, new_decoder, new_encoder, batch_of):
    registry.release("s", schema={"$schema": "http://json-schema.org/draft-07/schema#", **schema})
    for reads in ((), ("*",)):
        decoded = new_decoder(registry, reads, subject="s", wire="bare").decode(batch_of([json]))
        assert (decoded.errors[0].code if decoded.errors else "fits") == (
            "schema"
            if not fits and (not reads or json.startswith(b"{"))
            else "no-object"
            if reads and not json.startswith(b"{")
            else "fits"
        )
        if decoded.errors and decoded.errors[0].code == "schema":
            assert "does not fit" not in decoded.errors[0].reason or schema.keys() & {"multipleOf"}
    encoded = new_encoder(registry, subject="s", wire="bare").encode([json])
    assert bool(encoded.errors) is not fits


@pytest.mark.parametrize(
    "json", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"01", b".5", b"1.", b"+1", b"0x1", b"1_0"]
)
def test_what_is_no_number_is_no_json(json, registry, new_decoder, new_encoder, batch_of):
    registry.release("s", schema="true")
    for reads in ((), ("*",)):
        decoded = new_decoder(registry, reads, subject="s", wire="bare").decode(batch_of([b'{"a":' + json + b"}"]))
        assert decoded.errors[0].code == "invalid-json"
    assert (
        "no JSON" in new_encoder(registry, subject="s", wire="bare").encode([b'{"a":' + json + b"}"]).errors[0].reason
    )


@pytest.mark.parametrize(
    "json", [b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\ud83d"', b'"\xed\xa0\x80"', b'"\xff"', b'"\xc3"']
)
def test_half_a_character_is_no_json(json, registry, new_decoder, batch_of):
    registry.release("s", schema="true")
    for reads in ((), ("*",)):
        for value in (b'{"a":' + json + b"}", b"{" + json + b":1}"):
            decoder = new_decoder(registry, reads, subject="s", wire="bare")
            assert decoder.decode(batch_of([value])).errors[0].code == "invalid-json"
            explanation = decoder.explain(value)
            assert explanation.error.code == "invalid-json"
            assert explanation.at is not None
