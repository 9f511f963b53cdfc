"""What is in the wheel."""

from __future__ import annotations

import configparser
import email
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

pytestmark = pytest.mark.slow


def files(folder: Path) -> set[str]:
    """What a user gets of a folder of packages: everything, but for what Python leaves behind."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in found if "__pycache__" not in path.parts}


@pytest.fixture(scope="module")
def contents(wheels: dict[str, Path]) -> dict[str, bytes]:
    with zipfile.ZipFile(wheels["prism-pipeline"]) as wheel:
        return {name: wheel.read(name) for name in wheel.namelist()}


def test_the_core_and_all_plugins_are_in_it_and_nothing_else(contents: dict[str, bytes]) -> None:
    expected = {f"prismlib/{name}" for name in files(ROOT / "prismlib")} | files(ROOT / "plugins")
    assert {name for name in contents if ".dist-info/" not in name} == expected


def test_every_package_tells_that_it_is_typed(contents: dict[str, bytes]) -> None:
    packages = {name.partition("/")[0] for name in contents if ".dist-info/" not in name}
    plugins = {path.parent.name for path in (ROOT / "plugins").glob("*/__init__.py")}
    assert packages == {"prismlib", *plugins}
    assert {f"{package}/py.typed" for package in packages} <= contents.keys()


def test_no_test_and_nothing_of_this_machine_is_in_it(contents: dict[str, bytes]) -> None:
    assert [name for name in contents if "tests/" in name or name.endswith((".pyc", ".so", ".log"))] == []
    assert [name for name, data in contents.items() if str(ROOT).encode() in data] == []


def test_it_carries_its_licence_entry_points_and_metadata(contents: dict[str, bytes]) -> None:
    (info,) = {name.partition("/")[0] for name in contents if ".dist-info/" in name}
    assert contents[f"{info}/licenses/LICENSE"] == (ROOT / "LICENSE").read_bytes()
    entry_points = configparser.ConfigParser()
    entry_points.read_string(contents[f"{info}/entry_points.txt"].decode())
    assert dict(entry_points["console_scripts"]) == PROJECT["scripts"]
    assert dict(entry_points["prismlib"]) == PROJECT["entry-points"]["prismlib"]
    metadata = email.message_from_bytes(contents[f"{info}/METADATA"])
    assert metadata["Name"] == "prism-pipeline"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert set(metadata.get_all("Provides-Extra", [])) == PROJECT["optional-dependencies"].keys()
    assert "# Prism" in str(metadata.get_payload())
