"""Where two teams keep the repositories of ``examples/check_in_ci``, with the CI services that run the commands of their files."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.unit.test_architecture import CLIENTS

EXAMPLE = Path(__file__).parents[2] / "examples" / "check_in_ci"
INSTALL = "pip install 'prism-pipeline[avro]'"
V1 = json.loads((EXAMPLE / "producer/schemas/orders-value/v1.avsc").read_text())


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def github(repository: Path) -> list[str]:
    (workflow,) = (repository / ".github" / "workflows").glob("*.yml")
    (job,) = load(workflow)["jobs"].values()
    return [step["run"] for step in job["steps"] if "run" in step]


def gitlab(repository: Path) -> list[str]:
    (job,) = load(repository / ".gitlab-ci.yml").values()
    script: list[str] = job["script"]
    return script


def hook(repository: Path) -> list[str]:
    """What pre-commit runs, with the install that its key ``additional_dependencies`` stands for."""
    ((hook,),) = (repo["hooks"] for repo in load(repository / ".pre-commit-config.yaml")["repos"])
    assert hook["pass_filenames"] is False
    return [f"pip install {shlex.join(hook['additional_dependencies'])}", hook["entry"]]


SERVICES: dict[str, Callable[[Path], list[str]]] = {"github": github, "gitlab": gitlab, "pre-commit": hook}


@dataclass(frozen=True)
class Run:
    """How a job ended, what it printed, and the clone that it ran in."""

    code: int
    output: str
    clone: Path


class Forge:
    """Where the repositories of both teams are, with their CI services."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        without = folder / "not-installed"
        without.mkdir()
        for name in CLIENTS:
            (without / f"{name}.py").write_text(f"raise ModuleNotFoundError('not installed', name={name!r})\n")
        settings = {"protocol.file.allow": "always", "user.name": "t", "user.email": "t@example.org"}
        git = {f"GIT_CONFIG_KEY_{n}": key for n, key in enumerate(settings)}
        git |= {f"GIT_CONFIG_VALUE_{n}": value for n, value in enumerate(settings.values())}
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PRISM_", "PYTHON", "GIT_"))}
        self._env = {
            **kept,
            **git,
            "GIT_CONFIG_COUNT": str(len(settings)),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(without),
            "NO_COLOR": "1",
            "GITHUB_BASE_REF": "main",
            "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
        }
        self.shop = self._repository("producer", "shop")
        self.billing = self._repository("consumer", "billing", submodule="../shop.git")
        self._clones = 0

    def git(self, repository: Path, *arguments: str) -> None:
        done = self._run(["git", "-C", str(repository), *arguments], repository)
        assert done.returncode == 0, done.stdout

    def commit(self, repository: Path, branch: str = "change") -> None:
        """Everything in the working tree, on a branch of the forge."""
        self.git(repository, "checkout", "-q", "-B", branch)
        self.git(repository, "add", "-A")
        self.git(repository, "commit", "-q", "-m", "change it")
        self.git(repository, "push", "-q", "--force", "origin", branch)

    def ci(self, repository: Path, service: str, branch: str = "change") -> Run:
        """The job of a service on a branch; pre-commit runs before the commit, in the developer's own clone."""
        if service == "pre-commit":
            return self._job(SERVICES[service](repository), repository)
        self._clones += 1
        clone = self.folder / f"clone-{self._clones}"
        url = (self.folder / f"{repository.name}.git").as_uri()
        options = ["--depth=1", "--recurse-submodules", "--branch", branch]
        self.git(self.folder, "clone", "-q", *options, url, str(clone))
        return self._job(SERVICES[service](clone), clone)

    def run(self, command: str, folder: Path) -> Run:
        """A command line in a clone, as a job runs it."""
        done = self._run(["bash", "-e", "-c", command], folder)
        return Run(done.returncode, done.stdout, folder)

    def _repository(self, example: str, name: str, submodule: str = "") -> Path:
        folder, bare = self.folder / name, self.folder / f"{name}.git"
        shutil.copytree(EXAMPLE / example, folder)
        self.git(self.folder, "init", "-q", "--bare", "-b", "main", str(bare))
        self.git(folder, "init", "-q", "-b", "main")
        self.git(folder, "remote", "add", "origin", bare.as_uri())
        if submodule:
            self.git(folder, "submodule", "-q", "add", "--force", submodule, "shop")
        self.commit(folder, "main")
        return folder

    def _job(self, commands: Sequence[str], clone: Path) -> Run:
        output = ""
        for command in commands:
            if command == INSTALL:
                continue
            done = self.run(command, clone)
            output += done.output
            if done.code:
                return Run(done.code, output, clone)
        return Run(0, output, clone)

    def _run(self, command: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=folder,
            env=self._env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )


def write_version(shop: Path, number: int, *added: dict[str, Any], without: str = "") -> None:
    fields = [*(one for one in V1["fields"] if one["name"] != without), *added]
    text = json.dumps({**V1, "fields": fields}, indent=2)
    (shop / f"schemas/orders-value/v{number}.avsc").write_text(text, encoding="utf-8")


def release(forge: Forge) -> None:
    """What the producer has in its working tree, and the consumer's pull request that takes it over."""
    forge.commit(forge.shop, "main")
    forge.git(forge.billing, "submodule", "-q", "update", "--remote", "shop")
    forge.commit(forge.billing)
