"""What a user writes in ``[source]`` and ``[sink]`` of type ``kafka``; imports no client library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from pydantic import Field, field_validator

from prismlib.config.model import Model, Secret

Option: TypeAlias = bool | int | float | str | Secret
Options: TypeAlias = Mapping[str, Option]

REFUSED: Final[Mapping[str, str]] = {
    "enable.auto.commit": "offsets are committed by Prism alone, once their records are settled",
    "enable.auto.offset.store": "offsets are committed by Prism alone, once their records are settled",
    "auto.commit.interval.ms": "offsets are committed by Prism alone; say commit_interval in [sink]",
    "auto.offset.reset": "it would skip records silently; say where a fresh pipeline starts with the pipeline's `start`",
    "enable.partition.eof": "the end of a partition is no record",
    "group.id": "the consumer group is named after the pipeline",
    "isolation.level": "records of aborted transactions must not be read",
    "transactional.id": "it is derived from the names of pipeline and worker, so that a successor fences its predecessor",
    "bootstrap.servers": "say it with `servers`",
    "metadata.broker.list": "say it with `servers`",
    "message.max.bytes": "it follows from the topics' max.message.bytes, so that dead letters always fit",
    "allow.auto.create.topics": "a mistyped topic would be created; `prism setup` creates what is needed",
    "delivery.report.only.error": "a report for every record costs time, and Prism needs those of failures alone",
    "enable.gapless.guarantee": "one refused record would end the producer",
    "queuing.strategy": "records of one partition must keep their order",
    "plugin.library.paths": "native interceptors see every record and no rule of Prism",
}
"""Options that are refused whatever their value, and why."""

ONLY: Final[Mapping[str, tuple[frozenset[str], str]]] = {
    "enable.idempotence": (frozenset({"true"}), "retries of the producer would write records twice"),
    "acks": (frozenset({"all", "-1"}), "a record that only one broker has is lost with that broker"),
    "request.required.acks": (frozenset({"all", "-1"}), "a record that only one broker has is lost with that broker"),
}
"""Options that may have these values only."""


def option_text(value: Option) -> str:
    """As librdkafka reads it; reveals secrets, so hand it to the client only."""
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _flat(value: object) -> object:
    """TOML makes tables of ``sasl.username = "x"`` without quotes; the option is meant all the same."""
    if not isinstance(value, dict):
        return value
    flat: dict[str, object] = {}
    for name, inner in value.items():
        below = _flat(inner)
        flat.update({f"{name}.{rest}": v for rest, v in below.items()} if isinstance(below, dict) else {name: below})
    return flat


def _checked(options: dict[str, Option]) -> dict[str, Option]:
    for name, value in options.items():
        if name in REFUSED:
            raise ValueError(f"{name} is refused: {REFUSED[name]}")
        if name in ONLY:
            allowed, reason = ONLY[name]
            if option_text(value).lower() not in allowed:
                raise ValueError(f"{name} must be {' or '.join(sorted(allowed))}: otherwise {reason}")
    return options


def _not_empty(value: str | None) -> str | None:
    if value is not None and not value.strip():
        raise ValueError('must name at least one broker, such as "127.0.0.1:9092"')
    return value


class KafkaSourceConfig(Model):
    """``[source]`` of type ``kafka``.

    Attributes:
        servers: ``host:port`` of one broker or more, joined by commas.
        options: settings of librdkafka, such as ``"security.protocol"``; what would break a promise is refused, with the
            reason.
    """

    servers: str
    options: dict[str, Option] = Field(default_factory=dict)

    _servers = field_validator("servers")(_not_empty)
    _nested = field_validator("options", mode="before")(_flat)
    _options = field_validator("options")(_checked)


class KafkaSinkConfig(Model):
    """``[sink]`` of type ``kafka``, without what the core reads itself.

    Attributes:
        topic: where documents go.
        servers: as in the source; left out, the source's, if that is of type ``kafka`` too.
        options: likewise.
        partitions: of the topic when ``prism setup`` creates it; default: as many as the source topic that has most.
    """

    topic: str = Field(min_length=1)
    servers: str | None = None
    options: dict[str, Option] | None = None
    partitions: int | None = Field(default=None, ge=1)

    _servers = field_validator("servers")(_not_empty)

    _nested = field_validator("options", mode="before")(_flat)

    @field_validator("options")
    @classmethod
    def _check_options(cls, options: dict[str, Option] | None) -> dict[str, Option] | None:
        return None if options is None else _checked(options)
