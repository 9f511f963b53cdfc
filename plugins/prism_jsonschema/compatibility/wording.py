"""What the rules' sentences have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prism_jsonschema.compatibility.nodes import NUMBERS, Node
from prism_jsonschema.compatibility.pairs import Values

TEXTS = NUMBERS | {"string"}
"""The types whose values a format can say more about."""

_ORDER = ("null", "boolean", "integer", "number", "string", "array", "object")


def words(types: frozenset[str]) -> list[str]:
    """The words of ``type`` for some of ALL_TYPES; ``fraction`` by itself is said as number."""
    found = set(types - NUMBERS)
    if "fraction" in types:
        found.add("number")
    elif "integer" in types:
        found.add("integer")
    return [word for word in _ORDER if word in found]


def joined(parts: Sequence[str]) -> str:
    """``a``, ``a or b``, ``a, b or c``."""
    return " or ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))


def of_types(types: frozenset[str]) -> str:
    """Types in a sentence."""
    return "anything" if len(types) == 7 else joined(words(types)) or "nothing"


def one_of(lost: frozenset[str], types: frozenset[str]) -> str:
    """Types that are lost, of those that are written."""
    return "anything" if len(types) == 7 else joined(words(lost))


def listed(values: Iterable[str]) -> str:
    """Values in a sentence, sorted, the first few of many."""
    sorted_values = sorted(values)
    rest = len(sorted_values) - 8
    return ", ".join(sorted_values[:8]) + (f" and {rest} more" if rest > 0 else "") or "none"


def bound_text(upper: int, bound: tuple[float, bool]) -> str:
    """A bound of numbers as it is written."""
    word = "aximum" if upper else "inimum"
    return f"exclusiveM{word} {bound[0]}" if bound[1] else f"m{word} {bound[0]}"


def size_change(pair: Values, least: str, least_attribute: str, most: str, most_attribute: str) -> str | None:
    """What is wrong with a smallest and a largest size, in the words of their keywords."""
    read = getattr(pair.reader, least_attribute)
    written = max((getattr(part, least_attribute) for part in pair.writer.parts), default=0)
    if written < read:
        return f"{pair.place.subject} is written with {_said(least, written)} and read with {least} {read}"
    read = getattr(pair.reader, most_attribute)
    sizes = [one for part in pair.writer.parts if (one := getattr(part, most_attribute)) is not None]
    if read is not None and (not sizes or min(sizes) > read):
        return f"{pair.place.subject} is written with {_said(most, min(sizes, default=0))} and read with {most} {read}"
    return None


def _said(keyword: str, size: float) -> str:
    return f"{keyword} {size}" if size else f"no {keyword}"


def formats(nodes: Iterable[Node]) -> str:
    """How a text is to be understood: ``as date-time``, ``as base64 of image/png``; "" where nothing is said."""
    found = [text for node in nodes for text in (node.format, node.encoding) if text]
    return "as " + " and ".join(sorted(set(found))) if found else ""
