"""What a pipeline file may say about an Elasticsearch sink."""

from __future__ import annotations

import re
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, field_validator, model_validator

from prismlib.config.model import Model, Secret
from prismlib.config.values import Duration

_INDEX_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,199}")
_FIELD_NAME = re.compile(r"[A-Za-z@][A-Za-z0-9@_-]*")


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        has_port = parts.port is None or parts.port > 0
    except ValueError:
        raise ValueError("is no address; write it like http://127.0.0.1:9200") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or not has_port or parts.query or parts.fragment:
        raise ValueError("is no address; write it like http://127.0.0.1:9200")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold credentials; use username and password, or api_key")
    return value.rstrip("/")


def _index_name(value: str) -> str:
    if not _INDEX_NAME.fullmatch(value):
        raise ValueError("must be lower-case letters, digits, '.', '_' and '-', and begin with a letter or digit")
    return value


def _field_name(value: str) -> str:
    if not _FIELD_NAME.fullmatch(value):
        raise ValueError("must be the name of a top-level field")
    return value


Url = Annotated[str, AfterValidator(_url)]
IndexName = Annotated[str, AfterValidator(_index_name)]
FieldName = Annotated[str, AfterValidator(_field_name)]


class ElasticsearchConfig(Model):
    """The table ``[sink]`` with ``type = "elasticsearch"``.

    Attributes:
        url: one address, or the addresses of several nodes of one cluster, which are used in turn.
        alias: where documents are written; setup creates the index ``ALIAS-000001`` behind it.
        time_field: the event's time, a date in the index.
        api_key: the encoded key as Elasticsearch shows it.
        username: for basic authentication, with ``password``.
        password: see ``username``.
        ca_certs: file with the certificates to trust, relative to ``prism.toml``, or to the pipeline file where there is
            none; the system's when left out.
        verify: check the server's certificate.
        max_in_flight: bulk requests at once.
        max_documents: documents in one bulk request.
        max_bytes: bytes of bodies in one bulk request.
        gzip: compress requests: about twice the CPU, for slow networks only.
        request_timeout: how long to wait for one answer.
        ledger_index: where progress is kept; pipelines may share it.
        number_of_shards: of indices that setup creates.
        number_of_replicas: of indices that setup creates.
    """

    url: Url | list[Url]
    alias: IndexName
    time_field: FieldName = "time"
    api_key: Secret | None = None
    username: Secret | None = None
    password: Secret | None = None
    ca_certs: str | None = None
    verify: bool = True
    max_in_flight: int = Field(default=3, ge=1, le=16)
    max_documents: int = Field(default=2_000, ge=1, le=50_000)
    max_bytes: int = Field(default=5 << 20, ge=1_024, le=100 << 20)
    gzip: bool = False
    request_timeout: Duration = 30.0
    ledger_index: IndexName = "prism-ledger"
    number_of_shards: int = Field(default=1, ge=1, le=1_024)
    number_of_replicas: int = Field(default=1, ge=0, le=10)

    @property
    def urls(self) -> list[str]:
        """All addresses."""
        return [self.url] if isinstance(self.url, str) else self.url

    @field_validator("url")
    @classmethod
    def _some_url(cls, value: str | list[str]) -> str | list[str]:
        if not value:
            raise ValueError("must name at least one address")
        return value

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password must be given together")
        if self.api_key is not None and self.username is not None:
            raise ValueError("give api_key or username and password, not both")
        if self.ca_certs is not None and not all(url.startswith("https://") for url in self.urls):
            raise ValueError("ca_certs needs every url to begin with https://")
        if self.ledger_index == self.alias or self.ledger_index.startswith(f"{self.alias}-"):
            raise ValueError(f"ledger_index must not be named like the generations {self.alias}-*")
        return self
