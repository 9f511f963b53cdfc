"""The core's own normalizers keep every clause of their interface."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from prismlib.mapping import MappingNormalizer, PythonNormalizer, mapping_from
from prismlib.records import Row
from prismlib.stages import Normalizer
from prismlib.testing.normalizer_conformance import NormalizerConformance

MAPPING = """
[event]
id = { template = "{customer.name}-{no:03}" }
kind = { const = "order" }
time = { from = "at", parse = "epoch_ms" }
[event.attributes]
tags = "tags"
same = "tags"
inner = "tags[0]"
rows = "lines"
skus = "lines[].sku"
lines = { each = "lines", item = { n = { from = "n", cast = "int" } } }
text = { python = "tests.unit.mapping.test_oracle:joined", reads = ["customer"] }
count = { python = "tests.unit.mapping.test_conformance:emptied", reads = ["tags"] }
"""


def row(no: int, /, **more: Any) -> dict[str, Any]:
    lines = [{"sku": "a", "n": "1", "unread": 0}, {"sku": "b", "n": 2}]
    base = {"no": no, "at": 1357034400000 + no, "customer": {"name": "C"}, "tags": [["x"], {}], "lines": lines}
    return {**base, "unread": [1], **more}


def event(no: int) -> dict[str, Any]:
    attributes = {
        "tags": [["x"], {}],
        "same": [["x"], {}],
        "inner": ["x"],
        "rows": row(no)["lines"],
        "skus": ["a", "b"],
        "lines": [{"n": 1}, {"n": 2}],
        "text": "{'name': 'C'}",
        "count": 2,
    }
    return {"id": f"C-{no:03}", "kind": "order", "time": f"2013-01-01T10:00:00.{no:03}Z", "attributes": attributes}


def emptied(tags: list[Any]) -> int:
    """A function for one field, which changes what it was given."""
    count = len(tags)
    tags[0].clear()
    tags.clear()
    return count


def whole(given: dict[str, Any]) -> dict[str, Any]:
    """A function for whole rows, which hands out what it was given, and changes it."""
    given["tags"].append("mine")
    return {"id": f"i{given['no']:03}", "tags": given["tags"]}


class MappingHarness:
    def make_normalizer(self) -> Normalizer:
        return MappingNormalizer(mapping_from(tomllib.loads(MAPPING), "m.toml"), Path())

    def valid(self) -> Sequence[tuple[Row, dict[str, Any] | bytes]]:
        return [(row(7), event(7)), (row(8), event(8))]

    def invalid(self) -> Sequence[Row]:
        return [row(1, no="1"), row(2, at=None), row(3, lines=[{"n": "x"}]), row(4, customer=None), {}]


class PythonHarness:
    def make_normalizer(self) -> Normalizer:
        return PythonNormalizer(whole, ["no", "tags"])

    def valid(self) -> Sequence[tuple[Row, dict[str, Any] | bytes]]:
        return [(row(n), {"id": f"i{n:03}", "tags": [["x"], {}, "mine"]}) for n in (7, 8)]

    def invalid(self) -> Sequence[Row]:
        return [row(1, tags=None), {}]


class TestMapping(NormalizerConformance):
    @pytest.fixture
    def harness(self) -> MappingHarness:
        return MappingHarness()


class TestPython(NormalizerConformance):
    @pytest.fixture
    def harness(self) -> PythonHarness:
        return PythonHarness()
