"""Equality as the suites mean it: ``==`` calls 1, 1.0 and True the same, and a codec must not."""

from __future__ import annotations

from typing import Any


def same(one: Any, other: Any) -> bool:
    """Whether two values made of dicts, lists and scalars are equal and of the same types throughout.

    Floats are compared by sign too, and NaN is the same as NaN.
    """
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        if {(type(key), key) for key in one} != {(type(key), key) for key in other}:
            return False
        return all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float):
        return repr(one) == repr(other)
    return bool(one == other)
