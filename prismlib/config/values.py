"""Values that several tables have in common: names, durations, moments, and tables whose other keys a plugin knows."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import AfterValidator, ConfigDict, Field, PlainValidator, model_validator

from prismlib.config.model import Model

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,248}")
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def is_name(value: str) -> bool:
    """Whether it may name a pipeline or worker."""
    return _NAME.fullmatch(value) is not None


def _name(value: str) -> str:
    if not is_name(value):
        raise ValueError("must be 1 to 249 letters, digits, '.', '_' or '-', and begin with a letter or digit")
    return value


def _topic(value: str) -> str:
    if not _TOPIC.fullmatch(value) or value in {".", ".."}:
        raise ValueError("is no topic name: 1 to 249 letters, digits, '.', '_' and '-' are allowed")
    return value


def _text(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty")
    return value


def duration(value: object) -> float:
    """Seconds of ``"500ms"``, ``"1s"``, ``"2.5m"``, ``"1h"`` or ``"2d"``. Raises ValueError."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('must be a duration such as "500ms", "1s", "5m" or "1h"')
    seconds = float(match[1]) * _SECONDS[match[2]]
    if seconds <= 0:
        raise ValueError("must be longer than nothing")
    return seconds


def _start(value: object) -> Literal["earliest", "latest"] | int:
    """One of the two words, or milliseconds since the epoch."""
    if value == "earliest":
        return "earliest"
    if value == "latest":
        return "latest"
    found = moment_ms(value)
    if found is None:
        raise ValueError('must be "earliest", "latest" or a time with its offset, such as 2025-03-01T06:00:00Z')
    return found


def moment_ms(value: object) -> int | None:
    """Milliseconds since the epoch of a time with its offset, or None where it is no such time."""
    moment = value
    if isinstance(value, str):
        try:
            moment = dt.datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(moment, dt.datetime) or moment.tzinfo is None:
        return None
    return round(moment.timestamp() * 1000)


Name: TypeAlias = Annotated[str, AfterValidator(_name)]
"""Name of a pipeline or worker: also a consumer group, part of topic names and of transactional ids."""
Topic: TypeAlias = Annotated[str, AfterValidator(_topic)]
Text: TypeAlias = Annotated[str, AfterValidator(_text)]
Duration: TypeAlias = Annotated[float, PlainValidator(duration)]
"""Written as text with a unit, kept as seconds."""
Start: TypeAlias = Annotated[Literal["earliest", "latest"] | int, PlainValidator(_start)]
"""Kept as one of the words, or as milliseconds since the epoch."""
Share: TypeAlias = Annotated[float, Field(gt=0, le=1)]


class OpenTable(Model):
    """A table whose other keys only the model of some plugin knows."""

    model_config = ConfigDict(extra="allow")

    @property
    def settings(self) -> Mapping[str, Any]:
        """Every other key, as it was read."""
        return self.model_extra or {}

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Without the values of other keys: a password written out in the file may be among them."""
        for name, value in super().__repr_args__():
            yield name, "..." if name in self.settings else value


class PluginTable(OpenTable):
    """A table whose ``type`` names a stage.

    Attributes:
        type: name of the stage, such as ``"kafka"``; the other keys of the table are that stage's.
        settings: every other key, as it was read.
    """

    type: Text

    @model_validator(mode="after")
    def _type_is_a_name(self) -> Self:
        if "type" in self.model_fields_set:
            _name(self.type)
        return self
