"""What a user writes in ``[source]`` and ``[sink]`` of type ``embedded``. Where the file is, ``[storage] path`` says."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from prismlib.config.model import Model
from prismlib.config.values import Duration, Topic

_ALIAS = re.compile(r"[a-z0-9][a-z0-9._-]{0,199}")
SHORTEST_SESSION = 1.0
"""Seconds. A shorter one would take a worker for dead that waits for another's transaction."""


def _alias(value: str) -> str:
    if not _ALIAS.fullmatch(value):
        raise ValueError("must be lower-case letters, digits, '.', '_' and '-', and begin with a letter or digit")
    return value


Alias = Annotated[str, AfterValidator(_alias)]
"""The same names as Elasticsearch allows, so that a pipeline can move there."""


class EmbeddedSourceConfig(Model):
    """``[source]`` of type ``embedded``.

    Attributes:
        session_timeout: after this long without a sign of life of a worker, its partitions go to the others.
    """

    session_timeout: Duration = 6.0

    @field_validator("session_timeout")
    @classmethod
    def _long_enough(cls, value: float) -> float:
        if value < SHORTEST_SESSION:
            raise ValueError(f"must be at least {SHORTEST_SESSION:g}s")
        return value


class EmbeddedSinkConfig(Model):
    """``[sink]`` of type ``embedded``, without what the core reads itself. Either ``topic`` or ``alias``.

    Attributes:
        topic: a log, written in transactions together with the source's offsets.
        alias: a document store; setup creates the index ``ALIAS-000001`` behind it.
        partitions: of the topic when setup creates it; default: as many as the source topic that has most.
    """

    topic: Topic | None = None
    alias: Alias | None = None
    partitions: int | None = Field(default=None, ge=1, le=1_000)

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.topic is None) == (self.alias is None):
            raise ValueError("give either topic, for a log, or alias, for a document store")
        if self.alias is not None and self.partitions is not None:
            raise ValueError("partitions belongs to topic; an alias has none")
        return self
