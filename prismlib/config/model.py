"""Typed, frozen configuration: TOML in, one sentence out for everything that is wrong with it."""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, core_schema

from prismlib.errors import ConfigError


class Secret(str):
    """A string from ``{ env = "NAME" }`` or ``{ file = "PATH" }``: it never shows itself in a repr, a log or an error."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return "***"

    def reveal(self) -> str:
        """The secret itself, for the client that needs it."""
        return str.__str__(self)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Accepts a plain string too, for a test server's password written out in the file."""
        return core_schema.no_info_plain_validator_function(cls._from)

    @classmethod
    def _from(cls, value: object) -> Secret:
        if isinstance(value, Secret):
            return value
        if isinstance(value, str):
            return cls(value)
        raise ValueError('must be a string, { env = "NAME" } or { file = "PATH" }')


class Model(BaseModel):
    """Base of every table that a user writes: unknown keys are refused, values cannot change afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


M = TypeVar("M", bound=BaseModel)
_TABLE_OF_ARRAY = re.compile(r"[^.\[]+\[\d+\]")


def file_digest(path: Path) -> bytes | None:
    """Tells two contents of a file apart; None while it cannot be read. Reads all of it, so that no clock is trusted."""
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError:
        return None


def read_toml(path: Path) -> dict[str, Any]:
    """Parse a TOML file and resolve its secrets.

    Raises:
        ConfigError: it is missing, not readable, not TOML, or names a secret that is not there.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    return resolve_secrets(data, path)


def resolve_secrets(tables: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """A copy of ``tables`` in which secrets stand where ``{ env = "NAME" }`` and ``{ file = "PATH" }`` named them.

    Raises:
        ConfigError: a secret is not there.
    """
    return {key: _resolve(value, path, key) for key, value in tables.items()}


def validate(model: type[M], data: Mapping[str, Any], where: str, also: Collection[str] = ()) -> M:
    """Build ``model`` from a table.

    Args:
        model: the table's type.
        data: as read by :func:`read_toml`.
        where: what to name in errors: a file, or a file and a table.
        also: keys of the same table that were taken out of ``data`` before, to be suggested for an unknown one.

    Raises:
        ConfigError: one sentence for each wrong key, with the nearest known one.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        lines = [_sentence(model, problem, also) for problem in error.errors(include_input=False, include_url=False)]
        raise ConfigError("\n".join(f"{where}: {line}" for line in dict.fromkeys(lines))) from None


def _resolve(value: Any, path: Path, key: str) -> Any:
    if isinstance(value, dict):
        if len(value) == 1:
            ((kind, name),) = value.items()
            if kind == "env" and isinstance(name, str):
                if name not in os.environ:
                    raise ConfigError(f"{path}: {key}: the environment variable {name} is not set")
                return Secret(os.environ[name])
            # Of an array of tables, such as [[pipeline]], `file` is a key like any other.
            if kind == "file" and isinstance(name, str) and not _TABLE_OF_ARRAY.fullmatch(key):
                try:
                    return Secret((path.parent / name).read_text(encoding="utf-8").rstrip("\r\n"))
                except (OSError, UnicodeDecodeError) as error:
                    raise ConfigError(f"{path}: {key}: the secret file {name} cannot be read: {error}") from error
        return {k: _resolve(v, path, f"{key}.{k}" if key else k) for k, v in value.items()}
    if isinstance(value, list):
        return [_resolve(v, path, f"{key}[{i}]") for i, v in enumerate(value)]
    return value


def _sentence(model: type[BaseModel], problem: Any, also: Collection[str]) -> str:
    place = [part for part in problem["loc"] if not (isinstance(part, str) and "[" in part)]
    name = ".".join(str(p) for p in place)
    kind = problem["type"]
    if kind == "extra_forbidden":
        known = [*_keys_at(model, place[:-1]), *(also if len(place) == 1 else ())]
        near = difflib.get_close_matches(str(place[-1]), known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(sorted(known))}" if known else ""
        return f"unknown key {name!r}{hint}"
    if kind == "missing":
        return f"the key {name!r} is missing"
    if kind in {"model_type", "dict_type", "model_attributes_type"}:
        return f"{name!r}: must be a table" if name else "must be a table"
    message = problem["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    message = message.replace("Input should be", "must be")
    return f"{name!r}: {message[0].lower()}{message[1:]}" if name else message


def _keys_at(model: type[BaseModel], place: list[Any]) -> list[str]:
    """Keys that the table at ``place`` may have; [] where that is not a model."""
    models: list[type[BaseModel]] = [model]
    for part in place:
        if isinstance(part, int):
            continue
        found = [f for m in models for n, f in m.model_fields.items() if part in (n, f.alias)]
        if found:
            models = [m for f in found for m in _models_in(f.annotation)]
    return [field.alias or name for m in models for name, field in m.model_fields.items()]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if isinstance(annotation, UnionType) or get_origin(annotation) is not None:
        return [m for arg in get_args(annotation) for m in _models_in(arg)]
    return []
