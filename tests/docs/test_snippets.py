"""What README and the documentation show is what the code takes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import trustme

from prismlib.cli.main import execute
from prismlib.config.pipeline import pipeline_from
from prismlib.config.project import load_project
from prismlib.plugin.manager import load_plugins
from prismlib.plugin.registries import open_registry
from prismlib.runtime.resolve import resolve

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def snippets(language: str) -> list[tuple[str, str]]:
    return [
        (page.name, text)
        for page in PAGES
        for text in re.findall(rf"```{language}\n(.*?)```", page.read_text(), flags=re.DOTALL)
    ]


@pytest.mark.parametrize(("page", "text"), snippets("toml"))
def test_a_pipeline_in_the_documentation_is_one(page: str, text: str) -> None:
    data = tomllib.loads(text)
    if "source" in data and "route" in data:
        resolve(pipeline_from(data, ROOT / "examples" / "air_traffic" / "pipelines" / page), load_plugins())


@pytest.mark.parametrize(("page", "text"), [(page, text) for page, text in snippets("toml") if "[registry]" in text])
def test_a_registry_in_the_documentation_is_one(
    page: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "prism.toml").write_text(text)
    for name in re.findall(r'env = "(\w+)"', text):
        monkeypatch.setenv(name, "hush")
    authority = trustme.CA()
    ours = authority.issue_cert("prism@example.org")
    for key, name in re.findall(r'^(ca|certificate|key|url) = "([^:"]+)"', text, flags=re.MULTILINE):
        if key == "url":
            (tmp_path / name).mkdir()
            continue
        (tmp_path / name).parent.mkdir(exist_ok=True)
        blob = {"ca": authority.cert_pem, "certificate": ours.cert_chain_pems[0], "key": ours.private_key_pem}[key]
        blob.write_to_path(tmp_path / name)
    project = load_project(tmp_path)
    open_registry(project.registry, load_plugins(), project.base, page)


def test_every_command_that_the_documentation_names_exists() -> None:
    named = {
        match
        for page in PAGES
        for match in re.findall(r"^ {4}prism ([a-z-]+)(?= |$)", page.read_text(), flags=re.MULTILINE)
    }
    assert {"run", "setup", "check"} <= named
    for command in sorted(named):
        assert execute([command, "--help"]) == 0, f"prism {command} is no command"


def test_every_relative_link_leads_somewhere() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert not broken


def test_the_example_pipelines_resolve() -> None:
    for path in sorted((ROOT / "examples" / "air_traffic" / "pipelines").glob("*.toml")):
        resolve(pipeline_from(tomllib.loads(path.read_text()), path), load_plugins())
