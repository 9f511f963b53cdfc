"""Wheels, built once, and environments of their own to install them into."""

from __future__ import annotations

import os
import subprocess
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "examples" / "custom_plugin"


class Environment:
    """A virtual environment; nothing of this process's environment is in it."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=True, symlinks=os.name != "nt")
        self.folder = folder
        self._scripts = folder / ("Scripts" if os.name == "nt" else "bin")

    def run(self, program: str, *arguments: str | Path, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment to its end."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PRISM_", "PYTHON"))}
        command = [str(self._scripts / program), *map(str, arguments)]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            cwd=cwd,
            timeout=110,
            check=False,
            env={**kept, "COLUMNS": "160", "NO_COLOR": "1", **env},
        )

    def pip(self, *arguments: str | Path) -> str:
        done = self.run("python", "-m", "pip", "--disable-pip-version-check", *arguments, cwd=self.folder)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def install(self, *requirements: str) -> None:
        self.pip("install", "--quiet", "-c", ROOT / "constraints.txt", *requirements)


@pytest.fixture(scope="session")
def make_environment(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Environment]:
    return lambda name: Environment(tmp_path_factory.mktemp("environments") / name)


@pytest.fixture(scope="session")
def wheels(make_environment: Callable[[str], Environment], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheels of this repository and of the example plugin, by distribution."""
    folder = tmp_path_factory.mktemp("wheels")
    make_environment("build").pip("wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT, PLUGIN)
    built = {path.name.partition("-")[0].replace("_", "-"): path for path in folder.glob("*.whl")}
    assert sorted(built) == ["prism-example-webhook", "prism-pipeline"]
    return built
