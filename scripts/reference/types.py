"""What a value may be, in words for people who write TOML."""

from __future__ import annotations

import datetime as dt
import types
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from prismlib.config.model import Secret
from prismlib.config.values import Duration, Name, PluginTable, Start, Topic
from prismlib.mapping.model import OneText, PathText, Scalar, Scalars

_NAMED: Final[Sequence[tuple[Any, str]]] = (
    (Duration, "duration"),
    (Name, "name"),
    (OneText, "path of one value"),
    (PathText, "path"),
    (Scalar, "text, number, true or false"),
    (Scalars, "text, number, true or false, or a list of them"),
    (Start, '`"earliest"`, `"latest"` or a time with its offset'),
    (Topic, "topic name"),
)
_SIMPLE: Final[Mapping[Any, str]] = {
    Any: "anything",
    bool: "true or false",
    dt.date: "day, such as `2026-12-31`",
    float: "number",
    int: "whole number",
    Path: "path of a file",
    Secret: "secret",
    str: "text",
}
_PLURALS: Final[Mapping[str, str]] = {"path": "paths", "secret": "secrets", "table": "tables"}


def type_text(annotation: Any, constraints: Iterable[Any] = ()) -> str:
    """Words for a type; raises TypeError for one that has none here."""
    for named, text in _NAMED:
        if annotation == named:
            return text
    if get_origin(annotation) is Annotated:
        inner, *extra = get_args(annotation)
        return type_text(inner, [*constraints, *extra])
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in {Union, types.UnionType}:
        return " or ".join(dict.fromkeys(type_text(one, constraints) for one in arguments if one is not type(None)))
    if origin is Literal:
        return ", ".join(f"`{toml_text(one)}`" for one in arguments)
    if origin in {tuple, list, Sequence}:
        one = type_text(arguments[0])
        return f"list of {_PLURALS.get(one, one)}"
    if origin in {dict, Mapping}:
        return "table"
    if isinstance(annotation, type) and issubclass(annotation, PluginTable):
        return "table of a stage"
    if isinstance(annotation, type) and (
        issubclass(annotation, BaseModel) or hasattr(annotation, "__dataclass_fields__")
    ):
        return "table"
    if annotation not in _SIMPLE:
        raise TypeError(f"no words for the type {annotation!r}: add them to {__name__}")
    return _SIMPLE[annotation] + _bounds(constraints)


def _bounds(constraints: Iterable[Any]) -> str:
    said: dict[str, str] = {}
    for one in constraints:
        for constraint in one.metadata if isinstance(one, FieldInfo) else [one]:
            match constraint:
                case annotated_types.Ge(low):
                    said["low"] = f"from {low}"
                case annotated_types.Gt(low):
                    said["low"] = f"above {low}"
                case annotated_types.Le(high):
                    said["high"] = f"to {high}" if said.get("low", "").startswith("from") else f"up to {high}"
    return "".join(f", {said[side]}" if side == "low" else f" {said[side]}" for side in ("low", "high") if side in said)


def default_text(annotation: Any, value: Any) -> str:
    """How a default would be written, "" for one that a user cannot write."""
    if annotation == Duration:
        return f'`"{value:g}s"`'
    return f"`{toml_text(value)}`" if isinstance(value, str | int | float) else ""


def toml_text(value: str | float) -> str:
    """A scalar as in a TOML file."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if isinstance(value, str) else str(value)
