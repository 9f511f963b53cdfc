"""Entry point of the plugin for Confluent-compatible registries; urllib3 is imported only when one is opened."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from prism_confluent_registry.config import ConfluentRegistryConfig
from prismlib.config.model import Secret
from prismlib.errors import ConfigError
from prismlib.plugin.hookspecs import RegistrySpec, hookimpl

if TYPE_CHECKING:
    from prism_confluent_registry.registry import ConfluentRegistry


def _registry(config: ConfluentRegistryConfig, base: Path) -> ConfluentRegistry:
    try:
        from prism_confluent_registry.connection import Connection  # noqa: PLC0415  # the client library stays out until needed
        from prism_confluent_registry.registry import ConfluentRegistry  # noqa: PLC0415  # as above
    except ImportError as error:
        raise ConfigError(f"a registry over HTTP needs {error.name}: install prism-pipeline[registry]") from error
    from prism_confluent_registry.access import (  # noqa: PLC0415  # beside the modules that it is used with
        addresses,
        check_encrypted,
        credentials,
        tls_context,
    )

    where = addresses(config.url)
    given = credentials(_revealed(config.token), _revealed(config.user), _revealed(config.password))
    check_encrypted(where, given, allowed=config.allow_unencrypted_credentials)
    ca, certificate, key = (base / name if name else None for name in (config.ca, config.certificate, config.key))
    return ConfluentRegistry(Connection(where, given, tls_context(where, ca, certificate, key), config.timeout))


def _revealed(secret: Secret | None) -> str | None:
    return None if secret is None else secret.reveal()


@hookimpl
def prism_registries() -> Iterable[RegistrySpec]:
    """Confluent's schema registry, and all that speak its REST interface."""
    summary = "Confluent's schema registry, Karapace, Apicurio and others with its REST interface"
    return [RegistrySpec("confluent", ("http", "https"), summary, ConfluentRegistryConfig, _registry)]
