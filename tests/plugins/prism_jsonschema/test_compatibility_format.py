"""The format besides its rules: references, drafts, changes, lines, and what importing it costs."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from prism_jsonschema.compatibility.format import JsonSchemaFormat
from prismlib.contracts.format import Change, SchemaText
from prismlib.contracts.formats import load_format
from prismlib.errors import SchemaParseError

FORMAT = JsonSchemaFormat()
TEXT, NUMBER = {"type": "string"}, {"type": "integer"}


def parsed(schema: Any, **references: Any) -> Any:
    named = {name: json.dumps(one) for name, one in references.items()}
    return FORMAT.parse(SchemaText(json.dumps(schema), named, "the schema"))


def found(writer: Any, reader: Any) -> list[tuple[str, str]]:
    return [(one.rule, one.path) for one in FORMAT.can_read(reader=reader, writer=writer)]


def test_it_is_found_by_its_entry_point():
    assert isinstance(load_format("jsonschema"), JsonSchemaFormat)


def test_importing_it_imports_no_validator_and_no_framework():
    code = "import sys, prism_jsonschema.compatibility.format; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"jsonschema", "jsonschema_rs", "referencing", "pydantic", "pluggy", "orjson", "click", "rich"}


@pytest.mark.parametrize(
    ("schema", "references"),
    [
        ({"$ref": "#/definitions/a~1b", "definitions": {"a/b": NUMBER}}, {}),
        ({"$ref": "#/definitions/a%20b", "definitions": {"a b": NUMBER}}, {}),
        ({"$ref": "#/components/schemas/x", "components": {"schemas": {"x": NUMBER}}}, {}),
        ({"$ref": "#x", "definitions": {"any": {"$id": "#x", **NUMBER}}}, {}),
        ({"allOf": [{"$ref": "x.json"}], "$id": "http://a.example/root.json", "definitions": {"x": {"$id": "x.json", **NUMBER}}}, {}),
        ({"allOf": [{"$ref": "x.json"}], "$id": "http://a.example/root.json"}, {"x.json": NUMBER}),
        ({"allOf": [{"$ref": "x.json"}], "$id": "http://a.example/root.json"}, {"http://a.example/x.json": NUMBER}),
        ({"allOf": [{"$ref": "http://b.example/y"}]}, {"named.json": {"$id": "http://b.example/y", **NUMBER}}),
        ({"$ref": "x.json#/definitions/n"}, {"x.json": {"definitions": {"n": {"$ref": "y.json"}}}, "y.json": NUMBER}),
        ({"$ref": "x.json"}, {"x.json": {"$ref": "#/definitions/n", "definitions": {"n": NUMBER}}}),
        (
            {"$schema": "https://json-schema.org/draft/2020-12/schema", "$ref": "#n", "$defs": {"n": {"$anchor": "n", **NUMBER}}},
            {},
        ),
        ({"$schema": "http://json-schema.org/draft-04/schema#", "id": "http://a.example/r", "$ref": "#/definitions/n", "definitions": {"n": NUMBER}}, {}),
    ],
)  # fmt: skip
def test_references_lead_to_what_they_name(schema, references):
    schema = parsed(schema, **references)
    assert found(parsed(NUMBER), schema) == []
    assert found(parsed(TEXT), schema) == [("JSN001", "/")]


def test_what_stands_beside_a_reference_counts_from_2019_on():
    old = {"$ref": "#/definitions/x", "maxLength": 3, "definitions": {"x": TEXT}}
    new = {"$schema": "https://json-schema.org/draft/2019-09/schema", **old}
    assert found(parsed(TEXT), parsed(old)) == []
    assert found(parsed(TEXT), parsed(new)) == [("JSN012", "/")]


def test_a_keyword_of_a_later_draft_says_nothing():
    draft_4 = {"$schema": "http://json-schema.org/draft-04/schema#"}
    assert found(parsed(TEXT), parsed({**draft_4, "const": 1, "if": {}, "then": False})) == []
    assert found(parsed(TEXT), parsed({"const": 1})) != []


def test_an_import_that_is_broken_is_named():
    with pytest.raises(SchemaParseError, match=r"^the schema: the imported 'x.json': line 1, /type: type must be"):
        parsed({"$ref": "x.json"}, **{"x.json": {"type": "text"}})


OLD = {
    "type": "object",
    "properties": {
        "id": TEXT,
        "gone": NUMBER,
        "when": {"type": "string", "format": "date-time"},
        "lines": {"type": "array", "items": {"$ref": "#/definitions/line"}},
        "next": {"$ref": "#"},
    },
    "required": ["id"],
    "definitions": {"line": {"type": "object", "properties": {"n": NUMBER, "k": {"enum": ["a"]}}}},
}
NEW = {
    "type": "object",
    "properties": {
        "new": {"type": ["string", "null"], "default": "-"},
        "id": TEXT,
        "when": {"type": "string", "format": "date", "maxLength": 10},
        "lines": {"type": "array", "items": {"$ref": "#/definitions/line"}},
        "next": {"$ref": "#"},
    },
    "additionalProperties": False,
    "definitions": {"line": {"type": "object", "properties": {"n": {"type": "number", "minimum": 0}, "k": {"enum": ["a", "b"]}}}},
}  # fmt: skip


def test_changes_are_told_in_the_order_of_the_newer_version():
    assert FORMAT.changes(parsed(OLD), parsed(NEW)) == [
        Change("added", "/properties/new", "", "null or string, optional"),
        Change("changed", "/properties/id", "string", "string, optional"),
        Change("removed", "/properties/gone", "integer, optional", ""),
        Change("changed", "/properties/when", "string (date-time), optional", "string (date), optional"),
        Change("added", "/properties/when/maxLength", "", "10"),
        Change("changed", "/properties/lines/items/properties/n", "integer, optional", "number, minimum 0, optional"),
        Change("changed", "/properties/lines/items/properties/k", 'one of "a", optional', 'one of "a", "b", optional'),
        Change("added", "/additionalProperties", "", "nothing"),
    ]
    assert FORMAT.changes(parsed(NEW), parsed(NEW)) == []


TEXT_OF = """{
  "properties": {
    "a": {"$ref": "#/definitions/x"},
    "list": {
      "items": {
        "anyOf": [
          {"type": "null"},
          {"properties": {
            "b": {}
          }}
        ]
      }
    }
  },
  "required": [
    "undeclared"
  ],
  "definitions": {
    "x": {
      "allOf": [{"properties": {
        "in/side": {}
      }}]
    }
  }
}"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("/", 1),
        ("/properties/a", 3),
        ("/properties/list/items/properties/b", 9),
        ("/properties/list/items/anyOf/1", 8),
        ("/properties/a/properties/in~1side", 21),
        ("/properties/undeclared", 16),
        ("/properties/gone", None),
        ("/additionalProperties", None),
    ],
)
def test_a_path_is_found_in_the_text(path, line):
    assert FORMAT.line_of(TEXT_OF, path) == line


@pytest.mark.parametrize("text", ['{"properties": {"line\ud800": {}}}', '{"enum": ["\\udfff"]}'])
def test_half_of_a_surrogate_pair_is_no_text(text):
    with pytest.raises(SchemaParseError, match="half of a surrogate pair"):
        FORMAT.parse(SchemaText(text, {}, "the schema"))


def test_a_whole_surrogate_pair_is_text():
    whole = FORMAT.parse(SchemaText('{"enum": ["\\ud83d\\ude00", "\u00e9"]}', {}, "the schema"))
    assert found(whole, whole) == []
