"""Every mapping of the guide makes the events, and the errors, that the page shows."""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from prismlib.mapping import MappingNormalizer, mapping_from
from prismlib.mapping.model import FIELD_MODELS
from prismlib.records import Partition, RecordBatch
from tests.docs.files import keys_of
from tests.docs.pages import DOCS, Block, blocks_of

BLOCKS = blocks_of(DOCS / "how-to" / "mapping.md")


@dataclass(frozen=True)
class Example:
    """A mapping, a row, and what the page says becomes of it: an event in JSON, or an error as text."""

    mapping: Block
    row: Block
    result: Block


def examples() -> list[Example]:
    found: list[Example] = []
    mapping = row = None
    for block in BLOCKS:
        if block.language == "toml":
            mapping, row = block, None
        elif block.language == "json" and row is None:
            row = block
        elif block.language in {"json", "text"} and row is not None:
            assert mapping is not None, f"{block.where}: no mapping stands before this row"
            found.append(Example(mapping, row, block))
            row = None
    return found


@pytest.fixture(autouse=True)
def forget_modules() -> Iterator[None]:
    """The guide's own modules lie in a folder of each test."""
    before = set(sys.modules)
    yield
    for name in {name for name in sys.modules if name.partition(".")[0] == "shop"} - before:
        del sys.modules[name]


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.row.where)
def test_a_row_becomes_what_the_page_shows(example: Example, tmp_path: Path) -> None:
    for block in BLOCKS:
        if block.file:
            path = tmp_path / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
    mapping = mapping_from(tomllib.loads(example.mapping.text), "mapping.toml")
    batch = RecordBatch(Partition("orders", 0), [0], [-1], [None], [b"value"], [None])
    made = MappingNormalizer(mapping, tmp_path).normalize(batch, [json.loads(example.row.text)])
    if example.result.language == "json":
        assert made.errors == {}
        assert made.bodies == [json.loads(example.result.text)]
    else:
        assert f"{made.errors[0].code}: {made.errors[0].reason}" == example.result.text.strip()


def test_the_page_has_an_example_for_every_way_and_key() -> None:
    shown = " ".join(example.mapping.text for example in examples())
    for key, model in FIELD_MODELS:
        for one in {key, *keys_of(model)}:
            assert f"{one} = " in shown, f"the guide has no example of {one!r} of {model.__name__}"
    assert len(examples()) >= 15
