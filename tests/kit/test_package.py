"""What plugin authors import from ``prismlib.testing``."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import prismlib
import prismlib.testing
from prismlib.testing import build_stage


def test_the_list_is_sorted_and_every_name_is_imported_from_where_type_checkers_see_it() -> None:
    assert prismlib.testing.__all__ == sorted(set(prismlib.testing.__all__))
    tree = ast.parse(Path(str(prismlib.testing.__file__)).read_text())
    block, _ = [node for node in tree.body if isinstance(node, ast.If)]
    imported = {
        alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert sorted(imported) == prismlib.testing.__all__
    for name, module in imported.items():
        assert getattr(prismlib.testing, name) is getattr(sys.modules[str(module)], name)


def test_its_description_names_all_of_it() -> None:
    described = inspect.getdoc(prismlib.testing) or ""
    assert [name for name in prismlib.testing.__all__ if not name.endswith("Harness") and name not in described] == []


def test_only_the_suites_need_pytest() -> None:
    code = (
        "import sys; sys.modules['pytest'] = None\n"
        "import prismlib.testing, prismlib.testing.memory, prismlib.testing.faults\n"
        "from prismlib.testing import build_stage"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_stage_is_made_as_a_pipeline_makes_it() -> None:
    decoder = build_stage("decoder", "json", {"wire": "bare"}, reads=frozenset({"a"}))
    batch = prismlib.testing.batch_of([b'{"a":1}', None])
    assert decoder.decode(batch) == prismlib.Decoded([{"a": 1}, None])


@pytest.mark.parametrize(
    ("name", "settings", "error", "says"),
    [
        ("jsn", {}, prismlib.PluginNotFoundError, "no installed plugin offers the decoder 'jsn'; did you mean 'json'"),
        ("json", {"wir": "bare"}, prismlib.ConfigError, "decoder json: unknown key 'wir'; did you mean 'wire'"),
        ("json", {"wire": "bear"}, prismlib.ConfigError, "decoder json: 'wire': must be 'confluent' or 'bare'"),
    ],
)
def test_wrong_settings_are_told_as_users_are_told(
    name: str, settings: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        build_stage("decoder", name, settings)
