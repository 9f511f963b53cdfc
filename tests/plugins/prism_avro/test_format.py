"""What people see of two versions, where it stands in the text, and what a check may import."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from prism_avro.compatibility.format import AvroFormat
from prismlib.contracts.format import Change, SchemaFormat, SchemaText
from prismlib.contracts.formats import load_format

FORMAT: SchemaFormat[Any] = AvroFormat()

OLD = """\
{
  "type": "record",
  "name": "shop.Order",
  "doc": "an order",
  "fields": [
    {"name": "id", "type": "int"},
    {"name": "old", "type": "string", "default": "x"},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
    {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B", "C"]}},
    {"name": "hash", "type": {"type": "fixed", "name": "Hash", "size": 4}},
    {"name": "lines", "type": {"type": "array", "items": {"type": "record", "name": "Line", "fields": [
      {"name": "sku", "type": "string"}
    ]}}},
    {"name": "more", "type": {"type": "map", "values": "Line"}},
    {"name": "event", "type": ["string", {"type": "record", "name": "Paid", "fields": [{"name": "by", "type": "int"}]}]}
  ]
}
"""
NEW = """\
{
  "type": "record",
  "name": "Order",
  "namespace": "post",
  "doc": "an order",
  "fields": [
    {"name": "number", "type": "long", "aliases": ["id"]},
    {"name": "price", "type": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 3}]},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}, "doc": "when"},
    {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "D", "C"], "default": "A"}},
    {"name": "hash", "type": {"type": "fixed", "name": "Hash", "size": 8}},
    {"name": "lines", "type": {"type": "array", "items": ["null", {"type": "record", "name": "Line", "fields": [
      {"name": "sku", "type": "string"},
      {"name": "count", "type": "int", "default": 1}
    ]}]}},
    {"name": "more", "type": {"type": "map", "values": "Line"}},
    {"name": "event", "type": ["string", {"type": "record", "name": "Paid", "fields": [{"name": "by", "type": "long"}]}]}
  ]
}
"""


def parsed(text: str) -> Any:
    return FORMAT.parse(SchemaText(text, {}, "s"))


def test_changes_are_listed_where_they_are():
    assert FORMAT.changes(parsed(OLD), parsed(NEW)) == [
        Change("renamed", "/", "shop.Order", "post.Order"),
        Change(
            "moved",
            "/fields",
            "number, at, price, kind, hash, lines, more, event",
            "number, price, at, kind, hash, lines, more, event",
        ),
        Change("renamed", "/fields/number", "id", "number"),
        Change("changed", "/fields/number", "int", "long"),
        Change("changed", "/fields/number", "no aliases", "aliases id"),
        Change("removed", "/fields/old", 'string = "x"', ""),
        Change("changed", "/fields/price", "bytes (decimal(9, 2))", "null | bytes (decimal(9, 3))"),
        Change("changed", "/fields/price", "bytes (decimal(9, 2))", "bytes (decimal(9, 3))"),
        Change("changed", "/fields/at", "long (timestamp-millis)", "long (timestamp-micros)"),
        Change("changed", "/fields/at", "no doc", 'doc "when"'),
        Change("renamed", "/fields/kind", "shop.Kind", "post.Kind"),
        Change("removed", "/fields/kind/symbols/B", "B", ""),
        Change("added", "/fields/kind/symbols/D", "", "D"),
        Change("changed", "/fields/kind", "no default", "default A"),
        Change("changed", "/fields/hash", "fixed Hash, 4 bytes", "fixed Hash, 8 bytes"),
        Change("renamed", "/fields/hash", "shop.Hash", "post.Hash"),
        Change("changed", "/fields/lines/items", "record Line", "null | record Line"),
        Change("renamed", "/fields/lines/items", "shop.Line", "post.Line"),
        Change("added", "/fields/lines/items/fields/count", "", "int = 1"),
        Change("renamed", "/fields/event/Paid", "shop.Paid", "post.Paid"),
        Change("changed", "/fields/event/Paid/fields/by", "int", "long"),
    ]
    assert FORMAT.changes(parsed(NEW), parsed(NEW)) == []


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        (NEW, "/", 3),
        (NEW, "/fields/number", 7),
        (NEW, "/fields/price", 8),
        (NEW, "/fields/kind/symbols/D", 10),
        (NEW, "/fields/lines/items", 12),
        (NEW, "/fields/lines/items/fields/count", 14),
        (NEW, "/fields/more/values/fields/count", 14),
        (NEW, "/fields/event/Paid", 17),
        (NEW, "/fields/event/Paid/fields/by", 17),
        (NEW, "/fields/old", None),
        (NEW, "/fields/number/fields/x", None),
        (OLD, "/fields/old", 7),
        ('[\n  "null",\n  {"type": "map",\n    "values": "int"}\n]', "/values", 4),
        ('"shop.Order"', "/fields/x", None),
        (NEW.replace('"number"', '"n\\u0075mber"'), "/fields/number", 7),
    ],
)
def test_a_path_leads_to_its_line(text, path, line):
    assert FORMAT.line_of(text, path) == line


def test_every_difference_of_this_pair_has_a_line():
    found = FORMAT.can_read(reader=parsed(NEW), writer=parsed(OLD))
    assert sorted((one.path, one.rule, FORMAT.line_of(NEW, one.path)) for one in found) == [
        ("/fields/at", "AVR011", 9),
        ("/fields/hash", "AVR007", 11),
        ("/fields/kind", "AVR014", 10),
        ("/fields/lines/items/fields/count", "AVR015", 14),
        ("/fields/number", "AVR018", 7),
        ("/fields/number", "AVR020", 7),
        ("/fields/price", "AVR012", 8),
    ]


def test_the_format_is_found_by_its_name():
    assert isinstance(load_format("avro"), AvroFormat)
    assert json.loads(load_format("avro").project(parsed(OLD), frozenset({"id"})))["name"] == "Order"


def test_a_check_imports_neither_a_client_library_nor_the_codec():
    code = (
        "import sys\n"
        "from prismlib.contracts import check_compatibility\n"
        "check_compatibility(format='avro', new='\"int\"', old=['\"long\"'])\n"
        "heavy = {'fastavro', 'pydantic', 'pluggy', 'importlib.metadata', 'decimal', 'uuid', 'prismlib.stages',\n"
        "         'prism_avro.decoding', 'prism_avro.compatibility.contract', 'prism_avro.compatibility.lines'}\n"
        "sys.exit(', '.join(sorted(heavy & sys.modules.keys())) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
