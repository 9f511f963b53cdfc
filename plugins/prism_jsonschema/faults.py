"""What JSON cannot hold, and where in a body it is."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import math
import uuid
from collections.abc import Iterable, Iterator
from typing import Any, Final

from prismlib.errors import InvalidValueError

_MAX_DEPTH: Final = 250


def has_non_finite(values: Iterable[Any]) -> bool:
    """Whether NaN or an infinity is among ``values`` or in what they hold."""
    for value in values:
        kind = value.__class__
        if kind is str or kind is int or value is None or kind is bool:
            continue
        if kind is float:
            if not math.isfinite(value):
                return True
        elif isinstance(value, dict):
            if has_non_finite(value.values()):
                return True
        elif isinstance(value, list | tuple):
            if has_non_finite(value):
                return True
        elif isinstance(value, enum.Enum) and has_non_finite((value.value,)):
            return True
    return False


def describe_fault(body: object, error: Exception) -> InvalidValueError:
    """The error for a body that could not be encoded, naming the first field at fault."""
    if isinstance(body, dict):
        for path, reason in _faults(body, "", 0):
            where = f"the field {path}" if path else "the body"
            return InvalidValueError(f"{where} {reason}", field=path or None)
    return error if isinstance(error, InvalidValueError) else InvalidValueError(f"the body cannot be JSON: {error}")


def _faults(value: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    if depth > _MAX_DEPTH:
        yield path[:200], "is nested too deeply"
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                yield path, f"has a key of type {type(key).__name__}; keys must be strings"
                continue
            yield from _text_faults(key, path)
            yield from _faults(item, f"{path}.{key}" if path else key, depth + 1)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _faults(item, f"{path}[{index}]", depth + 1)
    elif isinstance(value, enum.Enum):
        yield from _faults(value.value, path, depth + 1)
    else:
        yield from _scalar_faults(value, path)


def _scalar_faults(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield from _text_faults(value, path)
    elif isinstance(value, float):
        if not math.isfinite(value):
            yield path, "is NaN or infinite, which JSON cannot hold"
    elif isinstance(value, decimal.Decimal):
        if not value.is_finite():
            yield path, "is a decimal that is NaN or infinite, which JSON cannot hold"
    elif isinstance(value, int):
        if not -(1 << 63) <= value < 1 << 64:
            yield path, "is an integer of more than 64 bits; send it as a string"
    elif isinstance(value, dt.datetime):
        if value.tzinfo is None:
            yield path, "is a datetime without time zone; give it one"
    elif value is not None and not isinstance(value, dt.date | dt.time | uuid.UUID):
        yield path, f"is of type {type(value).__name__}, which JSON cannot hold"


def _text_faults(value: str, path: str) -> Iterator[tuple[str, str]]:
    try:
        value.encode()
    except UnicodeEncodeError:
        yield path, "holds half of a surrogate pair, which is no text"
