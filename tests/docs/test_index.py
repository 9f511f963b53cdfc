"""The index lists every page, links lead to headings that are there, and words are used as the vocabulary says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT, name_of, pages

INDEX = DOCS / "README.md"
VOCABULARY = DOCS / "explanation" / "vocabulary.md"
KINDS = {"tutorial": "Tutorial", "how-to": "How-to guides", "explanation": "Explanation", "reference": "Reference"}

_LINK = re.compile(r"\]\((?!https?:)(?P<file>[^)#]*)(?:#(?P<anchor>[^)]+))?\)")
_FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("folder", KINDS)
def test_the_index_lists_every_page_under_its_kind(folder: str) -> None:
    section = prose(INDEX).partition(f"## {KINDS[folder]}")[2].partition("\n## ")[0]
    listed = [match["file"] for match in _LINK.finditer(section)]
    # A folder within has an index of its own.
    there = [
        page.relative_to(DOCS).as_posix() for glob in ("*.md", "*/README.md") for page in (DOCS / folder).glob(glob)
    ]
    assert sorted(listed) == sorted(there), f"docs/README.md: the pages of {folder}/ and their list differ"


def test_the_index_of_a_folder_within_lists_every_page_of_it() -> None:
    folders = {page.parent for page in pages() if len(page.relative_to(ROOT).parts) > 3}
    assert folders
    for folder in folders:
        index = folder / "README.md"
        listed = {match["file"] for match in _LINK.finditer(prose(index)) if "/" not in match["file"]}
        there = {page.relative_to(folder).as_posix() for page in folder.rglob("*.md") if page != index}
        assert listed == there, f"{name_of(index)}: the pages there and their list differ"


def test_there_are_no_other_kinds_of_pages() -> None:
    assert {page.relative_to(DOCS).parts[0] for page in DOCS.rglob("*.md")} == {*KINDS, "README.md"}


def test_every_page_has_one_title() -> None:
    for page in pages():
        assert len(re.findall(r"^# ", prose(page), re.MULTILINE)) == 1, name_of(page)


def slug(heading: str) -> str:
    """As forges make anchors of headings."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def test_every_anchor_is_a_heading() -> None:
    broken = []
    for page in pages():
        for match in _LINK.finditer(prose(page)):
            target = (page.parent / match["file"]) if match["file"] else page
            if match["anchor"] and target.suffix == ".md":
                headings = re.findall(r"^#+ (.+)$", prose(target), re.MULTILINE)
                if match["anchor"] not in map(slug, headings):
                    broken.append(f"{name_of(page)}: {match[0]}")
    assert not broken


def avoided() -> Iterator[tuple[str, str]]:
    """Words that are not used, and those that are."""
    for line in VOCABULARY.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and len(cells) == 3 and cells[2] not in {"", "not", "---"}:
            yield from ((word, cells[0]) for word in cells[2].split(", "))


@pytest.mark.parametrize(("word", "instead"), list(avoided()))
def test_one_thing_has_one_name(word: str, instead: str) -> None:
    used = re.compile(rf"\b{re.escape(word)}(?:s|d|ed|ing|ation)?\b", re.IGNORECASE)
    found = [
        f"{name_of(page)}: {line.strip()}"
        for page in pages()
        if page != VOCABULARY
        for line in prose(page).splitlines()
        if used.search(line)
    ]
    assert not found, f"say {instead!r} instead of {word!r}"


def test_the_vocabulary_has_words_to_avoid() -> None:
    assert len(list(avoided())) > 10
