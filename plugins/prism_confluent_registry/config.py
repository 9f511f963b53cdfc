"""What ``[registry]`` of ``prism.toml`` may say about a registry over HTTP."""

from __future__ import annotations

from prismlib.config.model import Model, Secret
from prismlib.config.values import Duration, Text


class ConfluentRegistryConfig(Model):
    """The table ``[registry]`` whose ``url`` begins with ``http://`` or ``https://``.

    What belongs together is checked by :mod:`prism_confluent_registry.access`, for those too who have no ``prism.toml``.

    Attributes:
        url: one address, or several of one registry, separated by commas, which are tried in turn.
        token: sent as a bearer token.
        user: for basic authentication, with ``password``.
        password: see ``user``.
        ca: file with the certificates to trust, relative to ``prism.toml``; the system's when left out.
        certificate: file with a certificate of our own, for registries that ask for one.
        key: file with its key; may be left out where ``certificate`` holds it too.
        timeout: how long one question may take with all its retries; a runner does not poll meanwhile.
        allow_unencrypted_credentials: send credentials over plain http to another machine.
    """

    url: Text
    token: Secret | None = None
    user: Secret | None = None
    password: Secret | None = None
    ca: Text | None = None
    certificate: Text | None = None
    key: Text | None = None
    timeout: Duration = 5.0
    allow_unencrypted_credentials: bool = False
