"""What is public is listed, importable, documented, and on its page."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import prismlib
import prismlib.errors
from tests.docs.python_api import chapters, documentation, render

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "python-api.md"


def test_the_list_is_sorted_and_every_name_can_be_imported() -> None:
    assert prismlib.__all__ == sorted(set(prismlib.__all__))
    assert [name for name in prismlib.__all__ if not hasattr(prismlib, name)] == []
    assert set(prismlib.__all__) <= set(dir(prismlib))


def test_type_checkers_see_the_same_names_in_the_same_modules() -> None:
    tree = ast.parse(Path(str(prismlib.__file__)).read_text())
    block, _ = [node for node in tree.body if isinstance(node, ast.If)]
    imported = {
        alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert imported == prismlib._HOME_OF
    assert sorted(imported) == prismlib.__all__


def test_every_error_is_public() -> None:
    errors = {name for name, value in vars(prismlib.errors).items() if isinstance(value, type)}
    assert errors <= set(prismlib.__all__)


def test_what_is_not_public_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="module 'prismlib' has no attribute 'build_runer'"):
        prismlib.build_runer  # noqa: B018


@pytest.mark.parametrize("name", prismlib.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    assert len(documentation(name)) > 20


def test_every_public_name_has_one_place_on_the_page() -> None:
    placed = [name for names in chapters().values() for name in names]
    assert sorted(placed) == prismlib.__all__


def test_the_page_is_what_the_docstrings_say() -> None:
    assert PAGE.read_text() == render(), "run: python -m tests.docs.python_api > docs/reference/python-api.md"


@pytest.mark.parametrize("module", ["prismlib", "prismlib.contracts", "prismlib.contracts.registry", "prismlib.errors"])
def test_importing_the_package_loads_no_library(module: str) -> None:
    code = (
        f"import sys, {module}\n"
        "print(sorted({'pydantic', 'pluggy', 'rich', 'click', 'orjson', 'asyncio', 'logging'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
