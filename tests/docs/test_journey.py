"""The tutorial and what continues it, played in one empty folder on the servers that `prism dev up` starts."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, RUNNABLE, blocks_of, name_of, pages
from tests.docs.sessions import Session, matches

JOURNEY = (DOCS / "tutorial" / "first-pipeline.md", DOCS / "how-to" / "add-a-topic.md")
KAFKA, ELASTICSEARCH = "127.0.0.1:21092", "127.0.0.1:21200"
"""The addresses that the pages show; `prism dev up` chooses others on every machine."""


def dev(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "prismlib.cli.main", "dev", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120).stdout


class DevSession(Session):
    """Learns the addresses of the servers as soon as they are up."""

    def run(self, command: str, where: str) -> str:
        printed = super().run(command, where)
        if command.startswith("prism dev up"):
            servers = {
                one["kind"]: one["address"] for one in json.loads(dev(self.folder, "status", "--json"))["servers"]
            }
            self.addresses = {
                KAFKA: servers["kafka"],
                ELASTICSEARCH: servers["elasticsearch"].removeprefix("http://"),
            }
        return printed


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    folder = tmp_path / "shop"
    folder.mkdir()
    try:
        yield DevSession(folder, tmp_path / "state.sh")
    finally:
        dev(folder, "down")


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="the pages use curl")
def test_the_journey_goes_as_its_pages_say(session: Session) -> None:
    for page in JOURNEY:
        for block in blocks_of(page):
            session.play(block)


def test_every_page_that_says_that_it_is_run_is_run() -> None:
    marked = [name_of(page) for page in pages() if RUNNABLE in page.read_text(encoding="utf-8")]
    assert sorted(marked) == sorted(map(name_of, JOURNEY))


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        (["a  b"], "a b\n", True),
        (["a b", "c"], "a b\n", False),
        (["a b"], "a b\nc\n", False),
        (["..."], "", True),
        (["...", "c"], "a\nb\nc\n", True),
        (["a ... c"], "a b b c\n", True),
        (["a ... c"], "a b b\n", False),
        (["a(b)"], "a(b)\n", True),
        (["read=3 ..."], "read=4 delivered=3\n", False),
    ],
)
def test_output_is_compared(shown: list[str], printed: str, *, same: bool) -> None:
    assert matches(shown, printed) is same


def test_a_command_that_fails_or_prints_something_else_is_found(tmp_path: Path) -> None:
    session = Session(tmp_path, tmp_path / "state.sh")
    session.run("export SHOP=bonn; mkdir -p x; cd x", "page:1")
    session.compare(["bonn", f"{tmp_path}/x"], session.run("echo $SHOP; pwd", "page:2"), "page:2")
    with pytest.raises(AssertionError, match=r"page:3: \$ false: ended with 1"):
        session.run("false", "page:3")
    with pytest.raises(AssertionError, match="page:4: the page shows\nparis\nand the command prints\nbonn"):
        session.compare(["paris"], session.run("echo $SHOP", "page:4"), "page:4")
