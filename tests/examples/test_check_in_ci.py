"""The repositories of ``examples/check_in_ci`` in scratch repositories, played with the commands that stand in their CI files.

Clones are as CI services make them: one branch, one commit deep. The environment of the tests stands in for ``pip install``, with
the libraries that other extras bring out of its reach.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from prismlib.config.pipeline import load_pipeline
from prismlib.contracts import derive_contract
from prismlib.contracts.deriving import derive
from prismlib.contracts.directory import DirectoryRegistry
from prismlib.contracts.formats import load_format
from prismlib.plugin.manager import load_plugins
from prismlib.runtime.assemble import subjects_read
from prismlib.runtime.resolve import resolve
from tests.docs.commands import check_command
from tests.unit.test_architecture import CLIENTS

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "check_in_ci"
INSTALL = "pip install 'prism-pipeline[avro]'"
V1 = json.loads((EXAMPLE / "producer/schemas/orders-value/v1.avsc").read_text())

# --- the CI files ------------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("team", ["producer", "consumer"])
def test_the_commands_of_the_ci_files_are_commands(team: str, service: str) -> None:
    commands = SERVICES[service](EXAMPLE / team)
    assert INSTALL in commands
    for command in commands:
        check_command(f"{team}, {service}", command)


def test_the_hook_that_others_reference_is_a_command() -> None:
    (hook,) = load(ROOT / ".pre-commit-hooks.yaml")
    assert hook["language"] == "python"
    assert hook["pass_filenames"] is False
    check_command(".pre-commit-hooks.yaml", shlex.join([hook["entry"], *hook["args"]]))
    assert re.search(hook["files"], "schemas/orders-value/v2.avsc")
    assert not re.search(hook["files"], "src/schemas.py")


# --- scratch repositories ----------------------------------------------------------------------------------------------


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
            done = self._run(["bash", "-e", "-c", command], clone)
            output += done.stdout
            if done.returncode:
                return Run(done.returncode, output, clone)
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


@pytest.fixture
def forge(tmp_path: Path) -> Forge:
    return Forge(tmp_path)


def write_version(shop: Path, number: int, *added: dict[str, Any], without: str = "") -> None:
    fields = [*(one for one in V1["fields"] if one["name"] != without), *added]
    text = json.dumps({**V1, "fields": fields}, indent=2)
    (shop / f"schemas/orders-value/v{number}.avsc").write_text(text, encoding="utf-8")


GIFT = {"name": "gift", "type": "boolean"}


# --- the producer ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", SERVICES)
def test_a_compatible_version_passes(forge: Forge, service: str) -> None:
    write_version(forge.shop, 2, {**GIFT, "default": False})
    forge.commit(forge.shop)
    run = forge.ci(forge.shop, service)
    assert run.code == 0, run.output
    if service == "gitlab":
        assert ET.parse(run.clone / "schemas.xml").getroot().get("failures") == "0"
    else:
        assert "1 subject: 1 compatible" in run.output
        assert "producers and consumers can deploy in any order" in run.output


@pytest.mark.parametrize("service", SERVICES)
def test_a_field_that_a_consumer_reads_cannot_go_and_the_consumer_is_named(forge: Forge, service: str) -> None:
    write_version(forge.shop, 2, without="customer")
    forge.commit(forge.shop)
    run = forge.ci(forge.shop, service)
    assert run.code == 1, run.output
    assert "consumer billing, which reads customer: finance, finance@example.org" in run.output


@pytest.mark.parametrize("service", SERVICES)
def test_a_field_that_nobody_reads_can_go(forge: Forge, service: str) -> None:
    write_version(forge.shop, 2, without="coupon")
    forge.commit(forge.shop)
    assert forge.ci(forge.shop, service).code == 0


@pytest.mark.parametrize("service", SERVICES)
def test_a_released_version_cannot_be_edited(forge: Forge, service: str) -> None:
    write_version(forge.shop, 1, {**GIFT, "default": False})
    forge.commit(forge.shop)
    run = forge.ci(forge.shop, service)
    assert run.code == 1, run.output
    assert "PSM001 released-version-changed" in run.output


def test_github_shows_findings_beside_the_line(forge: Forge) -> None:
    write_version(forge.shop, 2, GIFT, without="customer")
    forge.commit(forge.shop)
    run = forge.ci(forge.shop, "github")
    assert run.code == 1
    found = re.findall(r"^::error file=([^,]+)(?:,line=(\d+))?,title=(\S+) [^:]*::(.*)$", run.output, re.MULTILINE)
    assert {(file, title) for file, _, title, _ in found} == {
        ("schemas/orders-value/v2.avsc", "AVR003"),  # of the new field, and of the removed one that billing reads
    }
    lines = (run.clone / "schemas/orders-value/v2.avsc").read_text().splitlines()
    (line,) = (int(line) for _, line, _, _ in found if line)
    assert "gift" in "".join(lines[line - 1 : line + 1])
    assert any("%0Abreaks: consumer billing, which reads customer" in text for *_, text in found)


def test_gitlab_gets_a_report_and_the_log_has_the_findings(forge: Forge) -> None:
    write_version(forge.shop, 2, GIFT)
    forge.commit(forge.shop)
    run = forge.ci(forge.shop, "gitlab")
    assert run.code == 1
    (job,) = load(run.clone / ".gitlab-ci.yml").values()
    assert job["artifacts"]["when"] == "always"
    suite = ET.parse(run.clone / job["artifacts"]["reports"]["junit"]).getroot()
    assert [one.get("type") for one in suite.iter("failure")] == ["AVR003"]
    assert "AVR003 reader-field-without-default  /fields/gift" in run.output


def test_whoever_reads_is_asked_before_their_contract_changes() -> None:
    rule = (EXAMPLE / "producer/CODEOWNERS").read_text().splitlines()[-1].split()[0]
    contracts = sorted(path.name for path in (EXAMPLE / "producer").glob(rule.lstrip("/")))
    assert contracts == ["billing.avsc", "billing.toml"]


# --- the consumer ------------------------------------------------------------------------------------------------------


def test_the_submodule_is_what_git_makes_of_the_command_in_the_readme(forge: Forge) -> None:
    assert (forge.billing / ".gitmodules").read_text() == (EXAMPLE / "consumer/.gitmodules").read_text()
    assert "git submodule add ../shop.git shop" in (EXAMPLE / "consumer/README.md").read_text()


@pytest.mark.parametrize("service", SERVICES)
def test_the_contract_holds_for_what_is_released(forge: Forge, service: str) -> None:
    run = forge.ci(forge.billing, service, "main")
    assert run.code == 0, run.output
    assert "1 subject: 1 unchanged" in run.output


def release(forge: Forge) -> None:
    """What the producer has in its working tree, and the consumer's pull request that takes it over."""
    forge.commit(forge.shop, "main")
    forge.git(forge.billing, "submodule", "-q", "update", "--remote", "shop")
    forge.commit(forge.billing)


@pytest.mark.parametrize("service", SERVICES)
def test_a_release_that_keeps_the_contract_passes(forge: Forge, service: str) -> None:
    write_version(forge.shop, 2, without="coupon")
    release(forge)
    run = forge.ci(forge.billing, service)
    assert run.code == 0, run.output


@pytest.mark.parametrize("service", SERVICES)
def test_a_release_that_breaks_the_contract_is_found_by_the_consumer_too(forge: Forge, service: str) -> None:
    write_version(forge.shop, 2, without="customer")
    release(forge)
    run = forge.ci(forge.billing, service)
    assert run.code == 1, run.output
    assert "consumer billing on version 2, which reads customer" in run.output


@pytest.mark.parametrize("service", SERVICES)
def test_a_mapping_that_reads_more_makes_the_contract_stale_until_it_is_derived_again(
    forge: Forge, service: str
) -> None:
    mapping = forge.billing / "mappings/orders.toml"
    mapping.write_text(mapping.read_text().replace("[event.measures]", 'coupon = "coupon"\n[event.measures]'))
    forge.commit(forge.billing)
    run = forge.ci(forge.billing, service)
    assert run.code == 1, run.output
    assert "pipelines/billing.toml reads coupon, which the contract does not name" in run.output
    for file in contract_of(forge.billing):
        file.write()
    forge.commit(forge.billing / "shop", "main")
    forge.commit(forge.billing)
    assert forge.ci(forge.billing, service).code == 0


def contract_of(billing: Path) -> Sequence[Any]:
    """The files of the contract, as they should be."""
    plugins = load_plugins()
    config = load_pipeline(billing / "pipelines/billing.toml")
    (read,) = subjects_read(resolve(config, plugins), plugins)
    return derive(
        DirectoryRegistry(billing / "shop/schemas"),
        load_format("avro"),
        read.subject,
        consumer=config.name,
        owner=config.owner,
        contact=config.contact,
        reads=sorted(read.reads),
        derived_from="pipelines/billing.toml",
    )


def test_the_contract_is_the_one_that_the_pipeline_gives(forge: Forge) -> None:
    files = contract_of(forge.billing)
    assert len(files) == 2
    for file in files:
        assert file.current, file.path
    reads = ["customer", "id", "placed_at", "total"]
    text = (EXAMPLE / "producer/schemas/orders-value/consumers/billing.avsc").read_text()
    assert text == derive_contract(format="avro", schema=json.dumps(V1), reads=reads)
