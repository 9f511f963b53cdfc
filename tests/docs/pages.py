"""The documentation as its readers have it: pages, and the code blocks on them.

A block is what its language tag says. An indented block has no tag and counts as ``sh``. A block belongs to a file when the
paragraph right before it ends with the file's path and a colon, as in "Write `mappings/orders.toml`:". It is a quotation of a
file of the repository when the comment ``<!-- from PATH -->`` stands right before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
RUNNABLE = "<!-- A test runs every command of this page, in this order, on real servers. -->"
"""Stands on pages that are played from top to bottom."""

_MARKDOWN = MarkdownIt("commonmark").enable("table")
_FILE = re.compile(r"`([\w][\w./-]*\.[a-z]+)`:$")

_QUOTED = re.compile(r"<!-- from (\S+) -->")


@dataclass(frozen=True, slots=True)
class Block:
    """One code block.

    Attributes:
        page: path below the repository.
        line: of its first line, from 1.
        language: the first word after the fence, "" for a fence without one, "sh" for an indented block.
        text: what is in it.
        file: the path of the file that it shows, "" when it shows none.
        quoted: the path of the file below the repository that it quotes, "" when it quotes none.
    """

    page: str
    line: int
    language: str
    text: str
    file: str = ""
    quoted: str = ""

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """README and everything below ``docs``."""
    return [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks_of(page: Path) -> list[Block]:
    return list(read_blocks(name_of(page), page.read_text(encoding="utf-8")))


def all_blocks() -> list[Block]:
    return [block for page in pages() for block in blocks_of(page)]


def read_blocks(page: str, text: str) -> Iterator[Block]:
    """The code blocks of a page's text, in its order."""
    tokens = _MARKDOWN.parse(text)
    for position, token in enumerate(tokens):
        if token.type not in {"fence", "code_block"}:
            continue
        assert token.map is not None
        fenced = token.type == "fence"
        language = (token.info.split() or [""])[0] if fenced else "sh"
        line = token.map[0] + 1 + fenced
        file = _before(tokens[:position], "inline", _FILE, steps=2)
        yield Block(
            page, line, language, token.content, file, _before(tokens[:position], "html_block", _QUOTED, steps=1)
        )


def _before(tokens: list[Token], kind: str, pattern: re.Pattern[str], *, steps: int) -> str:
    """What ``pattern`` finds in the token so many steps back, if that is of the kind: a paragraph is closed first."""
    if len(tokens) < steps or tokens[-steps].type != kind:
        return ""
    found = pattern.search(tokens[-steps].content)
    return found[1] if found else ""
