"""Whether a property's name matches a pattern, where that can be said: in bounded time, and as every dialect says it."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_MOST_STEPS: Final = 100_000
_PLAIN_NAME: Final = re.compile(r"[ -~]*")
_HARD: Final = re.compile(r"\\[^dDwWsStnrfv.*+?^$|()\[\]{}/\\-]|\(\?(?!:)|\)[*+?{]")
"""Back references, other classes, look-around, and a repeated group, whose search may never end."""
_REPEATED: Final = re.compile(r"[*+?{]")


@lru_cache(4096)
def _compiled(pattern: str) -> tuple[re.Pattern[str], int] | None:
    if len(pattern) > 500 or _HARD.search(pattern) or not _PLAIN_NAME.fullmatch(pattern):
        return None
    try:
        # $ of Python also matches before a last line feed, which no plain name has.
        return re.compile(pattern, re.ASCII), len(_REPEATED.findall(pattern))
    except (re.error, OverflowError, RecursionError):
        return None


def matches(pattern: str, name: str) -> bool | None:
    """Whether ``pattern`` is found in ``name``; None where it cannot be said."""
    known = _compiled(pattern)
    if known is None or not _PLAIN_NAME.fullmatch(name):
        return None
    expression, repeats = known
    if (len(name) + 1) ** (repeats + 1) > _MOST_STEPS:
        return None
    return expression.search(name) is not None
