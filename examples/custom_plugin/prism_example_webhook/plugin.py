"""The entry point, as ``pyproject.toml`` names it. Client libraries are imported only when a stage is made."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from prismlib import BuildContext, Duration, Model, Secret, StageSpec, hookimpl

if TYPE_CHECKING:
    from prism_example_webhook.decoder import MessagePackDecoder
    from prism_example_webhook.sink import WebhookSink


def _address(url: Secret) -> Secret:
    try:
        parts = urlsplit(url.reveal())
        fits = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0 and not parts.fragment
    except ValueError:
        fits = False
    if not fits:
        raise ValueError("is no address; write it like https://hooks.example.org/orders")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold credentials; use token")
    return url


def _printable(token: Secret) -> Secret:
    if not (token.reveal().isascii() and token.reveal().isprintable() and token.reveal().strip()):
        raise ValueError("holds characters that no token has")
    return token


class WebhookConfig(Model):
    """``[sink]`` of type ``webhook``.

    Attributes:
        url: where documents are posted; secret, because services like to put a token into it.
        token: sent as ``Authorization: Bearer TOKEN``.
        timeout: how long to wait for one answer.
        max_documents: in one request.
    """

    url: Annotated[Secret, AfterValidator(_address)]
    token: Annotated[Secret, AfterValidator(_printable)] | None = None
    timeout: Duration = 10.0
    max_documents: int = Field(default=500, ge=1, le=10_000)


class MessagePackConfig(Model):
    """A route's ``decode`` of type ``msgpack``.

    Attributes:
        max_depth: maps and lists inside each other.
        max_items: in one map or list.
    """

    max_depth: int = Field(default=32, ge=1, le=100)
    max_items: int = Field(default=4_096, ge=1, le=1_000_000)


def _sink(config: WebhookConfig, _: BuildContext) -> WebhookSink:
    from prism_example_webhook.sink import WebhookSink  # noqa: PLC0415  # the client library stays out until needed

    return WebhookSink(config.url, token=config.token, timeout=config.timeout, max_documents=config.max_documents)


def _decoder(config: MessagePackConfig, context: BuildContext) -> MessagePackDecoder:
    from prism_example_webhook.decoder import MessagePackDecoder  # noqa: PLC0415  # as above

    return MessagePackDecoder(context.reads, max_depth=config.max_depth, max_items=config.max_items)


@hookimpl
def prism_stages() -> Iterable[StageSpec]:
    """What pipeline files can name."""
    return [
        StageSpec("sink", "webhook", "posts documents to an HTTP endpoint", WebhookConfig, _sink),
        StageSpec("decoder", "msgpack", "MessagePack maps without a registry header", MessagePackConfig, _decoder),
    ]
