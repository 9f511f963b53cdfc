"""Code that a page quotes stands in the file that it names, word for word."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
QUOTED_ONLY = ["docs/how-to/embed.md", "docs/how-to/write-a-plugin.md"]
"""Pages whose Python is quoted, so that all of it is run by the tests of the files that it comes from."""

_QUOTE = re.compile(r"<!-- from (\S+) -->\n+```\w+\n(.*?)```", re.DOTALL)


def quotes() -> list[tuple[str, str, str]]:
    return [
        (page.relative_to(ROOT).as_posix(), file, text)
        for page in PAGES
        for file, text in _QUOTE.findall(page.read_text())
    ]


def stands_in(text: str, whole: str) -> bool:
    """Also when it is less indented than there."""
    return any(f"\n{textwrap.indent(text, ' ' * width)}" in f"\n{whole}" for width in (0, 4, 8))


def test_a_quote_is_compared_line_by_line() -> None:
    whole = "class A:\n    def f(self):\n        return 1\n\n    x = 2\n"
    assert stands_in("def f(self):\n    return 1\n\nx = 2\n", whole)
    assert stands_in(whole, whole)
    assert not stands_in("def f(self):\n    return 2\n", whole)
    assert not stands_in("f(self):\n    return 1\n", whole)


@pytest.mark.parametrize(("page", "file", "text"), quotes())
def test_what_a_page_quotes_is_there(page: str, file: str, text: str) -> None:
    assert stands_in(text, (ROOT / file).read_text()), f"{page} quotes what {file} does not say:\n{text}"


@pytest.mark.parametrize("page", QUOTED_ONLY)
def test_all_python_of_these_pages_is_quoted(page: str) -> None:
    text = (ROOT / page).read_text()
    assert text.count("```python\n") == sum("```python" in match[0] for match in _QUOTE.finditer(text)), (
        f"{page} has Python that is not quoted with <!-- from FILE -->"
    )
