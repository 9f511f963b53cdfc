"""``.proto`` text: errors with their line, hostile text, and the cache."""

import base64
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2

from prism_protobuf import compiled, protoc
from prism_protobuf.protoc import compile_all, compile_proto
from prism_protobuf.schema import ProtoSchema
from prismlib.contracts.format import SchemaText
from prismlib.errors import ContractError, SchemaParseError

GOOD = 'syntax = "proto3"; package a; message M { int32 a = 1; }'


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PRISM_CACHE", str(tmp_path))
    return tmp_path / "protobuf.sqlite"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('syntax = "proto3";\nmessage M {\n  int32 a 1;\n}', r"subject s: line 3, column 11: Missing field number"),
        ('syntax = "proto3";\nmessage M { Nothing a = 1; }', r'line 2, column 13: "Nothing" is not defined'),
        ('syntax = "proto3"; message M { int32 a = 1; int32 b = 1; }', "has already been used"),
        ('syntax = "proto3";\nimport "geo.proto";\nmessage M { Geo a = 1; }', "geo.proto: File not found.*references"),
        ('syntax = "proto9";', 'Unrecognized syntax identifier "proto9"'),
        ("\0\xff", "line 1"),
        ("\ud800", "cannot be handed to protoc"),
        ("message A {" * 5000, "subject s"),
        ('syntax = "proto3";' + "\n" * (5 << 20), "more than 4194304 characters"),
    ],
)
def test_text_that_is_no_schema_says_where(cache: Path, text: str, message: str) -> None:
    with pytest.raises(SchemaParseError, match=f"(?s){message}"):
        compile_proto(text, {}, "subject s")
    assert not cache.exists()


def test_an_error_in_an_import_names_it(cache: Path) -> None:
    text = 'syntax = "proto3"; import "x/geo.proto";'
    with pytest.raises(SchemaParseError, match=r"subject s: x/geo\.proto: line 2, column 1"):
        compile_proto(text, {"x/geo.proto": 'syntax = "proto3";\n?'}, "subject s")
    with pytest.raises(SchemaParseError, match="cannot be handed to protoc"):
        compile_proto(text, {"x": "", "x/geo.proto": ""}, "subject s")


@pytest.mark.parametrize("name", ["/etc/x", "../x.proto", "a//b", "", "a\\b", "C:x", "a\0b", "./a", protoc.MAIN_FILE])
def test_a_reference_cannot_write_elsewhere(cache: Path, name: str) -> None:
    with pytest.raises(SchemaParseError, match="is no import path"):
        compile_proto(GOOD, {name: GOOD}, "subject s")


def test_protobufs_own_files_are_there_and_cannot_be_replaced(cache: Path) -> None:
    text = 'syntax = "proto3"; import "google/protobuf/timestamp.proto"; message M { google.protobuf.Timestamp t = 1; }'
    schema = ProtoSchema.parse(text, {"google/protobuf/timestamp.proto": "broken"}, "s")
    assert schema.find(None)[0].fields[0].message_type.fields_by_name["nanos"].number == 2


def described(text: str, name: str, **references: str) -> str:
    """As Confluent's Python client registers it."""
    file = descriptor_pb2.FileDescriptorSet.FromString(compile_proto(text, references, "s")).file[-1]
    file.name = name
    return base64.b64encode(file.SerializeToString()).decode()


@pytest.mark.parametrize("which", ["main", "imported", "main and imported"])
def test_a_descriptor_in_base64_is_as_good_as_text(cache: Path, which: str) -> None:
    geo = 'syntax = "proto3"; package geo; message Place { string code = 1; }'
    text = 'syntax = "proto3"; import "geo.proto"; import "google/protobuf/timestamp.proto";'
    text += " message M { geo.Place place = 1; google.protobuf.Timestamp at = 2; }"
    if "main" in which:
        text = described(text, "somewhere/else.proto", **{"geo.proto": geo})
    if "imported" in which:
        geo = described(geo, "geo.proto")
    schema = ProtoSchema.parse(text, {"geo.proto": geo}, "s")
    place, at = schema.find(None)[0].fields
    assert [field.name for field in place.message_type.fields] == ["code"]
    assert at.message_type.full_name == "google.protobuf.Timestamp"


def test_a_descriptor_that_does_not_fit_says_so(cache: Path) -> None:
    with pytest.raises(
        SchemaParseError, match=r"subject s: geo\.proto: .*File not found.*list what the schema imports"
    ):
        geo = 'syntax = "proto3"; message Place { string code = 1; }'
        text = 'syntax = "proto3"; import "geo.proto"; message M { Place place = 1; }'
        compile_proto(described(text, "s.proto", **{"geo.proto": geo}), {}, "subject s")
    for text in ("abcd", "CgVhLnByb3Rv="):
        with pytest.raises(SchemaParseError, match="subject s: line 1"):
            compile_proto(text, {}, "subject s")


def runs_of(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many schemas each process is given, from now on."""
    runs: list[int] = []
    real = protoc._child

    def child(root: Path, lines: list[str]) -> tuple[list[int], int | None]:
        runs.append(len(lines))
        return real(root, lines)

    monkeypatch.setattr(protoc, "_child", child)
    return runs


def test_descriptors_are_cached_by_content_and_checked(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = compile_proto(GOOD, {}, "s")
    runs = runs_of(monkeypatch)
    assert compile_proto(GOOD, {}, "s") == first
    assert not runs
    with closing(sqlite3.connect(cache)) as kept, kept:
        kept.execute("UPDATE compiled SET data = substr(data, 1, length(data) - 1)")
    assert compile_proto(GOOD, {}, "s") == first
    assert len(runs) == 1
    assert compile_proto(GOOD, {}, "s") == first
    assert len(runs) == 1
    compile_proto(GOOD, {"x.proto": GOOD}, "s")
    compile_proto(GOOD + " ", {}, "s")
    assert len(runs) == 3
    with closing(sqlite3.connect(cache)) as kept:
        assert kept.execute("SELECT count(*) FROM compiled").fetchone() == (3,)


def test_a_cache_that_is_no_database_is_replaced(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.write_bytes(b"something else, and long enough not to be taken for an empty file" * 20)
    first = compile_proto(GOOD, {}, "s")
    runs = runs_of(monkeypatch)
    assert compile_proto(GOOD, {}, "s") == first
    assert compile_proto(GOOD, {}, "s") == first
    assert len(runs) <= 1


def test_the_cache_is_bounded(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "MOST_BYTES", 100_000)
    for number in range(20):
        compiled.store({b"%d" % number: bytes(10_000)})
    assert cache.stat().st_size < 150_000
    kept = compiled.load([b"%d" % number for number in range(20)])
    assert b"19" in kept
    assert b"0" not in kept


def test_a_cache_that_cannot_be_written_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PRISM_CACHE", str(tmp_path / "file"))
    assert compile_proto(GOOD, {}, "s")
    monkeypatch.delenv("PRISM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert compile_proto(GOOD, {}, "s")
    assert (tmp_path / "xdg" / "prism" / "protobuf.sqlite").is_file()


def test_many_are_compiled_by_few_processes_and_stay_aligned(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = runs_of(monkeypatch)
    texts = [SchemaText(GOOD.replace("a = 1", f"a = {number}"), {}, f"s{number}") for number in range(1, 700)]
    texts[5] = SchemaText("broken", {}, "the broken one")
    texts[6] = texts[7]
    texts[8] = SchemaText('import "registered_schema.proto"; import "x.proto";' + GOOD, {}, "the curious one")
    results = compile_all(texts)
    assert sorted(runs) == [198, 500]
    assert [number for number, one in enumerate(results) if isinstance(one, SchemaParseError)] == [5, 8]
    assert "the broken one: line 1" in str(results[5])
    for number in (1, 7, 698):
        found = results[number - 1]
        assert isinstance(found, bytes)
        (file,) = descriptor_pb2.FileDescriptorSet.FromString(found).file
        assert (file.name, file.message_type[0].field[0].number) == (protoc.MAIN_FILE, 8 if number == 7 else number)


CHILD = """#!{python}
import json, os, sys, time
sys.stdout.write("ready\\n")
for line in sys.stdin:
    sys.stdout.flush()
    printed, *arguments = json.loads(line)
    text = open(os.path.join(arguments[0][2:], "registered_schema.proto")).read()
    if "crash" in text:
        os.kill(os.getpid(), 11)
    if "exit" in text:
        os._exit(3)
    if "hang" in text:
        time.sleep(60)
    out = next(one for one in arguments if one.startswith("--descriptor_set_out="))
    open(out.partition("=")[2], "w").write(text)
    print(0)
"""


def test_a_protoc_that_crashes_or_hangs_costs_the_schema_at_fault_alone(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text(CHILD.replace("{python}", sys.executable))
    python.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(python))
    monkeypatch.setattr(protoc, "SECONDS", 0.5)
    words = ["a", "crash", "b", "crash too", "exit", "hang", "c"]
    results = compile_all([SchemaText(word, {}, f"schema {word!r}") for word in words])
    assert [one.decode() if isinstance(one, bytes) else str(one) for one in results] == [
        "a",
        "schema 'crash': protoc crashed on this schema (signal 11); simplify it",
        "b",
        "schema 'crash too': protoc crashed on this schema (signal 11); simplify it",
        "schema 'exit': protoc ended on this schema without a word (exit code 3); simplify it",
        "schema 'hang': protoc did not finish within 0 seconds; simplify the schema",
        "c",
    ]


def test_a_protoc_that_does_not_start_is_no_error_of_the_schema(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    monkeypatch.setattr("sys.executable", str(python))
    with pytest.raises(ContractError, match="cannot be started"):
        compile_proto(GOOD, {}, "s")
    python.write_text("#!/bin/sh\necho no module named grpc_tools >&2\nexit 1\n")
    python.chmod(0o755)
    with pytest.raises(ContractError, match="protoc failed: no module named grpc_tools") as caught:
        compile_proto(GOOD, {}, "s")
    assert not isinstance(caught.value, SchemaParseError)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    protoc._identity.cache_clear()
    with pytest.raises(ContractError, match=r"install prism-pipeline\[protobuf\]"):
        compile_proto(GOOD, {}, "s")
