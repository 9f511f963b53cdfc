"""The format as the contract side uses it: parsing many, modes, changes, lines."""

from __future__ import annotations

import base64
import subprocess
import sys

import pytest
from google.protobuf import descriptor_pb2

from prism_protobuf.compatibility.format import ProtobufFormat
from prism_protobuf.protoc import compile_proto
from prismlib.contracts import check_compatibility
from prismlib.contracts.format import Change, SchemaText
from prismlib.contracts.formats import load_format
from prismlib.errors import ContractError, SchemaParseError

FORMAT = ProtobufFormat()
HEAD = 'syntax = "proto3";\npackage p;\n'
ORDER = """syntax = "proto3";
package shop.v1;
// message X { int32 z = 1; }
import "common.proto";
message Order {
  string id = 1;
  repeated Line lines = 2;   /* ; { */
  oneof pay {
    string card = 3 [deprecated = true, json_name = "c{a;rd"];
    Cash cash = 4;
  }
  map<string, shop.v1.Order.Tag> tags = 5;
  message Tag { int32 weight = 1; }
  enum Status { option deprecated = true; NEW = 0;
    DONE = 1; }
  Status status = 6;
  common.Place place = 7;
  reserved 9;
}
message Line {
  string sku = 1;
  int32 qty = 2;
}
message Cash {}
"""
COMMON = 'syntax = "proto3"; package common; message Place { string code = 1; }'


def text(body: str, **references: str) -> SchemaText:
    return SchemaText(body, {f"{name}.proto": one for name, one in references.items()}, "the schema")


def test_it_is_found_by_its_name() -> None:
    assert isinstance(load_format("protobuf"), ProtobufFormat)


def test_parse_errors_stay_where_they_belong() -> None:
    parsed = FORMAT.parse_all([text(HEAD + "message M {}"), text(HEAD + "message M { int32 a 1; }"), text("%")])
    assert not isinstance(parsed[0], SchemaParseError)
    assert str(parsed[1]) == "the schema: line 3, column 21: Missing field number"
    assert "the schema: line 1, column 1" in str(parsed[2])
    with pytest.raises(SchemaParseError, match=r"nothing\.proto: File not found"):
        FORMAT.parse(text(HEAD + 'import "nothing.proto";'))


def test_a_descriptor_in_base64_compares_like_its_text() -> None:
    compiled = descriptor_pb2.FileDescriptorSet.FromString(compile_proto(ORDER, {"common.proto": COMMON}, "s")).file[-1]
    described = base64.b64encode(compiled.SerializeToString()).decode()
    one, other = FORMAT.parse_all([text(ORDER, common=COMMON), text(described, common=COMMON)])
    assert not isinstance(one, SchemaParseError)
    assert not isinstance(other, SchemaParseError)
    assert FORMAT.can_read(one, other) == FORMAT.can_read(other, one) == []
    assert FORMAT.line_of(described, "/Order/id") is None


def test_an_edition_that_is_not_known_is_no_guess() -> None:
    with pytest.raises(SchemaParseError, match="edition"):
        FORMAT.parse(text('edition = "2099"; message M {}'))


def breaks(mode: str, old: str, new: str, profile: str = "wire") -> set[tuple[str, str | None]]:
    verdict = check_compatibility(format="protobuf", mode=mode, new=HEAD + new, old=[HEAD + old], profile=profile)
    return {(one.rule, one.direction) for one in verdict.findings if one.fails}


def test_deletions_need_reserved_whoever_reads_and_additions_do_not() -> None:
    less, more = "message M { int32 a = 1; }", "message M { int32 a = 1; int32 b = 2; }"
    reserved = "message M { int32 a = 1; reserved 2; }"
    assert breaks("FULL", less, more) == set()
    assert breaks("FULL", more, reserved) == set()
    assert breaks("BACKWARD", more, less) == {("PRO024", "new reads old")}
    assert breaks("FORWARD", more, less) == {("PRO024", "old reads new")}
    assert breaks("BACKWARD", reserved, more) == {("PRO025", "new reads old")}
    assert breaks("FORWARD", reserved, more) == {("PRO025", "old reads new")}
    enum = "message M {{ E e = 1; }} enum E {{ A = 0; {} }}"
    assert breaks("FULL", enum.format(""), enum.format("B = 1;")) == set()
    assert {rule for rule, _ in breaks("BACKWARD", enum.format("B = 1;"), enum.format(""))} == {"PRO035"}
    assert breaks("FULL", enum.format("B = 1;"), enum.format("reserved 1;")) == set()


def test_a_message_added_breaks_forward_and_no_other_way() -> None:
    one, two = "message M { int32 a = 1; }", "message M { int32 a = 1; } message N { int32 a = 1; }"
    assert breaks("BACKWARD", one, two, "confluent") == set()
    assert breaks("FORWARD", one, two, "confluent") == {("PRO002", "old reads new")}


def test_what_it_finds_is_the_same_each_time() -> None:
    one, other = FORMAT.parse_all([text(ORDER, common=COMMON), text(HEAD + "message Order { int32 id = 1; }")])
    found = [FORMAT.can_read(one, other) for _ in range(3)]  # type: ignore[arg-type]  # both parse
    assert found[0] == found[1] == found[2] != []


def test_changes_are_those_that_people_made() -> None:
    new = ORDER
    for old_part, new_part in (
        ("string id = 1", "bytes ident = 1"),
        ("int32 qty = 2", "optional int64 qty = 3; reserved 2"),
        ('    string card = 3 [deprecated = true, json_name = "c{a;rd"];\n', ""),
        ("  map<string", "  string card = 3;\n  map<string"),
        ("DONE = 1;", "OVER = 1; LOST = 2;"),
        ("message Cash {}", "message Cash {} message New { int32 a = 1; }"),
        ("  reserved 9;\n", ""),
        ("  common.Place place = 7;\n", ""),
        ('import "common.proto";\n', ""),
        ('syntax = "proto3";\npackage shop.v1', 'syntax = "proto3";\npackage shop.v2'),
        ("shop.v1.Order.Tag", "Tag"),
    ):
        assert new.count(old_part) == 1, old_part
        new = new.replace(old_part, new_part)
    assert FORMAT.changes(FORMAT.parse(text(ORDER, common=COMMON)), FORMAT.parse(text(new))) == [
        Change("changed", "/", "package shop.v1", "package shop.v2"),
        Change("added", "/New", "", "message New"),
        Change("renamed", "/Order/ident", "id", "ident"),
        Change("changed", "/Order/ident", "string", "bytes"),
        Change("moved", "/Order/card", "oneof pay", "no oneof"),
        Change("removed", "/Order/place", "common.Place place = 7", ""),
        Change("changed", "/Order", "reserved 9", ""),
        Change("renamed", "/Order/status/OVER", "DONE", "OVER"),
        Change("added", "/Order/status/LOST", "", "LOST = 2"),
        Change("removed", "/Order/lines/qty", "int32 qty = 2", ""),
        Change("added", "/Order/lines/qty", "", "optional int64 qty = 3"),
        Change("changed", "/Order/lines", "", "reserved 2"),
    ]
    same = FORMAT.parse(text(ORDER, common=COMMON))
    assert FORMAT.changes(same, same) == []


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("/", 2),
        ("/Order", 5),
        ("/Order/id", 6),
        ("/Order/lines", 7),
        ("/Order/lines/sku", 21),
        ("/Order/pay", 8),
        ("/Order/card", 9),
        ("/Order/cash", 10),
        ("/Order/tags/weight", 13),
        ("/Order/Tag/weight", 13),
        ("/Order/status/NEW", 14),
        ("/Order/status/DONE", 15),
        ("/Line/qty", 22),
        ("/Order/nothing", None),
        ("/Order/lines/nothing", None),
        ("/Order/id/nothing", None),
        ("/Order/place", 17),
        ("/Order/place/code", None),
        ("/X", None),
    ],
)
def test_lines(path: str, line: int | None) -> None:
    assert FORMAT.line_of(ORDER, path) == line


def test_lines_of_groups_and_of_text_that_is_no_schema() -> None:
    group = 'syntax = "proto2";\nmessage M {\n  optional group G = 1 {\n    optional int32 a = 2;\n  }\n}\n'
    assert FORMAT.line_of(group, "/M/g") == 3
    assert FORMAT.line_of(group, "/M/g/a") == 4
    for broken in ("", "{", "}", "}}}} message M", "message", "= ;", 'message M { "', "/*", "enum {", "oneof x {"):
        assert FORMAT.line_of(broken, "/M/a/b") is None


def test_every_finding_of_a_reader_has_its_line() -> None:
    """Paths and lines are made apart; they have to agree."""
    new = ORDER.replace("string sku", "sint32 sku").replace("int32 weight", "string weight").replace("NEW", "FRESH")
    found = FORMAT.can_read(FORMAT.parse(text(new, common=COMMON)), FORMAT.parse(text(ORDER, common=COMMON)))
    lines = {one.path: FORMAT.line_of(new, one.path) for one in found}
    assert lines == {"/Order/lines/sku": 21, "/Order/tags/weight": 13, "/Order/status/FRESH": 14}


def test_differences_beyond_measure_are_no_pass() -> None:
    parts = (
        " ".join(f"message M{n} {{ M{n + 1} next_one = 1; KIND v = 2; }}" for n in range(2500)) + " message M2500 {}"
    )
    one, other = FORMAT.parse_all([text(HEAD + parts.replace("KIND", kind)) for kind in ("int32", "string")])
    with pytest.raises(ContractError, match="more than can be listed"):
        FORMAT.can_read(one, other)  # type: ignore[arg-type]  # both parse
    with pytest.raises(ContractError, match="more than can be listed"):
        FORMAT.changes(one, other)  # type: ignore[arg-type]  # both parse


def test_the_module_imports_no_more_than_it_needs() -> None:
    code = "import sys, prism_protobuf.compatibility.format\n"
    code += (
        "print(*sorted(set(sys.modules) & {'pydantic', 'pluggy', 'importlib.metadata', 'rich', 'click', 'grpc_tools',"
    )
    code += " 'prism_protobuf.compatibility.contract', 'concurrent.futures', 'google.protobuf.descriptor_pool'}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= {"google.protobuf.descriptor_pool"}
