"""Rows, versions and drift, headers: what the decoder makes of values that somebody meant."""

import datetime as dt
from typing import Any

import pytest

from prismlib.errors import (
    ConfigError,
    DecodeError,
    RegistryUnavailableError,
    SchemaDriftError,
    SchemaParseError,
)

WEATHER = """
syntax = "proto3";
package airtraffic;
import "google/protobuf/timestamp.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/wrappers.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/any.proto";
message Weather {
  string origin = 1;
  optional double temp = 2;
  Sky sky = 3;
  google.protobuf.Timestamp time = 4;
  repeated Layer layers = 5;
  map<int32, Layer> by_height = 6;
  map<bool, string> flags = 7;
  oneof wind { string words = 8; Wind measured = 9; }
  google.protobuf.Int64Value gust = 10;
  google.protobuf.Duration lasts = 11;
  google.protobuf.Struct extra = 12;
  int64 count = 13;
  bytes raw = 14;
  repeated int32 codes = 15;
  int32 from = 16;
  Weather before = 17;
  google.protobuf.Any any = 18;
  enum Sky { SKY_UNKNOWN = 0; CLEAR = 1; RAIN = 2; }
  message Layer { string cover = 1; int32 height = 2; }
  message Wind { double speed = 1; Layer layer = 2; }
}
"""
EMPTY = {
    "origin": "", "temp": None, "sky": "SKY_UNKNOWN", "time": None, "layers": [], "by_height": {}, "flags": {},
    "words": None, "measured": None, "gust": None, "lasts": None, "extra": None, "count": 0, "raw": b"", "codes": [],
    "from": 0, "before": None, "any": None,
}  # fmt: skip


def proto(fields: str, rest: str = "", name: str = "M", syntax: str = "proto3") -> str:
    return f'syntax = "{syntax}";\npackage a;\nmessage {name} {{ {fields} }}\n{rest}\n'


def test_every_kind_of_field(schemas: Any, decode: Any) -> None:
    schemas.release("s", WEATHER)
    cls = schemas.message("s", 1)
    full = cls(origin="JFK", temp=0.0, sky="RAIN", words="", count=-(2**40), raw=b"\xff", codes=[3, 1])
    full.time.FromDatetime(dt.datetime(2013, 1, 1, 5, 0, 0, 250, tzinfo=dt.UTC))
    full.layers.add(cover="SCT", height=3)
    full.layers.add()
    full.by_height[7].cover = "OVC"
    full.flags[True] = "t"
    full.gust.value = 0
    full.lasts.seconds, full.lasts.nanos = -1, -500_000_999
    full.extra.update({"a": [1, "x", None, {"b": True}]})
    setattr(full, "from", 5)
    full.before.origin = "LGA"
    full.any.type_url, full.any.value = "u", b"v"
    head = schemas.head("s")
    decoded = decode(schemas.decoder("s", "*"), [head + full.SerializeToString(), None, head])
    assert not decoded.errors
    assert decoded.rows == [
        {
            "origin": "JFK", "temp": 0.0, "sky": "RAIN", "time": 1_357_016_400_000_250,
            "layers": [{"cover": "SCT", "height": 3}, {"cover": "", "height": 0}],
            "by_height": {"7": {"cover": "OVC", "height": 0}}, "flags": {"true": "t"}, "words": "", "measured": None,
            "gust": 0, "lasts": -1_500_000, "extra": {"a": [1.0, "x", None, {"b": True}]}, "count": -(2**40),
            "raw": b"\xff", "codes": [3, 1], "from": 5, "before": {**EMPTY, "origin": "LGA"},
            "any": {"type_url": "u", "value": b"v"},
        },
        None,
        EMPTY,
    ]  # fmt: skip
    assert [type(decoded.rows[0][name]) for name in ("layers", "by_height", "codes", "extra")] == [
        list,
        dict,
        list,
        dict,
    ]


def test_rows_hold_what_is_read_and_nothing_else(schemas: Any, decode: Any) -> None:
    schemas.release("s", WEATHER)
    cls = schemas.message("s", 1)
    one = cls(origin="JFK", layers=[{"cover": "SCT", "height": 3}], measured={"speed": 2.0, "layer": {"height": 1}})
    one.by_height[1].height = 9
    reads = ("origin", "layers.height", "by_height.height", "measured.layer.height", "before", "before.origin")
    decoder = schemas.decoder("s", *reads)
    assert decode(decoder, [schemas.head("s") + one.SerializeToString()]).rows == [
        {
            "origin": "JFK",
            "layers": [{"height": 3}],
            "by_height": {"1": {"height": 9}},
            "measured": {"layer": {"height": 1}},
            "before": None,
        }
    ]


def test_nothing_read_makes_rows_of_payloads_behind_a_checked_header(schemas: Any, decode: Any) -> None:
    schemas.release("s", proto("int32 a = 1;", "message Other {}"))
    head, other = schemas.head("s"), schemas.head("s", 1, b"\x02\x02")
    decoded = decode(
        schemas.decoder(message="a.M"), [head + b"\x08\x05", None, other, head, b"\0", head[:5] + b"\x02\0!"]
    )
    assert decoded.rows == [b"\x08\x05", None, None, b"", None, b"!"]
    assert {row: error.code for row, error in decoded.errors.items()} == {2: "message-index", 4: "no-schema-id"}


@pytest.mark.parametrize("path", ["orgin", "layers.cove", "time.seconds", "origin.x", "extra.x", "wind", "codes.x"])
def test_a_read_field_that_is_none_is_wrong_configuration(schemas: Any, path: str) -> None:
    schemas.release("s", WEATHER)
    with pytest.raises(ConfigError, match=rf"'{path}'.*has no field") as caught:
        schemas.decoder("s", path)
    if path == "orgin":
        assert "did you mean 'origin'" in str(caught.value)


def test_two_versions_in_one_batch_have_rows_of_one_shape(schemas: Any, decode: Any) -> None:
    schemas.release(
        "s", proto("int32 a = 1; int32 old = 3;"), proto("int64 b = 1; string added = 2; repeated int32 l = 4;")
    )
    values = [schemas.value("s", 1, a=5), schemas.value("s", 2, b=2**40, added="x", l=[1]), schemas.value("s", 1), None]
    decoded = decode(schemas.decoder("s", "b", "added", "l"), values * 50)
    assert decoded.rows[:4] == [
        {"b": 5, "added": None, "l": []},  # what the older version had not got yet is None, and not ""
        {"b": 2**40, "added": "x", "l": [1]},
        {"b": 0, "added": None, "l": []},
        None,
    ]
    assert decoded.rows == decoded.rows[:4] * 50


def test_a_removed_field_stops_and_the_rows_before_it_are_there(schemas: Any, decode: Any) -> None:
    schemas.release("s", proto("int32 a = 1; int32 b = 2;"))
    decoder, unconcerned = schemas.decoder("s", "a", "b"), schemas.decoder("s", "a")
    schemas.release("s", proto("int32 a = 1; int32 b = 2;"), proto("int32 a = 1;"))
    values = [schemas.value("s", 1, b=2), schemas.value("s", 2, a=1), schemas.value("s", 1)]
    for _ in range(2):
        decoded = decode(decoder, values)
        assert decoded.rows == [{"a": 0, "b": 2}]
        assert decoded.stop is not None
        assert decoded.stop[0] == 1
        assert isinstance(decoded.stop[1], SchemaDriftError)
        assert "version 2" in str(decoded.stop[1])
        assert "no field 2 (PRO023 field-not-written)" in str(decoded.stop[1])
    assert decode(unconcerned, values).rows == [{"a": 0}, {"a": 1}, {"a": 0}]


def test_a_pinned_version_is_the_reader(schemas: Any, decode: Any) -> None:
    schemas.release("s", proto("int32 a = 1;"), proto("int32 a = 1; int32 b = 2;"))
    assert decode(schemas.decoder("s", "*", version=1), [schemas.value("s", 2, a=4, b=5)]).rows == [{"a": 4}]
    with pytest.raises(ConfigError, match="version 3"):
        schemas.decoder("s", "a", version=3)


@pytest.mark.parametrize(
    ("writes", "reads", "given", "row"),
    [
        ("sint64 f = 1;", "uint32 f = 1;", -5, -5),
        ("bool f = 1;", "int32 f = 1;", True, 1),
        ("fixed32 f = 1;", "bool f = 1;", 3, True),
        ("E f = 1;", "int32 f = 1;", 1, 1),
        ("int32 f = 1;", "E f = 1;", 1, "NEW"),
        ("int32 f = 1;", "E f = 1;", 9, 9),
        ("bool f = 1;", "E f = 1;", True, "NEW"),
        ("E f = 1;", "E f = 1;", "ONLY_OLD", "ONLY_OLD"),
        ("E f = 1;", "E f = 1;", "OLD", "NEW"),
        ("E f = 1;", "E f = 1;", 77, 77),
        ("repeated E f = 1;", "repeated E f = 1;", [1, 77], ["NEW", 77]),
        ("float f = 1;", "double f = 1;", 0.5, 0.5),
        ("bytes f = 1;", "string f = 1;", b"\xc3\xa4", "ä"),
        ("string f = 1;", "bytes f = 1;", "ä", b"\xc3\xa4"),
        ("int32 f = 1;", "optional int32 f = 1;", 0, 0),
        ("optional int32 f = 1;", "int32 f = 1;", None, 0),
        ("optional int32 f = 1;", "optional int64 f = 1;", None, None),
        ("X f = 1;", "Y f = 1;", {"a": 3}, {"b": 3}),
        ("map<string, int32> f = 1;", "map<string, int64> f = 1;", {"k": 1}, {"k": 1}),
        ("map<int32, X> f = 1;", "map<int64, Y> f = 1;", {-1: {"a": 1}}, {"-1": {"b": 1}}),
    ],
)
def test_a_changed_type_that_holds_the_same_values_is_read(
    schemas: Any, decode: Any, writes: str, reads: str, given: Any, row: Any
) -> None:
    rest = "enum E { ZERO = 0; %s = 1; %s }\nmessage X { int32 a = 1; } message Y { int32 b = 1; }"
    schemas.release("s", proto(writes, rest % ("OLD", "ONLY_OLD = 2;")), proto(reads, rest % ("NEW", "")))
    assert decode(schemas.decoder("s", "f", message="a.M"), [schemas.value("s", 1, f=given)]).rows == [{"f": row}]


@pytest.mark.parametrize(
    ("writes", "reads"),
    [
        ("int32 f = 1;", "string f = 1;"),
        ("int32 f = 1;", "double f = 1;"),
        ("int32 f = 1;", "repeated int32 f = 1;"),
        ("repeated int32 f = 1;", "int32 f = 1;"),
        ("X f = 1;", "bytes f = 1;"),
        ("X f = 1;", "google.protobuf.Timestamp f = 1;"),
        ("X f = 1;", "Z f = 1;"),
        ("repeated X f = 1;", "map<int32, int32> f = 1;"),
        ("map<int32, int32> f = 1;", "map<string, int32> f = 1;"),
        ("map<int32, int32> f = 1;", "map<int32, X> f = 1;"),
    ],
)
def test_a_changed_type_that_does_not_stops(schemas: Any, decode: Any, writes: str, reads: str) -> None:
    rest = 'import "google/protobuf/timestamp.proto"; message X { int32 a = 1; } message Z { string a = 1; }'
    schemas.release("s", proto(writes, rest), proto(reads, rest))
    decoded = decode(schemas.decoder("s", "f", message="a.M"), [None, schemas.head("s")])
    assert decoded.rows == [None]
    assert decoded.stop[0] == 1
    assert "f" in str(decoded.stop[1])


NESTED = proto(
    "map<string, int32> m = 1; int32 a = 2; message Inner { message Leaf { int32 b = 1; } }",
    "enum E { ZERO = 0; }\nmessage Second { int32 c = 1; }",
)


@pytest.mark.parametrize(
    ("message", "indexes"),
    [
        ("a.M", b"\x00"),
        ("a.M", b"\x02\x00"),  # [0] written in full
        ("a.Second", b"\x02\x02"),
        ("a.M.Inner", b"\x04\x00\x02"),  # the entry of the map is the first message within M
        ("a.M.Inner.Leaf", b"\x06\x00\x02\x00"),
    ],
)
def test_index_paths_name_messages(schemas: Any, decode: Any, message: str, indexes: bytes) -> None:
    schemas.release("s", NESTED)
    head = schemas.head("s", 1, indexes)
    field = "b" if message.endswith("Leaf") else "c" if message.endswith("Second") else None
    decoder = schemas.decoder("s", "*", message=message)
    payload = b"\x08\x07" if field else b""
    decoded = decode(decoder, [head + payload] * 3)
    assert not decoded.errors
    if field:
        assert decoded.rows == [{field: 7}] * 3
    if indexes != b"\x02\x00":
        encoded = schemas.encoder(message=message).encode([{field: 7} if field else {}])
        assert encoded.values == [head + payload]


@pytest.mark.parametrize(
    ("indexes", "code", "reason"),
    [
        (b"\x02\x02", "message-index", "names message a.Second"),
        (b"\x02\x04", "message-index", "no message"),
        (b"\x04\x00\x00", "message-index", "no message"),  # the entry of a map
        (b"\x02\x01", "message-index", "no message"),  # -1
        (b"\x01", "message-index", "counts -1"),
        (b"\xfe\xff\xff\xff\x0f", "message-index", "counts 2147483647"),
        (b"\x82\x01" + b"\0" * 65, "message-index", "counts 65"),
        (b"\x80\x80\x80\x80\x80\x00", "message-index", "too long"),
        (b"", "truncated", "ends within"),
        (b"\x04\x00", "truncated", "ends within"),
        (b"\x80", "truncated", "ends within"),
    ],
)
def test_a_wrong_message_index_is_one_bad_record(
    schemas: Any, decode: Any, indexes: bytes, code: str, reason: str
) -> None:
    schemas.release("s", NESTED)
    good = schemas.head("s") + b"\x10\x01"
    decoded = decode(schemas.decoder("s", "a", message="a.M"), [good, schemas.head("s", 1, indexes), good])
    assert decoded.rows == [{"a": 1}, None, {"a": 1}]
    assert isinstance(decoded.errors[1], DecodeError)
    assert decoded.errors[1].code == code
    assert reason in decoded.errors[1].reason


def test_a_message_of_another_subject_is_one_bad_record_and_a_renamed_message_stops(schemas: Any, decode: Any) -> None:
    schemas.release("s", proto("int32 a = 1;"))
    schemas.release("other", proto("int32 a = 1;", name="Other"))
    decoder = schemas.decoder("s", "a")
    decoded = decode(decoder, [schemas.value("other", 1, a=1), schemas.value("s", 1, a=2)])
    assert decoded.rows == [None, {"a": 2}]
    assert decoded.errors[0].code == "message-index"
    assert "names message a.Other of subject other version 1" in decoded.errors[0].reason
    schemas.release("s", proto("int32 a = 1;"), proto("int32 a = 1;", name="Renamed"))
    decoded = decode(decoder, [schemas.value("s", 2, a=1)])
    assert "PRO004 message-not-written" in str(decoded.stop[1])


def test_the_same_schema_under_another_subject_counts_as_its_version(schemas: Any, decode: Any) -> None:
    old, new = proto("int32 a = 1;"), proto("int32 a = 1; int32 b = 2;")
    schemas.release("aaa", old)
    schemas.release("s", old, new)
    assert schemas.registry.by_id(schemas.id("s", 1)).subject == "aaa"
    decoder = schemas.decoder("s", "b")
    assert decode(decoder, [schemas.value("s", 1, a=1)]).rows == [{"b": None}]


def test_imports_are_resolved_by_their_references(schemas: Any, decode: Any) -> None:
    schemas.release("geo", 'syntax = "proto3"; package g; message Point { double lat = 1; }')
    schemas.release(
        "place",
        'syntax = "proto3"; package g; import "common/geo.proto"; message Place { Point at = 1; }',
        references='[references.v1]\n"common/geo.proto" = { subject = "geo", version = 1 }\n',
    )
    schemas.release(
        "s",
        'syntax = "proto3"; package a; import "place.proto"; message M { g.Place place = 1; }',
        references='[references.v1]\n"place.proto" = { subject = "place", version = 1 }\n',
    )
    value = schemas.value("s", 1, place={"at": {"lat": 40.6}})
    assert decode(schemas.decoder("s", "place.at.lat"), [value]).rows == [{"place": {"at": {"lat": 40.6}}}]
    with pytest.raises(ConfigError, match=r"defines no message 'g\.Place'; it defines a\.M"):
        schemas.decoder("s", message="g.Place")


def test_an_unknown_id_is_a_bad_record(schemas: Any, decode: Any) -> None:
    schemas.release("s", proto("int32 a = 1;"))
    decoder = schemas.decoder("s", "a")
    good = schemas.value("s", 1, a=3)
    unknown = b"\0" + (1 << 30).to_bytes(4, "big") + b"\0"
    decoded = decode(decoder, [unknown, good])
    assert decoded.rows == [None, {"a": 3}]
    assert decoded.errors[0].code == "unknown-schema-id"


def test_unknown_ids_do_not_pile_up(schemas: Any, decode: Any) -> None:
    schemas.release("s", proto("int32 a = 1;"))
    decoder = schemas.decoder("s", "a")
    decoded = decode(decoder, [b"\0" + (n | 1 << 30).to_bytes(4, "big") + b"\0" for n in range(3000)])
    assert len(decoded.errors) == 3000
    assert len(decoder._plans) == 1


def test_a_registry_that_does_not_answer_stops_and_is_asked_again(
    schemas: Any, decode: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    schemas.release("s", proto("int32 a = 1;"), proto("int32 a = 1; int32 b = 2;"))
    decoder = schemas.decoder("s", "a")

    def down(schema_id: int) -> Any:
        raise RegistryUnavailableError("http://127.0.0.1:1 does not answer")

    monkeypatch.setattr(schemas.registry, "by_id", down)
    values = [schemas.value("s", 2, a=2), schemas.value("s", 1, a=1)]
    decoded = decode(decoder, values)
    assert decoded.rows == [{"a": 2}]
    assert "127.0.0.1:1 does not answer" in str(decoded.stop[1])
    monkeypatch.undo()
    assert decode(decoder, values).rows == [{"a": 2}, {"a": 1}]


def test_a_writer_schema_that_cannot_be_parsed_or_is_of_another_format_stops(schemas: Any, decode: Any) -> None:
    schemas.release("s", proto("int32 a = 1;"))
    decoder = schemas.decoder("s", "a")
    schemas.release("s", proto("int32 a = 1;"), "message {")
    decoded = decode(decoder, [schemas.head("s", 2)])
    assert "line 1, column 9" in str(decoded.stop[1])
    folder = schemas.root / "j"
    folder.mkdir()
    (folder / "subject.toml").write_text('format="avro"\ncompatibility="NONE"\nowner="o"\ncontact="c"')
    (folder / "v1.avsc").write_text('"int"')
    decoded = decode(decoder, [schemas.head("j")])
    assert "is of the format avro" in str(decoded.stop[1])
    with pytest.raises(ConfigError, match='use type = "avro"'):
        schemas.decoder("j")


def test_bare_values_have_no_header(schemas: Any, decode: Any) -> None:
    schemas.release("s", proto("int32 a = 1;"), proto("int32 b = 1;"))
    decoder = schemas.decoder("s", "b", wire="bare")
    assert decode(decoder, [b"\x08\x05", b"", None, b"\x08"]).rows == [{"b": 5}, {"b": 0}, None, None]
    assert decoder.schema_id(b"\0\0\0\0\1\0") is None
    assert schemas.encoder(wire="bare").encode([{"b": 5}]).values == [b"\x08\x05"]


def test_the_schema_id_of_a_value(schemas: Any) -> None:
    schemas.release("s", proto("int32 a = 1;"))
    decoder = schemas.decoder("s", "a")
    assert decoder.schema_id(b"\0\0\0\1\2") == 258
    assert decoder.schema_id(b"\1\0\0\1\2") is None
    assert decoder.schema_id(b"\0\0\0\1") is None
    assert decoder.schema_id(b"") is None


def test_the_message_must_be_clear(schemas: Any) -> None:
    schemas.release("s", NESTED)
    with pytest.raises(ConfigError, match=r"2 messages to choose from; set message = .*a\.M, a\.Second, a\.M\.Inner"):
        schemas.decoder("s")
    with pytest.raises(ConfigError, match=r"no message 'a\.X'"):
        schemas.decoder("s", message="a.X")
    schemas.release("e", 'syntax = "proto3"; enum E { ZERO = 0; }')
    with pytest.raises(ConfigError, match="0 messages"):
        schemas.decoder("e")
    with pytest.raises(ConfigError, match="has not got a released version"):
        schemas.decoder("missing")
    schemas.release("broken", "syntax = ")
    with pytest.raises(SchemaParseError, match="subject broken version 1"):
        schemas.decoder("broken")


def test_proto2_and_names_that_protobuf_and_python_use_themselves(schemas: Any, decode: Any) -> None:
    fields = (
        "required int32 HasField = 1; optional int32 FromString = 2 [default = 9]; optional group Class = 3 "
        "{ optional int32 None = 1; } optional string __class__ = 4; optional int32 self = 5; optional E e = 6;"
        "message ParseFromString { optional int32 m = 1; } enum E { HASFIELD = 3; }"
    )
    schemas.release("s", proto(fields, syntax="proto2"))
    value = schemas.value("s", 1, HasField=1, self=2, __class__="c", **{"class": {"None": 4}})
    row = {"HasField": 1, "FromString": None, "class": {"None": 4}, "__class__": "c", "self": 2, "e": None}
    decoded = decode(schemas.decoder("s", "*"), [value, schemas.head("s") + b"\x22\x01\xff"])
    assert decoded.rows == [row, None]  # proto2 lets anything be a string, and protobuf then gives bytes
    assert "not valid UTF-8" in decoded.errors[1].reason
    encoded = schemas.encoder("s").encode([row, {"self": 1}])
    assert encoded.values == [value, None]
    assert encoded.errors[1].field == "HasField"


def test_editions_are_read(schemas: Any, decode: Any) -> None:
    schemas.release("s", 'edition = "2023"; package a; message M { int32 a = 1; }')
    assert decode(schemas.decoder("s", "a"), [schemas.value("s", 1), schemas.value("s", 1, a=0)]).rows == [
        {"a": None},
        {"a": 0},
    ]
