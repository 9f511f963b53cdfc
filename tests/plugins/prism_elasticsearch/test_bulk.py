from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prism_elasticsearch.bulk import Bulk, build
from prismlib.records import Documents, Partition
from tests.plugins.prism_elasticsearch.node import SOURCE, documents

texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
)
few = settings(max_examples=40, deadline=None)  # no test of ours may fail for a slow machine
objects = st.dictionaries(texts.filter(lambda name: name != "_origin"), values, max_size=5)
spaces = st.text(" \t\r\n", max_size=4)


def lines_of(bulk: Bulk) -> list[bytes]:
    body = bulk.body(0, len(bulk.lines))
    assert body.endswith(b"\n")
    return body[:-1].split(b"\n")


@few
@given(st.lists(st.tuples(objects, spaces, spaces, st.booleans(), st.booleans()), min_size=1, max_size=4))
def test_what_arrives_is_what_was_given_and_its_origin(bodies: list[tuple[dict, str, str, bool, bool]]) -> None:
    raw = [
        (before + json.dumps(value, ensure_ascii=ascii_only, indent=2 if pretty else None) + after).encode()
        for value, before, after, ascii_only, pretty in bodies
    ]
    bulk = build(documents(raw), with_topic=False)
    lines = lines_of(bulk)
    assert not bulk.rejected
    assert len(lines) == 2 * len(bodies)
    for position, (value, *_) in enumerate(bodies):
        action, source = orjson.loads(lines[2 * position]), json.loads(lines[2 * position + 1])
        assert action == {
            "index": {"_id": chr(ord("a") + position), "version": position + 1, "version_type": "external_gte"}
        }
        assert source.pop("_origin") == {"p": 3, "o": position}
        assert source == value


@few
@given(st.lists(st.binary(max_size=40) | texts.map(str.encode), min_size=1, max_size=4))
def test_no_body_whatever_it_holds_can_make_a_line_of_its_own(bodies: list[bytes]) -> None:
    wrapped = [b"{" + body + b"}" for body in bodies]
    bulk = build(documents(wrapped), with_topic=False)
    sent = len(bodies) - len(bulk.rejected)
    if sent:
        lines = lines_of(bulk)
        assert len(lines) == 2 * sent
        for action in lines[::2]:
            assert set(orjson.loads(action)) == {"index"}
        assert all(line.startswith(b'{"_origin":{"p":3,"o":') for line in lines[1::2])


@few
@given(st.text(st.characters(), min_size=1, max_size=300))
def test_an_id_is_escaped_or_rejected(id_: str) -> None:
    bulk = build(documents([b'{"a":1}'], [id_]), with_topic=False)
    try:
        valid = len(id_.encode()) <= 512
    except UnicodeEncodeError:
        valid = False
    if valid:
        action, _ = lines_of(bulk)
        assert orjson.loads(action)["index"]["_id"] == id_
    else:
        assert bulk.rejected[0].code == "invalid-id"
        assert not bulk.lines


@pytest.mark.parametrize(
    ("id_", "fits"), [("é" * 256, True), ("é" * 257, False), ("x" * 512, True), ("x" * 513, False), ("", False)]
)
def test_ids_are_measured_in_bytes(id_: str, fits: bool) -> None:  # noqa: FBT001
    bulk = build(documents([b"{}", b"{}"], ["before", id_]), with_topic=False)
    assert (1 not in bulk.rejected) == fits
    assert list(bulk.positions) == ([0, 1] if fits else [0])


@pytest.mark.parametrize("body", [b"", b" ", b"[]", b"{", b"}", b'"{}"', b"1", b"null", b"{} x", b"\xef\xbb\xbf{}"])
def test_what_is_not_an_object_is_rejected_and_its_neighbours_are_sent(body: bytes) -> None:
    bulk = build(documents([b'{"a":1}', body, b'{"c":3}']), with_topic=False)
    assert list(bulk.positions) == [0, 2]
    assert bulk.rejected[1].code == "not-an-object"
    assert len(lines_of(bulk)) == 4


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1 /* c */}',
        b'{"a":1} // c }',
        b'{"a":1}\n//}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\xc0\xaf"}',
        b'{"a":"\xff"}',
        b'{"a":"\\ud800"}',
        b'{"a":"\\uDC00x"}',
    ],
)
def test_what_elasticsearch_would_store_and_nobody_could_read_is_rejected(body: bytes) -> None:
    bulk = build(documents([b'{"a":1}', body]), with_topic=False)
    assert list(bulk.positions) == [0]
    assert bulk.rejected[1].code == "not-json"


@pytest.mark.parametrize(
    "body", [b'{"a":"https://example.org/*x"}', b'{"a":"}//"}', b'{"a":"\\ud83d\\ude00"}', '{"a":"é😀"}'.encode()]
)
def test_what_only_looks_like_it_passes_byte_for_byte(body: bytes) -> None:
    bulk = build(documents([body]), with_topic=False)
    assert lines_of(bulk)[1] == b'{"_origin":{"p":3,"o":0},' + body[1:]


def test_an_empty_object_holds_its_origin_only() -> None:
    bulk = build(documents([b"{}", b" { \n } ", b'{"a":1}']), with_topic=False)
    assert [orjson.loads(line) for line in lines_of(bulk)[1::2]] == [
        {"_origin": {"p": 3, "o": 0}},
        {"_origin": {"p": 3, "o": 1}},
        {"_origin": {"p": 3, "o": 2}, "a": 1},
    ]


def test_none_is_a_versioned_delete_between_others() -> None:
    bulk = build(documents([b'{"a":1}', None, b'{"c":1}']), with_topic=False)
    lines = lines_of(bulk)
    assert len(lines) == 5
    assert orjson.loads(lines[2]) == {"delete": {"_id": "b", "version": 2, "version_type": "external_gte"}}


def test_the_origin_names_the_topic_where_there_are_several() -> None:
    given = Documents("x", [SOURCE, Partition("weather", 0)], [7, 8], [None] * 2, [b'{"a":1}'] * 2, ["a", "b"], [8, 9])
    origins = [orjson.loads(line)["_origin"] for line in lines_of(build(given, with_topic=True))[1::2]]
    assert origins == [{"t": "flights", "p": 3, "o": 7}, {"t": "weather", "p": 0, "o": 8}]


def test_a_part_of_the_documents_is_a_request_of_its_own() -> None:
    bulk = build(documents([b'{"a":1}', None, b'{"c":1}']), with_topic=False)
    assert bulk.body(0, 1) + bulk.body(1, 3) == bulk.body(0, 3)


def test_nothing_makes_nothing() -> None:
    assert build(documents([]), with_topic=False).lines == []
