"""Schema texts: what is refused, and the fine print of what is accepted."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from prism_avro.parsing import parse
from prism_avro.projection import WHOLE, project
from prism_avro.schema import Array, Primitive, Record
from prismlib.errors import SchemaParseError


def fields(*some: Any) -> dict[str, Any]:
    return {"type": "record", "name": "R", "fields": list(some)}


F = {"type": "fixed", "name": "F", "size": 2}


@pytest.mark.parametrize(
    "schema",
    [
        "{",
        "",
        "NaN",
        "null",
        "3",
        "{}",
        '{"type": "nothing"}',
        '{"type": "record"}',
        '{"type": "record", "name": "R", "fields": 5}',
        '{"type": "record", "name": 5, "fields": []}',
        '{"type": "record", "name": "R", "fields": [5]}',
        '{"type": "array"}',
        '{"type": {"type": {}}}',
        json.dumps(fields({"name": "a", "type": "Missing"})),
        json.dumps(fields({"name": "a", "type": "int"}, {"name": "a", "type": "int"})),
        json.dumps(fields({"name": "a", "type": "int", "aliases": "b"})),
        json.dumps(fields({"name": ["a"], "type": "int"})),
        json.dumps(fields({"name": "a", "type": []})),
        json.dumps(fields({"name": "a", "type": ["int", "int"]})),
        json.dumps(fields({"name": "a", "type": ["int", ["long"]]})),
        json.dumps(fields({"name": "a", "type": [F, "F"]})),
        json.dumps(fields({"name": "a", "type": {"type": "fixed", "name": "F", "size": -1}})),
        json.dumps(fields({"name": "a", "type": {"type": "fixed", "name": "F", "size": True}})),
        json.dumps(fields({"name": "a", "type": {"type": "enum", "name": "E", "symbols": ["A", "A"]}})),
        json.dumps(fields({"name": "a", "type": {"type": "enum", "name": "E", "symbols": ["A"], "default": "B"}})),
        json.dumps(fields({"name": "a", "type": {"type": "enum", "name": "E", "symbols": 1}})),
        '{"type":"array","items":' * 200 + '"int"' + "}" * 200,
        "[" * 100_000,
    ],
)
def test_texts_that_are_no_schema_are_refused(schema):
    with pytest.raises(SchemaParseError, match=r"^subject s version 1: "):
        parse(schema, {}, "subject s version 1")


def test_a_reference_that_is_no_schema_is_named():
    with pytest.raises(SchemaParseError, match=r"^shop\.Sku, imported by subject s: "):
        parse('"string"', {"shop.Sku": "{"}, "subject s")


def test_names_are_resolved_to_one_type():
    inner = {"type": "record", "name": "In", "fields": [{"name": "again", "type": ["null", "a.Out"]}]}
    text = json.dumps({"type": "record", "name": "Out", "namespace": "a", "fields": [{"name": "in", "type": inner}]})
    root = parse(text, {}, "s")
    assert isinstance(root, Record)
    nested = root.fields[0].type
    assert isinstance(nested, Record)
    assert nested.name == "a.In"
    assert nested.fields[0].type.branches[1] is root


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "bytes", "logicalType": "decimal"},
        {"type": "bytes", "logicalType": "decimal", "precision": 10**9},
        {"type": "string", "logicalType": "decimal", "precision": 4},
        {"type": "long", "logicalType": "date"},
        {"type": "bytes", "logicalType": "unknown"},
    ],
)
def test_logical_types_that_do_not_fit_are_ignored(schema):
    root = parse(json.dumps(schema), {}, "s")
    assert isinstance(root, Primitive)
    assert root.logical == ""


def test_a_deep_but_reasonable_schema_is_accepted():
    assert isinstance(parse('{"type":"array","items":' * 60 + '"int"' + "}" * 60, {}, "s"), Array)


def test_paths_become_a_tree_in_which_the_shorter_path_wins():
    tree = project(frozenset({"a.b", "a.c.d", "x", "x.y"}))
    assert tree.of("x") == WHOLE
    below = tree.of("a")
    assert below is not None
    assert (below.of("b"), below.of("z")) == (WHOLE, None)
    assert project(frozenset({"a", "*"})) == WHOLE


def test_the_entry_point_imports_no_client_library():
    code = "import sys, prism_avro.plugin as p; p.prism_stages(); sys.exit('fastavro' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
