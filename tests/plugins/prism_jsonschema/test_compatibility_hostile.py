"""Hostile schemas: an answer or a clear error, within bounds that are counted and not timed."""

from __future__ import annotations

import json
import os
import random
import tracemalloc
from typing import Any

import pytest

from prism_jsonschema.compatibility.format import JsonSchemaFormat
from prism_jsonschema.compatibility.names import matches
from prismlib.contracts.format import SchemaText
from prismlib.errors import ContractError, SchemaParseError, UnknownFieldError

FORMAT = JsonSchemaFormat()
FUZZ = int(os.environ.get("PRISM_FUZZ_SCHEMAS", "1500"))
STRINGS, NUMBERS = {"type": "string"}, {"type": "integer"}


def parsed(schema: Any, **references: str) -> Any:
    text = schema if isinstance(schema, str) else json.dumps(schema)
    return FORMAT.parse(SchemaText(text, references, "the schema"))


def defined(count: int, one: Any, last: Any) -> dict[str, Any]:
    """Definitions ``d0`` ... each made by ``one`` from a reference to the next."""
    definitions = {f"d{number}": one({"$ref": f"#/definitions/d{number + 1}"}, number) for number in range(count)}
    return {"definitions": {**definitions, f"d{count}": last}, "$ref": "#/definitions/d0"}


def nested(text: str, close: str, depth: int, inside: str = "{}") -> str:
    return text * depth + inside + close * depth


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "neither an object nor true or false"),
        ('{"type": "strin"}', "line 1, /type: type must be one of array, boolean"),
        ('{\n"properties": {"a":\n {"minLength": -1}}}', "line 3, /properties/a/minLength: minLength must be a whole"),
        ('{"maximum": 1e400}', "too large"),
        ('{"maximum": ' + "9" * 5000 + "}", "too many digits"),
        ('{"maximum": NaN}', "no number of JSON"),
        ('{\n"a": }', "line 2, column 6: not JSON"),
        ('{"$schema": "http://example.org/mine"}', "known are the drafts"),
        ('{"$ref": "#"}', "lead back to itself"),
        ('{"allOf": [{"anyOf": [{"$ref": "#"}]}]}', "lead back to itself"),
        ('{"not": {"$ref": "#"}}', "lead back to itself"),
        ('{"$ref": "http://127.0.0.1:1/x.json"}', "127.0.0.1:1/x.json' is in neither the schema nor its references"),
        ('{"$ref": "file:///etc/hostname"}', "hostname' is in neither"),
        ('{"$ref": "#/definitions/gone"}', "leads to nothing"),
        ('{"$ref": "#gone"}', "no anchor"),
        ('{"$ref": null}', "must be text"),
        ('{"properties": {"a": 1}}', "line 1, /properties/a: a schema is an object"),
        (nested('{"items":', "}", 50_000), "nested too deeply"),
        (nested('{"items":', "}", 150), "nested more than 100"),
        ('{"properties": {' + ",".join(f'"p{one}": {{}}' for one in range(70_000)) + "}}", "characters|subschemas"),
        ("{" + " " * (1 << 20) + "}", "characters"),
    ],
)
def test_what_is_no_schema_is_refused_in_a_sentence(text, message):
    with pytest.raises(SchemaParseError, match=message) as caught:
        parsed(text)
    assert str(caught.value).startswith("the schema: ")


def test_the_limits_are_told_apart_from_verdicts():
    wide = defined(40, lambda ref, _: {"anyOf": [{"allOf": [ref, {"minLength": 1}]}, {"allOf": [ref]}]}, STRINGS)
    narrow = json.loads(json.dumps(wide).replace("string", "integer"))
    with pytest.raises(ContractError, match=r"too large to be compared|too deeply"):
        FORMAT.can_read(reader=parsed(narrow), writer=parsed(wide))


@pytest.mark.parametrize(
    "one",
    [
        lambda ref, _: {"allOf": [ref, dict(ref)]},
        lambda ref, _: {"properties": {"a": ref, "b": dict(ref)}},
        lambda ref, number: {"properties": {"n": ref, "up": {"$ref": f"#/definitions/d{number // 2}"}}},
        lambda ref, _: {"type": ["object", "null"], "additionalProperties": ref},
    ],
)
def test_what_grows_exponentially_on_paper_is_walked_once(one):
    writer, reader = (defined(40, one, last) for last in (STRINGS, NUMBERS))
    assert {found.rule for found in FORMAT.can_read(reader=parsed(reader), writer=parsed(writer))} == {"JSN001"}
    assert FORMAT.can_read(reader=parsed(writer), writer=parsed(writer)) == []


def test_a_language_of_thirty_kinds_is_decided():
    """Each node contains any other: what a schema of an abstract syntax tree looks like."""

    def language(last: str) -> dict[str, Any]:
        any_of = [{"$ref": f"#/definitions/k{number}"} for number in range(30)]
        kinds = {
            f"k{number}": {
                "type": "object",
                "properties": {"k": {"const": number}, "inner": {"oneOf": any_of}, "x": {"type": last if number == 29 else "string"}},
                "required": ["k"],
            }
            for number in range(30)
        }  # fmt: skip
        return {"definitions": kinds, "oneOf": any_of}

    found = FORMAT.can_read(reader=parsed(language("integer")), writer=parsed(language("string")))
    assert [(one.rule, one.path) for one in found] == [("JSN001", "/oneOf/29/properties/x")]
    assert FORMAT.can_read(reader=parsed(language("string")), writer=parsed(language("string"))) == []


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "(a|a)*b", "a*a*a*a*a*a*a*b", r"(a)\1", "(?=a)a", r"\p{L}", "[", "a{1,99999999999}"]
)
def test_a_pattern_that_could_run_for_ever_or_means_different_things_is_not_run(pattern):
    assert matches(pattern, "a" * 5000) is None


def test_a_pattern_that_is_not_run_is_no_pass():
    writer = {"type": "object", "properties": {"aaa": STRINGS}, "additionalProperties": False}
    reader = {**writer, "patternProperties": {"(a+)+$": NUMBERS}}
    found = FORMAT.can_read(reader=parsed(reader), writer=parsed(writer))
    assert [(one.rule, one.path) for one in found] == [("JSN001", "/properties/aaa")]


REAL = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "properties": {
        "id": {"type": "string", "pattern": "^[A-Z]{2}"},
        "n": {"type": ["integer", "null"], "minimum": 0, "default": 1},
        "kind": {"enum": ["a", "b"]},
        "lines": {"type": "array", "items": {"$ref": "#/definitions/line"}, "minItems": 1},
        "event": {"oneOf": [{"$ref": "#/definitions/line"}, {"type": "null"}]},
    },
    "patternProperties": {"^x_": {"type": "number"}},
    "required": ["id"],
    "dependencies": {"n": ["kind"]},
    "if": {"required": ["n"]},
    "then": {"required": ["event"]},
    "definitions": {"line": {"type": "object", "properties": {"next": {"$ref": "#/definitions/line"}, "v": {"const": 1}}}},
}  # fmt: skip


def mutated(draw: random.Random) -> str:
    """The schema with pieces put into other places, or bytes of its text changed."""
    schema = json.loads(json.dumps(REAL))
    places: list[tuple[Any, Any]] = []

    def collect(value: Any) -> None:
        for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
            places.append((value, key))
            collect(value[key])

    collect(schema)
    for _ in range(draw.randint(1, 3)):
        (to, key), (source, other) = draw.sample(places, 2)
        try:
            if draw.random() < 0.9 and type(to[key]) is not type(source[other]):
                continue
            copied = json.loads(json.dumps(source[other]))
            to[key] = copied if draw.random() < 0.9 else draw.choice([None, -1, "", [], {}, True])
        except (IndexError, KeyError):
            continue
    text = json.dumps(schema)
    if draw.random() < 0.2:
        at = draw.randrange(len(text))
        text = text[:at] + draw.choice(['"', "{", "]", "\x00", "\ud800", "9" * 30, ""]) + text[at + 1 :]
    return text


def test_mutated_schemas_get_an_answer_or_a_clear_error():
    draw = random.Random(7)
    real = parsed(REAL)
    answered, refused = 0, []
    tracemalloc.start()
    for _ in range(FUZZ):
        text = mutated(draw)
        try:
            schema = parsed(text)
        except SchemaParseError as error:
            refused.append(str(error))
            continue
        answered += 1
        try:
            for reader, writer in ((schema, real), (real, schema)):
                for one in FORMAT.can_read(reader=reader, writer=writer):
                    assert one.message
                    FORMAT.line_of(text, one.path)
                FORMAT.changes(reader, writer)
            assert FORMAT.can_read(reader=schema, writer=schema) == []
            contract = FORMAT.project(schema, frozenset({"lines.v"} if draw.random() < 0.5 else {"*"}))
            kept = FORMAT.can_read(reader=parsed(contract), writer=schema)
            assert not [one for one in kept if "consumer" in FORMAT.rules[one.rule].fails]
        except (UnknownFieldError, ContractError) as error:
            refused.append(str(error))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert answered > FUZZ // 4
    assert all(refused)
    assert peak < 50_000_000
