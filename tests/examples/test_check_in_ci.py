"""The repositories of ``examples/check_in_ci`` in scratch repositories, played with the commands that stand in their CI files.

Clones are as CI services make them: one branch, one commit deep. The environment of the tests stands in for ``pip install``, with
the libraries that other extras bring out of its reach.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from prismlib.config.pipeline import load_pipeline
from prismlib.contracts import derive_contract
from prismlib.contracts.deriving import derive
from prismlib.contracts.directory import DirectoryRegistry
from prismlib.contracts.formats import load_format
from prismlib.plugin.manager import load_plugins
from prismlib.runtime.assemble import subjects_read
from prismlib.runtime.resolve import resolve
from tests.docs.commands import check_command
from tests.examples.forge import EXAMPLE, INSTALL, SERVICES, V1, Forge, load, release, write_version

ROOT = Path(__file__).parents[2]

# --- the CI files ------------------------------------------------------------------------------------------------------


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


GIFT = {"name": "gift", "type": "boolean"}


@pytest.fixture
def forge(tmp_path: Path) -> Forge:
    return Forge(tmp_path)


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


def test_in_a_clone_of_one_branch_the_message_tells_how_to_get_at_another(forge: Forge) -> None:
    write_version(forge.shop, 2, GIFT)
    forge.commit(forge.shop)
    clone = forge.ci(forge.shop, "github").clone
    run = forge.run("prism-check-schema --against git:origin/main", clone)
    assert run.code == 2
    fetch, revision = re.findall(r"`(git fetch .*)`, and name (git:\w+)", run.output)[0]
    forge.run(f"rm .git/FETCH_HEAD; {fetch}", clone)
    assert forge.run("prism-check-schema --against git:origin/main", clone).code == 2
    assert forge.run(f"prism-check-schema --against {revision}", clone).code == 1


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
