"""What compiled mappings call for values that their inlined code does not settle: casts and copies.

Everything here raises ValueError or TypeError for a value that does not fit, without the value in the message: the
compiled line that called knows which field it was and what was asked.
"""

from __future__ import annotations

import copy
import datetime as dt
from collections.abc import Callable, Mapping
from decimal import Decimal
from math import isfinite
from typing import Any, Literal, TypeAlias

Cast: TypeAlias = Literal["int", "float", "str", "bool"]

ATOMS = frozenset({str, int, float, bool, type(None), bytes, Decimal, dt.datetime, dt.date})
"""Types of values that nobody can change, so that a body may hold the very object of its row."""

TEXTUAL = frozenset({str, int, float, Decimal})
"""What a template takes: a bool or a list in an id is a mistake."""

_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


_all_atoms = ATOMS.issuperset


def plain(value: Any) -> Any:
    """A copy that shares no mutable value with its original; tuples become lists."""
    # issuperset is one loop in C, half the time of looking at each value here.
    kind = value.__class__
    if kind is list:
        return value.copy() if _all_atoms(map(type, value)) else [plain(item) for item in value]
    if kind is dict:
        if _all_atoms(map(type, value.values())):
            return value.copy()
        return {key: plain(item) for key, item in value.items()}
    if kind in ATOMS:
        return value
    return plain(list(value)) if isinstance(value, tuple) else copy.deepcopy(value)


def to_int(value: Any) -> int:
    """A whole number; nothing is cut off: 3.7 does not fit."""
    if isinstance(value, str | int):
        return int(value)
    if isinstance(value, float | Decimal) and value == value // 1:
        return int(value)
    raise TypeError


def to_float(value: Any) -> float:
    """A finite number: JSON has no NaN and no infinity."""
    if isinstance(value, str | int | float | Decimal):
        number = float(value)
        if isfinite(number):
            return number
        raise ValueError
    raise TypeError


def to_str(value: Any) -> str:
    """Text of a scalar; truth as ``true`` and ``false``, a decimal with its digits."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        return str(value)
    raise TypeError


def to_bool(value: Any) -> bool:
    """True and false, 1 and 0, yes and no, in any case."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _lookup(value.strip().lower())
    if isinstance(value, int) and value in {0, 1}:
        return value == 1
    raise TypeError


def _lookup(word: str) -> bool:
    try:
        return _WORDS[word]
    except KeyError:
        raise ValueError from None


CASTS: Mapping[Cast, Callable[[Any], Any]] = {"int": to_int, "float": to_float, "str": to_str, "bool": to_bool}


def item_at(values: Any, index: int) -> Any:
    """One element, or None behind the end."""
    if not isinstance(values, list | tuple):
        raise TypeError
    return values[index] if index < len(values) else None


def to_list(values: Any) -> list[Any]:
    """The elements of a list or tuple; text is not one."""
    if not isinstance(values, list | tuple):
        raise TypeError
    return list(values)
