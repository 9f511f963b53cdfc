import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prismlib.mapping import MappingNormalizer, mapping_from
from prismlib.records import Normalized, Partition, RecordBatch

Make = Callable[[str], MappingNormalizer]


def batch_of(rows: list[Any]) -> RecordBatch:
    n = len(rows)
    values = [None if row is None else b"value" for row in rows]
    return RecordBatch(Partition("flights", 0), range(n), [-1] * n, [None] * n, values, [None] * n)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A normalizer of a mapping's text; its functions are looked for in the test's own folder."""
    return lambda text: MappingNormalizer(mapping_from(tomllib.loads(text), "mappings/test.toml"), tmp_path)


@pytest.fixture
def normalize(make: Make) -> Callable[..., Normalized]:
    """All rows through a mapping."""
    return lambda text, *rows: make(text).normalize(batch_of(list(rows)), list(rows))


@pytest.fixture
def value(normalize: Callable[..., Normalized]) -> Callable[..., Any]:
    """What the field ``x`` becomes for one row; the error is raised."""

    def make_one(spec: str, row: dict[str, Any]) -> Any:
        answer = normalize(f"[event]\nx = {spec}", row)
        for error in answer.errors.values():
            raise error
        body = answer.bodies[0]
        assert isinstance(body, dict)
        return body["x"]

    return make_one
