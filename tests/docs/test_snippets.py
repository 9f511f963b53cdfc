"""What README and the documentation show is what the code takes."""

from __future__ import annotations

import re
import tomllib

import pytest

from prismlib.config.pipeline import pipeline_from
from prismlib.plugin.manager import load_plugins
from prismlib.runtime.resolve import resolve
from tests.docs.checks import check
from tests.docs.pages import ROOT, Block, all_blocks, name_of, pages


@pytest.mark.parametrize("block", all_blocks(), ids=lambda block: block.where)
def test_a_code_block_is_what_it_says(block: Block) -> None:
    check(block)


def test_every_relative_link_leads_somewhere() -> None:
    broken = [
        f"{name_of(page)}: {target}"
        for page in pages()
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert not broken


def test_the_example_pipelines_resolve() -> None:
    for path in sorted((ROOT / "examples" / "air_traffic" / "pipelines").glob("*.toml")):
        resolve(pipeline_from(tomllib.loads(path.read_text()), path), load_plugins())
