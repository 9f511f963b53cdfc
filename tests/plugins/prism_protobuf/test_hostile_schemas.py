"""Schemas that nobody would write, through every question: an answer or one clear error, in bounded time and memory.

``PRISM_FUZZ_SCHEMAS=10000`` sends that many through; the suite a good sample.
"""

from __future__ import annotations

import os
import random
import re
import resource
from collections.abc import Iterator

import pytest

from prism_protobuf import protoc
from prism_protobuf.compatibility.format import ProtobufFormat
from prism_protobuf.compatibility.model import SCALARS
from prismlib.contracts.format import SchemaText
from prismlib.errors import ContractError, SchemaParseError

FORMAT = ProtobufFormat()
COUNT = int(os.environ.get("PRISM_FUZZ_SCHEMAS", "1200"))
HEAD = 'syntax = "proto3"; '
REAL = """syntax = "proto3";
package airtraffic;
import "google/protobuf/timestamp.proto";
message Weather {
  reserved 9, 11 to 14;
  string origin = 1;
  google.protobuf.Timestamp time_hour = 2;
  optional double temp = 3;
  oneof wind { double speed = 4; Gust gust = 5; }
  map<string, Reading> readings = 6;
  repeated Sky sky = 7;
  enum Sky { CLEAR = 0; CLOUDY = 1; reserved 5; }
  message Gust { sint32 speed = 1; Weather before = 2; }
}
message Reading { int64 value = 1; bytes raw = 2; }
"""
WORDS = [
    "message", "enum", "oneof", "map<string, int32>", "repeated", "optional", "required", "group", "reserved", "extend",
    "syntax", "import", "package", "{", "}", ";", "=", "0", "536870911", "-1", "[default = 1]", '"\\xff"', "Weather",
    ".", "a.b", "//", "/*", "\0", "\ufeff", "\ud800", "service", "rpc", "option", 'edition = "2023"', "1 to max", ",",
]  # fmt: skip


def mutated(count: int) -> Iterator[str]:
    """One half with changes of characters, the other with words in place of others of their kind: many of those parse."""
    draw = random.Random(7)
    for number in range(count):
        yield _characters(draw) if number % 2 else _words(draw)


def _words(draw: random.Random) -> str:
    words = re.findall(r"\w+|\s+|[^\w\s]", REAL)
    for _ in range(draw.randint(1, 3)):
        at = draw.randrange(len(words))
        words[at] = draw.choice([one for one in (*words, *SCALARS.values()) if _kind(one) == _kind(words[at])])
    return "".join(words)


def _kind(word: str) -> str:
    return (
        "number" if word.isdigit() else "type" if word in SCALARS.values() else "name" if word.isidentifier() else word
    )


def _characters(draw: random.Random) -> str:
    text = list(REAL)
    for _ in range(draw.randint(1, 6)):
        at = draw.randrange(len(text) + 1)
        match draw.randrange(4):
            case 0:
                text[at : at + draw.randint(1, 30)] = []
            case 1:
                text[at:at] = [f" {draw.choice(WORDS)} "]
            case 2:
                start = draw.randrange(len(text) + 1)
                text[at:at] = text[start : start + draw.randint(1, 60)]
            case _:
                text[at : at + 1] = [chr(draw.randrange(1, 0x250))]
    return "".join(text)


def chain(count: int, kind: str) -> str:
    """Each message holds the next, and the last the first."""
    parts = [f"message M{n} {{ M{(n + 1) % count} next = 1; {kind} v = 2; }}" for n in range(count)]
    return HEAD + " ".join(parts)


GIANTS = {
    "nesting": HEAD + "message A {" * 5000,
    "closed nesting": HEAD + "message A {" * 90 + "}" * 90,
    "many fields": HEAD + "message M {" + "".join(f"int32 f{n} = {n};" for n in range(1, 19000)) + "}",
    "many messages": HEAD + "".join(f"message M{n} {{ int32 a = 1; }}" for n in range(20000)),
    "a long chain in a circle": chain(20000, "int32"),
    "many reserved": HEAD
    + "message M {"
    + "".join(f"reserved {n};" for n in range(20000, 100000, 2))
    + "int32 a = 1; }",
    "a long enum": HEAD + "enum E {" + "".join(f"V{n} = {n};" for n in range(60000)) + "} message M { E e = 1; }",
    "everybody holds everybody": HEAD
    + "".join(f"message M{n} {{" + "".join(f"M{m} f{m} = {m + 1};" for m in range(150)) + "}" for n in range(150)),
    "five megabytes": HEAD + "//" + "x" * (5 << 20),
    "many braces": "{" * 1_000_000,
    "many options": HEAD + "message M { int32 a = 1 [" + "deprecated = true," * 50_000 + "]; }",
    "long names": HEAD + "message " + "M" * 1_000_000 + " { int32 a = 1; }",
    "imports itself": HEAD + 'import "registered_schema.proto"; message M {}',
    "no text": "\0\xff\ud800",
    "base64 of nothing": "AAAA" * 1000,
}


def ask_everything(one: object, other: object, text: str) -> None:
    for reader, writer in ((one, other), (other, one)):
        try:
            found = list(FORMAT.can_read(reader, writer))  # type: ignore[arg-type]  # parsed
            assert all(difference.message and difference.path.startswith("/") for difference in found)
            for difference in found[:3]:
                FORMAT.line_of(text, difference.path)
            list(FORMAT.changes(reader, writer))  # type: ignore[arg-type]  # parsed
        except ContractError as error:
            assert "the schemas" in str(error)  # noqa: PT017  # an answer is as good


def test_mutated_schemas() -> None:
    texts = [SchemaText(text, {}, f"schema {number}") for number, text in enumerate(mutated(COUNT))]
    real = FORMAT.parse(SchemaText(REAL, {}, "real"))
    parsed = FORMAT.parse_all(texts)
    contracts = []
    for text, one in zip(texts, parsed, strict=True):
        if isinstance(one, SchemaParseError):
            assert str(one).startswith(text.where)
            continue
        ask_everything(one, real, text.text)
        if one.messages:
            contracts.append(SchemaText(FORMAT.project(one, frozenset({"*"})), {}, f"contract {text.where}"))
    assert len(contracts) > COUNT // 10
    for contract in FORMAT.parse_all(contracts):
        assert not isinstance(contract, SchemaParseError), contract


@pytest.mark.parametrize("name", GIANTS)
def test_giants(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protoc, "SECONDS", 20.0)
    text = GIANTS[name]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (one,) = FORMAT.parse_all([SchemaText(text, {}, name)])
    if isinstance(one, SchemaParseError):
        assert len(str(one)) < 2000
        assert str(one).startswith(name)
        return
    ask_everything(one, one, text)
    ask_everything(one, FORMAT.parse(SchemaText(REAL, {}, "real")), text)
    FORMAT.project(one, frozenset({"*"}))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1_000_000  # kilobytes


def test_circles_that_multiply_are_no_pass_and_do_not_last() -> None:
    """Circles of lengths that share no factor make as many pairs as their product."""
    lengths = (1009, 1013)
    one, other = (FORMAT.parse(SchemaText(chain(length, "int32"), {}, "circle")) for length in lengths)
    with pytest.raises(ContractError, match=r"too large to be compared|more than can be listed"):
        FORMAT.can_read(one, other)


def test_two_chains_that_differ_at_the_very_end() -> None:
    depth = 3000
    parts = [f"message M{n} {{ M{n + 1} next = 1; }}" for n in range(depth)]
    texts = [HEAD + " ".join(parts) + f"message M{depth} {{ {kind} v = 1; }}" for kind in ("int32", "string")]
    one, other = (FORMAT.parse(SchemaText(text, {}, "chain")) for text in texts)
    (found,) = FORMAT.can_read(one, other)
    assert found.path.endswith("/next/v")
    assert found.field.count(".") == depth
