"""A site with the in-memory plugin installed, and ways to call ``prism``."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from prismlib.cli.main import execute

PASSING = """
name = "p"
owner = "o"
contact = "c"
start = "earliest"
[source]
type = "tape"
servers = "memory"
[[route]]
topic = "words"
decode = { type = "plain" }
[sink]
type = "shelf"
"""


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


class Site:
    """A folder with a pipeline file, on ``sys.path`` of this process and of those it starts."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.path = folder / "p.toml"
        self.path.write_text(PASSING)
        self._capsys = capsys

    def edit(self, old: str, new: str) -> None:
        text = self.path.read_text()
        assert text.count(old) == 1
        self.path.write_text(text.replace(old, new))

    def prism(self, *arguments: str | Path) -> Result:
        self._capsys.readouterr()
        code = execute([str(argument) for argument in arguments])
        captured = self._capsys.readouterr()
        assert "Traceback" not in captured.out + captured.err
        return Result(code, captured.out, captured.err)

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "prismlib.cli.main", *map(str, arguments)]
        path = os.pathsep.join([str(self.folder), os.environ.get("PYTHONPATH", "")])
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
        )


def install(folder: Path, name: str, module: str) -> None:
    info = folder / f"prism_{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: prism-{name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[prismlib]\n{name} = {module}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Site]:
    monkeypatch.setenv("PRISM_PLUGINS", "tape")
    shutil.copy(Path(__file__).with_name("memory_plugin.py"), tmp_path / "site_memory.py")
    install(tmp_path, "tape", "site_memory")
    monkeypatch.syspath_prepend(tmp_path)
    yield Site(tmp_path, capsys)
    for name in [name for name in sys.modules if name.startswith("site_")]:
        del sys.modules[name]


@pytest.fixture
def memory(site: Site) -> ModuleType:
    """The plugin's module, with its broker, store and what its factories were told."""
    return importlib.import_module("site_memory")


@pytest.fixture
def broken(site: Site, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Installs one more plugin, of the given code."""

    def install_broken(code: str) -> None:
        (site.folder / "site_broken.py").write_text(code)
        install(site.folder, "broken", "site_broken")
        monkeypatch.setenv("PRISM_PLUGINS", "tape,broken")

    return install_broken
