"""Templates such as ``{carrier}{flight}-{month:02}``: fields and simple formats, nothing else of ``str.format``.

``str.format`` itself lets a template read attributes (``{x.__class__}``) and allocate without bound (``{x:999999999}``).
Here a placeholder is a path, and a format is a width of at most three digits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from prismlib.mapping.paths import Path, parse_path

_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]|[^{}]+")
_INTEGER = re.compile(r"0?[1-9]?\d{0,2}d|0\d{1,3}")
_TEXT = re.compile(r"[<>^]?[1-9]\d{0,2}s?|s")


@dataclass(frozen=True, slots=True)
class Placeholder:
    """One ``{path:format}``.

    Attributes:
        path: of the field.
        text: the path as written.
        format: for Python's ``format``; ends in ``d`` where only a whole number will do.
    """

    path: Path
    text: str
    format: str


def parse_template(template: str) -> tuple[str | Placeholder, ...]:
    """Literal texts and placeholders, in order; ``{{`` and ``}}`` stand for braces.

    Raises:
        ValueError: one sentence for the person who wrote it.
    """
    parts: list[str | Placeholder] = []
    for match in _PIECE.finditer(template):
        piece, inside = match[0], match[1]
        if inside is not None:
            parts.append(_placeholder(inside))
        elif piece in {"{", "}"}:
            raise ValueError(
                f"the template has a single {piece!r} at character {match.start() + 1}; write it twice for itself"
            )
        else:
            parts.append(piece[0] if piece in {"{{", "}}"} else piece)
    if not any(isinstance(part, Placeholder) for part in parts):
        raise ValueError("the template has no {field}; write const for a fixed text")
    return tuple(parts)


def _placeholder(inside: str) -> Placeholder:
    text, colon, written = inside.partition(":")
    if "!" in text:
        raise ValueError(f"the template has {{{inside}}}; conversions such as !r are not allowed")
    if not text:
        raise ValueError("the template has {}; name a field, as in {carrier}")
    path = parse_path(text, lists=False)
    if not colon or not written:
        return Placeholder(path, text, "")
    if _INTEGER.fullmatch(written):
        # Without the d, Python pads text on the other side: format("1", "02") is "10".
        return Placeholder(path, text, written.removesuffix("d") + "d")
    if _TEXT.fullmatch(written):
        return Placeholder(path, text, written)
    raise ValueError(
        f"the template has the format {written!r}; allowed are widths such as 02 (whole numbers) and <10, >10, ^10 (text)"
    )
