"""How far a value can be read, for people who look at dead letters.

``PRISM_FUZZ`` is the number of broken texts.
"""

from __future__ import annotations

import json
import os
import random

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prism_jsonschema.reading import MOST_NAMES, explain_payload
from prismlib.contracts.framing import header
from prismlib.errors import DecodeError, SchemaDriftError
from prismlib.stages import Explains

BUDGET = int(os.environ.get("PRISM_FUZZ", "20000"))
ORDER = {"properties": {"lines": {"items": {"properties": {"sku": {"type": "string"}}}}}}


def test_a_sound_value_is_shown_whole(registry, new_decoder):
    start = header(registry.release("s", schema=ORDER).id)
    decoder = new_decoder(registry, subject="s")
    assert isinstance(decoder, Explains)
    explanation = decoder.explain(start + b' {"id": 7, "lines": [{"sku": "a"}, {"n": [1.5, null]}], "e": {}, "f": []} ')
    assert explanation.fields == [
        ("id", 7), ("lines[0].sku", "a"), ("lines[1].n[0]", 1.5), ("lines[1].n[1]", None), ("e", {}), ("f", []),
    ]  # fmt: skip
    assert explanation.error is None
    assert explanation.at is None


@pytest.mark.parametrize("validate", ["always", "sample", "never"])
def test_a_value_that_does_not_fit_is_shown_whole_with_the_field_at_fault(validate, registry, new_decoder, batch_of):
    start = header(registry.release("s", schema=ORDER).id)
    value = start + b'{"lines": [{"sku": "a"}, {"sku": 5}], "id": 7}'
    decoder = new_decoder(registry, subject="s", validate=validate)
    explanation = decoder.explain(value)
    assert explanation.fields == [("lines[0].sku", "a"), ("lines[1].sku", 5), ("id", 7)]
    assert explanation.at is None
    if validate == "never":
        assert explanation.error is None
    else:
        assert isinstance(explanation.error, DecodeError)
        assert (explanation.error.code, explanation.error.field) == ("schema", "lines[1].sku")
        assert explanation.error.__traceback__ is None
    if validate == "always":
        assert decoder.decode(batch_of([value])).errors[0].reason == explanation.error.reason


@pytest.mark.parametrize(
    ("payload", "fields", "at"),
    [
        (b"", [], 0),
        (b"  ", [], 2),
        (b"nonsense", [], 0),
        (b'{"a": 1, "b": tru', [("a", 1)], 14),
        (b'{"a": 1, "b": "x', [("a", 1)], 14),
        (b'{"a": 1,}', [("a", 1)], 8),
        (b'{"a": [1, {"b": 2}, 3, }', [("a[0]", 1), ("a[1].b", 2), ("a[2]", 3)], 23),
        (b'{"a" 1}', [], 5),
        (b'{"a": 1} x', [("a", 1)], 9),
        (b'{"a": 01}', [("a", 0)], 7),
        (b'{"a": NaN}', [], 6),
        (b"{'a': 1}", [], 1),
        (b'{"\xc3\xa4": "\xe2\x82\xac", "b": \xff}', [("\xe4", "€")], 19),
        (b'{"a": 1, "b": "x\xff"}', [("a", 1)], 16),
        (b'{"a": 1]', [("a", 1)], 7),
        (b"[1, 2", [("[0]", 1), ("[1]", 2)], 5),
        (b'{"a": "x\ny"}', [], 6),
        (b'{"a": 1, "b": 1e999}', [("a", 1)], 14),
        (b'{"a": 1, "b": "\\ud800"}', [("a", 1)], 14),
        (b'{"a": 1, "\\udc00": 1}', [("a", 1)], 9),
    ],
)
def test_broken_json_is_shown_up_to_the_byte_at_which_it_breaks(payload, fields, at, registry, new_decoder):
    start = header(registry.release("s").id)
    explanation = new_decoder(registry, subject="s").explain(start + payload)
    assert explanation.fields == fields
    assert explanation.error.code == "invalid-json"
    assert explanation.at == len(start) + at
    assert new_decoder(None, wire="bare").explain(payload).at == at


def test_a_value_that_is_no_object_is_one_only_where_rows_are_wanted(registry, new_decoder):
    start = header(registry.release("s", schema="true").id)
    assert new_decoder(registry, subject="s").explain(start + b"[1]").error.code == "no-object"
    passing = new_decoder(registry, (), subject="s").explain(start + b"[1]")
    assert (passing.fields, passing.error) == ([("[0]", 1)], None)
    assert new_decoder(registry, (), subject="s").explain(start + b"1").fields == []


def test_what_stands_behind_a_wrong_header_is_read_all_the_same(registry, new_decoder):
    registry.release("s")
    avro = header(registry.release("a", "avro").id)
    broken = header(registry.release("s", schema={"type": "no type"}).id)
    decoder = new_decoder(registry, subject="s")
    bare = decoder.explain(b'{"a":1}')
    assert (bare.fields, bare.error.code, bare.at) == ([("a", 1)], "no-schema-id", 0)
    unknown = decoder.explain(header(99) + b'{"a":1}')
    assert (unknown.fields, unknown.error.code, unknown.at) == ([("a", 1)], "unknown-schema-id", 1)
    for start in (avro, broken):
        drift = decoder.explain(start + b'{"a":1}')
        assert (drift.fields, type(drift.error), drift.at) == ([("a", 1)], SchemaDriftError, 1)
    registry.down = True
    away = decoder.explain(header(98) + b'{"a":1}')
    assert (away.fields, type(away.error)) == ([("a", 1)], SchemaDriftError)
    assert decoder.explain(b"").at == 0


def test_it_stops_being_json_where_orjson_says_that_it_is_none(new_decoder):
    draw = random.Random(5)
    sound = orjson.dumps({"a": [1, -2.5e3, None, {"b": "t\\\n€ä"}], "c": True, "": {"d": [], "e": {}}})
    broken = 0
    for _ in range(BUDGET):
        value = bytearray(sound)
        for _ in range(draw.randrange(3)):
            place = draw.randrange(len(value))
            value[place : place + draw.randrange(3)] = draw.choice(
                [b"", b'"', b"{", b"}", b",", b"0", b"\\u12", b"\xc3", b"1e999", draw.randbytes(draw.randrange(3))]
            )
        fields, at = explain_payload(bytes(value))
        try:
            row = orjson.loads(bytes(value))
        except orjson.JSONDecodeError:
            broken += 1
            assert at is not None
            assert 0 <= at <= len(value)
        else:
            assert at is None
            assert len(set(dict(fields))) > 3 or not isinstance(row, dict) or len(value) < 20
    assert BUDGET // 3 < broken < BUDGET


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", min_size=1, max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.dictionaries(st.text("ab", min_size=1), JSON, max_size=4), st.booleans())
def test_fields_are_all_leaves_in_their_order(value, spaced):
    def leaves(one, path):
        if isinstance(one, dict) and one:
            return [leaf for key, inner in one.items() for leaf in leaves(inner, f"{path}.{key}" if path else key)]
        if isinstance(one, list) and one:
            return [leaf for index, inner in enumerate(one) for leaf in leaves(inner, f"{path}[{index}]")]
        return [(path, one)] if path else []

    text = json.dumps(value, indent=1) if spaced else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert explain_payload(text.encode()) == (leaves(value, ""), None)
    for cut in range(len(text)):
        fields, at = explain_payload(text[:cut].encode())
        assert at is not None
        assert fields == leaves(value, "")[: len(fields)] or fields[-1][1] in (0, -1) or str(fields[-1][1]) in text


def test_depth_and_length_are_no_trouble(new_decoder):
    decoder = new_decoder(None, wire="bare")
    deep = decoder.explain(b'{"a":' * 100_000)
    assert (deep.fields, deep.error.code, deep.at) == ([], "invalid-json", 500_000)
    closed = decoder.explain(b'{"a":' + b"[" * 9000 + b"]" * 9000 + b"}")
    assert (len(closed.fields), closed.error.code) == (1, "invalid-json")
    long = decoder.explain(b'{"' + b"k" * 100_000 + b'":[' + b",".join([b"0"] * 100_000) + b"]}")
    assert long.error is None
    assert 10 < len(long.fields) <= MOST_NAMES // 100_000 + 2
    # Neither many fields below many nameless steps, nor a number of a hundred thousand digits.
    nameless = decoder.explain(b'{"":' * 1000 + b"[" + b",".join([b"0"] * 100_000) + b"]" + b"}" * 1000)
    assert nameless.error is None
    assert len(nameless.fields) <= MOST_NAMES // 1000
    assert decoder.explain(b'{"a":' + b"9" * 100_000 + b"}").at == 5
