"""Plays a page from top to bottom: files are written, commands are run, and what they print is compared.

In shown output, ``...`` inside a line stands for any text, and a line ``...`` for any lines. Runs of spaces count as one, because
the width of a table's columns depends on what is in it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.docs.commands import session_of
from tests.docs.pages import Block

SECONDS = 180
_OF_THE_TESTER = re.compile(r"PRISM_(SOURCE|SINK|REGISTRY|STORAGE|OBJECT_STORE|PLUGINS|DEBUG)")


class Session:
    """A shell in a folder, for one page or several in a row.

    Attributes:
        folder: where the page is played; commands may change it as in a shell.
        addresses: what the page shows in place of an address that differs on every machine, and what it is here.
    """

    def __init__(self, folder: Path, state: Path) -> None:
        """``state`` is a file outside of ``folder`` that keeps variables and folder from one command to the next."""
        self.folder = folder
        self.addresses: Mapping[str, str] = {}
        self._state = state
        self._state.write_text(f"cd '{folder}'\n")
        self._environment = {name: value for name, value in os.environ.items() if not _OF_THE_TESTER.match(name)} | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "PYTHONUNBUFFERED": "1",  # or standard output comes after standard error, as on no terminal
            "NO_COLOR": "1",
        }

    def play(self, block: Block) -> None:
        """Write the file that a block shows, or run its commands; other blocks are only to be read."""
        if block.file:
            path = self.folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self._here(block.text), encoding="utf-8")
        elif block.language == "console":
            for command, shown in session_of(block):
                printed = self.run(self._here(command), block.where)
                if shown:
                    self.compare(shown, printed, f"{block.where}: $ {command}")

    def run(self, command: str, where: str) -> str:
        """What a command prints on both outputs. Raises AssertionError unless it ends with 0."""
        script = f". '{self._state}'\n{command}\ncode=$?\n{{ export -p; echo \"cd '$PWD'\"; }} >'{self._state}'\nexit $code\n"
        done = subprocess.run(
            ["bash", "-c", script],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=SECONDS,
            env=self._environment,
            check=False,
        )
        assert done.returncode == 0, f"{where}: $ {command}: ended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def compare(self, shown: Sequence[str], printed: str, where: str) -> None:
        """Raises AssertionError with both texts when the page shows something else."""
        if not matches([self._here(line) for line in shown], printed):
            expected = "\n".join(shown)
            raise AssertionError(f"{where}: the page shows\n{expected}\nand the command prints\n{printed}")

    def _here(self, text: str) -> str:
        for shown, real in self.addresses.items():
            text = text.replace(shown, real)
        return text


def matches(shown: Sequence[str], printed: str) -> bool:
    """Whether output is as shown."""
    pattern = ""
    for line in map(_one_space, shown):
        if line == "...":
            pattern += r"(?:[^\n]*\n)*?"
        else:
            pattern += r"[^\n]*".join(map(re.escape, line.split("..."))) + r"\n"
    lines = "".join(f"{_one_space(line)}\n" for line in printed.splitlines())
    return re.fullmatch(pattern, lines) is not None


def _one_space(line: str) -> str:
    return " ".join(line.split())
