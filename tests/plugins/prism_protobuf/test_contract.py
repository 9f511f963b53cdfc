"""Contracts: what is derived from a schema is compatible with it, fires on changes of what is read, and on no others."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from prism_protobuf.compatibility.format import ProtobufFormat
from prism_protobuf.compatibility.rules import RULES
from prismlib.contracts import check_consumer, derive_contract
from prismlib.contracts.format import SchemaText
from prismlib.errors import SchemaParseError, UnknownFieldError
from tests.plugins.prism_protobuf.evolving import FieldSpec, FileSpec, files, is_schema

FORMAT = ProtobufFormat()
SETTINGS = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
"""Of lists: each example is one process of protoc."""

GEO = """syntax = "proto2";
package common.geo;
message Place {
  required string code = 1;
  optional Kind kind = 2 [default = CITY];
  optional group Point = 3 { optional double lat = 1; optional double lon = 2; }
  enum Kind { AIRPORT = 1; CITY = 2; }
}
"""
WEATHER = """edition = "2023";
package airtraffic;
import "common/geo.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
option features.field_presence = IMPLICIT;
message Weather {
  reserved 7;
  string origin = 1;
  common.geo.Place place = 2;
  google.protobuf.Timestamp time_hour = 3;
  oneof wind {
    Gust gust = 4;
    double wind_speed = 5;
  }
  map<string, Outer.Reading> readings = 6;
  repeated int32 levels = 8 [features.repeated_field_encoding = EXPANDED];
  google.protobuf.StringValue remark = 9;
  Weather before = 10;
  message Gust { double speed = 1; Unit unit = 2; enum Unit { KNOTS = 0; KMH = 1; } }
}
message Outer {
  string unread = 1;
  message Reading { int64 value = 1 [features.field_presence = EXPLICIT]; Level level = 2; }
  enum Level { UNKNOWN = 0; option allow_alias = true; LOW = 1; LEAST = 1; }
}
"""
REFERENCES = {"common/geo.proto": GEO}


def consumer_findings(contract: str, new: str, references: dict[str, str] | None = None) -> list[tuple[str, str]]:
    listed = [{"name": name, "schema": text} for name, text in (references or {}).items()]
    verdict = check_consumer(format="protobuf", new=new, contract=contract, references={"new": listed})
    return [(one.rule, one.path) for one in verdict.findings if one.fails]


def derive(reads: list[str], text: str = WEATHER, references: dict[str, str] | None = None) -> str:
    listed = [{"name": n, "schema": t} for n, t in (REFERENCES if references is None else references).items()]
    return derive_contract(format="protobuf", schema=text, reads=reads, references=listed)


def test_a_contract_needs_no_references_and_says_only_what_is_read() -> None:
    contract = derive(["origin", "place.kind", "time_hour", "gust.unit", "readings.value"])
    assert contract == (
        'edition = "2023";\n\npackage airtraffic;\n\nimport "google/protobuf/timestamp.proto";\n\n'
        "message Weather {\n"
        "  string origin = 1 [features.field_presence = IMPLICIT];\n"
        "  common_geo.Place place = 2;\n"
        "  google.protobuf.Timestamp time_hour = 3;\n"
        "  oneof wind {\n    Gust gust = 4;\n  }\n"
        "  map<string, Outer.Reading> readings = 6;\n"
        "  message Gust {\n    Unit unit = 2 [features.field_presence = IMPLICIT];\n"
        "    enum Unit {\n      KNOTS = 0;\n      KMH = 1;\n    }\n  }\n}\n\n"
        "message common_geo {\n  message Place {\n    Kind kind = 2 [default = CITY];\n"
        "    enum Kind {\n      option features.enum_type = CLOSED;\n      AIRPORT = 1;\n      CITY = 2;\n    }\n  }\n}\n\n"
        "message Outer {\n  message Reading {\n    int64 value = 1;\n  }\n}\n"
    )
    assert consumer_findings(contract, WEATHER, REFERENCES) == []


@pytest.mark.parametrize(
    "reads", [["*"], ["levels", "remark"], ["before.before.gust"], ["place"], ["readings"], ["place.point.lat"]]
)
def test_a_contract_fits_the_schema_that_it_comes_from(reads: list[str]) -> None:
    assert consumer_findings(derive(reads), WEATHER, REFERENCES) == []


def test_proto2_and_proto3_stay_what_they_are() -> None:
    contract = derive(["*"], GEO, {})
    assert contract.startswith('syntax = "proto2";')
    assert "  optional group Point = 3 {\n    optional double lat = 1;" in contract
    assert consumer_findings(contract, GEO) == []
    proto3 = 'syntax = "proto3"; message M { optional int32 a = 1; repeated int32 b = 2 [packed = false]; }'
    assert derive(["*"], proto3, {}) == (
        'syntax = "proto3";\n\nmessage M {\n  optional int32 a = 1;\n  repeated int32 b = 2 [packed = false];\n}\n'
    )


@pytest.mark.parametrize(
    "imported",
    [
        'syntax = "proto3"; package q; message Q { int32 a = 1; string b = 2; enum E { A = 0; } E e = 3; }',
        'edition = "2023"; package q; message Q { R r = 1 [features.message_encoding = DELIMITED]; } message R { int32 a = 1; }',
        'syntax = "proto2"; package q; message Q { repeated group R = 1 { optional int32 a = 1; optional Q q = 2; } }',
    ],
)
@pytest.mark.parametrize("syntax", ["proto2", "proto3"])
def test_an_import_of_another_syntax_keeps_its_meaning(syntax: str, imported: str) -> None:
    text = f'syntax = "{syntax}"; package p; import "q.proto"; message M {{ repeated q.Q q = 1; }}'
    contract = derive(["*"], text, {"q.proto": imported})
    assert consumer_findings(contract, text, {"q.proto": imported}) == []
    assert consumer_findings(derive(["*"], contract, {}), text, {"q.proto": imported}) == []


def test_names_never_meet() -> None:
    """Imported types of one name, values of enums of one name, and fields that hide a package or a type."""
    one = 'syntax = "proto3"; package a.b; enum E { UNKNOWN = 0; } message T { E e = 1; google g = 2; message google { int32 x = 1; } }'
    other = 'syntax = "proto3"; package c; enum E { UNKNOWN = 0; } message T { E e = 1; }'
    bare = 'syntax = "proto3"; enum E2 { UNKNOWN = 0; }'
    main = (
        'syntax = "proto3"; package m.google; import "1.proto"; import "2.proto"; import "3.proto"; '
        'import "google/protobuf/timestamp.proto"; message M { a.b.T x = 1; c.T c = 2; E2 e = 3; a_b a_b = 4; '
        "T T = 5; .google.protobuf.Timestamp at = 6; enum E { UNKNOWN = 0; } E f = 7; map<int32, c.E> imported = 8; } "
        "message a_b { int32 x = 1; } message T { int32 y = 1; }"
    )
    references = {"1.proto": one, "2.proto": other, "3.proto": bare}
    contract = derive(["*"], main, references)
    assert consumer_findings(contract, main, references) == []


def test_which_message_is_read() -> None:
    text = 'syntax = "proto3"; message A { int32 a = 1; int32 both = 2; } message B { int32 b = 1; int32 both = 2; }'
    assert "message A" in derive(["both"], text, {})
    assert "message B" in derive(["both", "b"], text, {})
    with pytest.raises(UnknownFieldError, match="message A has no field 'bot' there; did you mean 'both'"):
        derive(["bot"], text, {})
    with pytest.raises(UnknownFieldError, match=r"reads 'a\.x'"):
        derive(["a.x"], text, {})


CHANGES: dict[str, tuple[str, str]] = {
    "removed": ("  string origin = 1;", "  reserved 1;"),
    "renamed": ("string origin = 1", "string airport = 1"),
    "now nullable": ("string origin = 1", "string origin = 1 [features.field_presence = EXPLICIT]"),
    "another type": ("string origin = 1", "bytes origin = 1"),
    "a list": ("string origin = 1", "repeated string origin = 1"),
    "removed below an import": ("optional Kind kind = 2 [default = CITY];", ""),
    "another default": ("[default = CITY]", "[default = AIRPORT]"),
    "a new value below an import": ("CITY = 2;", "CITY = 2; SEAPORT = 3;"),
    "wider in a map": ("int64 value = 1", "uint64 value = 1"),
    "a value renamed": ("KMH = 1", "MPH = 1"),
    "a oneof left": ("    Gust gust = 4;\n", ""),
    "another library message": ("google.protobuf.Timestamp time_hour", "google.protobuf.StringValue time_hour"),
}
UNREAD: dict[str, tuple[str, str]] = {
    "a field removed": ("  repeated int32 levels = 8 [features.repeated_field_encoding = EXPANDED];\n", ""),
    "a field of another type": ("StringValue remark", "Int64Value remark"),
    "a field below a map renamed": ("Level level = 2", "Level degree = 2"),
    "a field of the message outside": ("string unread = 1", "int32 unread = 1"),
    "a value of an enum that is not read": ("LOW = 1;", "LOW = 1; HIGH = 2;"),
    "a member of the oneof": ("double wind_speed = 5;", "double wind_speed = 5; double calm = 11;"),
    "a field added": ("  reserved 7;", "  reserved 7; int32 more = 12;"),
    "a field below a group": ("optional double lon = 2;", ""),
    "a required field that is not read": ("required string code = 1;", ""),
}
READS = ["origin", "place.kind", "place.point.lat", "time_hour", "gust.unit", "readings.value"]


@pytest.mark.parametrize("change", CHANGES)
def test_it_fires_on_a_change_of_what_is_read(change: str) -> None:
    assert _after(CHANGES[change])


@pytest.mark.parametrize("change", UNREAD)
def test_it_is_silent_on_a_change_of_what_is_not_read(change: str) -> None:
    assert _after(UNREAD[change]) == []


def _after(change: tuple[str, str]) -> list[tuple[str, str]]:
    assert sum(text.count(change[0]) for text in (WEATHER, GEO)) == 1
    new = WEATHER.replace(*change)
    if change[1].startswith("    Gust"):
        new = new.replace("  reserved 7;", "  reserved 7; Gust gust = 4;")
    return consumer_findings(derive(READS), new, {"common/geo.proto": GEO.replace(*change)})


Change = Callable[[FileSpec, FieldSpec], object]


def _remove(spec: FileSpec, one: FieldSpec) -> None:
    for every in spec.messages.values():
        if one in every:
            every.remove(one)


def _rename(spec: FileSpec, one: FieldSpec) -> None:
    one.name = f"renamed{one.number}"


def _retype(spec: FileSpec, one: FieldSpec) -> None:
    one.type, one.default = ("sfixed64" if one.type != "sfixed64" else "sint32"), ""


def _relabel(spec: FileSpec, one: FieldSpec) -> None:
    if one.key:
        one.key, one.label = "", "repeated"
        one.type = "sfixed64"
        return
    one.label, one.oneof = ("optional" if one.label == "repeated" else "repeated"), ""


def _renumber(spec: FileSpec, one: FieldSpec) -> None:
    one.number += 100


def _join(spec: FileSpec, one: FieldSpec) -> None:
    one.oneof = "" if one.oneof else "fresh"
    one.label, one.key = "optional", ""


FIELD_CHANGES = {
    "remove": _remove,
    "rename": _rename,
    "retype": _retype,
    "relabel": _relabel,
    "renumber": _renumber,
    "join": _join,
}


@st.composite
def questions(draw: st.DrawFn) -> tuple[FileSpec, list[str], FileSpec, bool]:
    """A file, what is read of it, the same with one field of ``M`` changed, and whether that field is read."""
    spec = draw(files())
    names = [one.name for one in spec.messages["M"]]
    reads = draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    new = spec.copy()
    one = draw(st.sampled_from(new.messages["M"]))
    name = one.name
    FIELD_CHANGES[draw(st.sampled_from(sorted(FIELD_CHANGES)))](new, one)
    assume(is_schema(spec) and is_schema(new))
    # N may hold M, and then what reads N reads all of M
    through = any(one.type == "M" for one in spec.messages["N"]) and any(
        one.type == "N" and one.name in reads for one in spec.messages["M"]
    )
    return spec, reads, new, name in reads or through


@SETTINGS
@given(st.lists(questions(), min_size=40, max_size=40))
def test_derived_contracts_fire_on_what_is_read_and_on_nothing_else(
    asked: list[tuple[FileSpec, list[str], FileSpec, bool]],
) -> None:
    contracts = [FORMAT.project(spec.schema(), frozenset(reads)) for spec, reads, _, _ in asked]
    parsed = FORMAT.parse_all([SchemaText(text, {}, "contract") for text in contracts])
    for (spec, reads, new, read), contract in zip(asked, parsed, strict=True):
        assert not isinstance(contract, SchemaParseError)
        failing = [
            [one for one in FORMAT.can_read(contract, other.schema()) if "consumer" in RULES[one.rule].fails]
            for other in (spec, new)
        ]
        assert failing[0] == [], reads
        assert bool(failing[1]) == read, (reads, failing[1])


@pytest.mark.skipif("PRISM_FUZZ_SCHEMAS" not in os.environ, reason="many contracts, with PRISM_FUZZ_SCHEMAS")
@settings(SETTINGS, max_examples=300)
@given(st.lists(questions(), min_size=40, max_size=40))
def test_many_derived_contracts(asked: list[tuple[FileSpec, list[str], FileSpec, bool]]) -> None:
    test_derived_contracts_fire_on_what_is_read_and_on_nothing_else.hypothesis.inner_test(asked)
