"""What README and the documentation show is what the code takes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import trustme

from prismlib.config.pipeline import pipeline_from
from prismlib.config.project import load_project
from prismlib.plugin.manager import load_plugins
from prismlib.plugin.registries import open_registry
from prismlib.runtime.resolve import resolve
from tests.docs.checks import check
from tests.docs.pages import ROOT, Block, all_blocks, name_of, pages


@pytest.mark.parametrize("block", all_blocks(), ids=lambda block: block.where)
def test_a_code_block_is_what_it_says(block: Block) -> None:
    check(block)


@pytest.mark.parametrize(
    "block",
    [block for block in all_blocks() if block.language == "toml" and "[registry]" in block.text],
    ids=lambda block: block.where,
)
def test_a_registry_in_the_documentation_is_one(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "prism.toml").write_text(block.text)
    for name in re.findall(r'env = "(\w+)"', block.text):
        monkeypatch.setenv(name, "hush")
    authority = trustme.CA()
    ours = authority.issue_cert("prism@example.org")
    for key, name in re.findall(r'^(ca|certificate|key|url) = "([^:"]+)"', block.text, flags=re.MULTILINE):
        if key == "url":
            (tmp_path / name).mkdir(parents=True)
            continue
        (tmp_path / name).parent.mkdir(exist_ok=True)
        blob = {"ca": authority.cert_pem, "certificate": ours.cert_chain_pems[0], "key": ours.private_key_pem}[key]
        blob.write_to_path(tmp_path / name)
    project = load_project(tmp_path)
    open_registry(project.registry, load_plugins(), project.base, block.where)


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
