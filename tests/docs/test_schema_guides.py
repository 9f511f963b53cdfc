"""What the guides about schemas show is what the check prints, in the repositories of the example."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.commands import session_of
from tests.docs.pages import DOCS, blocks_of
from tests.docs.sessions import matches
from tests.examples.forge import Forge, release, write_version


@pytest.fixture
def forge(tmp_path: Path) -> Forge:
    return Forge(tmp_path)


def plays(forge: Forge, repository: Path, page: str, number: int, code: int) -> None:
    """The command of a page's console block prints what the page shows."""
    block = [block for block in blocks_of(DOCS / "how-to" / page) if block.language == "console"][number]
    ((command, shown),) = session_of(block)
    run = forge.run(command, repository)
    assert run.code == code, run.output
    assert matches(shown, run.output), f"{block.where}: the command prints\n{run.output}"


def test_the_producers_guide(forge: Forge) -> None:
    write_version(forge.shop, 2, {"name": "gift", "type": "boolean", "default": False})
    plays(forge, forge.shop, "check-schemas-in-ci.md", 0, 0)
    write_version(forge.shop, 2, without="customer")
    plays(forge, forge.shop, "check-schemas-in-ci.md", 1, 1)


def test_the_consumers_guide(forge: Forge) -> None:
    plays(forge, forge.billing, "consumer-contracts.md", 0, 0)
    mapping = forge.billing / "mappings/orders.toml"
    text = mapping.read_text()
    mapping.write_text(text.replace("[event.measures]", 'coupon = "coupon"\n[event.measures]'))
    plays(forge, forge.billing, "consumer-contracts.md", 2, 1)
    mapping.write_text(text)
    write_version(forge.shop, 2, without="customer")
    release(forge)
    plays(forge, forge.billing, "consumer-contracts.md", 1, 1)
