"""How to get at a registry: its addresses, credentials and TLS files, checked before anything is sent."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from prismlib.errors import ConfigError
from prismlib.http import is_loopback

# No part of a url that cannot be read is repeated: it may hold a password in an unexpected place.
_NO_ADDRESS = "url: one of its addresses is none; write each like https://registry.example.org:8081"


@dataclass(frozen=True, slots=True)
class Address:
    """One address of a registry.

    Attributes:
        url: as it was written, without a slash at the end.
        host: name or IP address.
        port: that of the scheme where none was written.
        path: what comes before ``/subjects`` and ``/schemas``: ``""``, or beginning with a slash.
        encrypted: whether it begins with ``https``.
    """

    url: str
    host: str
    port: int
    path: str
    encrypted: bool

    @property
    def is_loopback(self) -> bool:
        """Whether it stays on this machine."""
        return is_loopback(self.host)


@dataclass(frozen=True, slots=True)
class Credentials:
    """A bearer token, or user and password.

    Attributes:
        name: the settings that they come from, for messages.
        header: value of ``Authorization``.
        secrets: what must not appear in any message.
    """

    name: str
    header: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)


def addresses(url: str) -> list[Address]:
    """The addresses in ``url``, which are separated by commas.

    Raises:
        ConfigError: one of them is none, or holds credentials.
    """
    return [_address(one.strip()) for one in url.split(",")]


def _address(url: str) -> Address:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ConfigError(_NO_ADDRESS) from None
    if parts.username is not None or parts.password is not None:
        raise ConfigError(
            "url must not hold credentials: addresses are shown in logs and errors; "
            'set user = "..." and password = { env = "NAME" } instead'
        )
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0 or not _is_plain(url):
        raise ConfigError(_NO_ADDRESS)
    if "?" in url or "#" in url:
        raise ConfigError("url must end with the path; take away what begins with '?' or '#'")
    encrypted = parts.scheme == "https"
    return Address(
        url.rstrip("/"), parts.hostname, port or (443 if encrypted else 80), parts.path.rstrip("/"), encrypted
    )


def credentials(token: str | None, user: str | None, password: str | None) -> Credentials | None:
    """The credentials that the settings make up; None where there are none.

    Raises:
        ConfigError: they do not belong together, or cannot be sent.
    """
    if (user is None) != (password is None):
        given, missing = ("user", "password") if password is None else ("password", "user")
        raise ConfigError(f"{given} is given without {missing}; give both, or neither")
    if token is not None and user is not None:
        raise ConfigError("give token or user and password, not both; PRISM_REGISTRY_TOKEN counts as token")
    if token is not None:
        if not token or not _is_plain(token):
            raise ConfigError("token is empty or holds characters that no token has, such as a line end; copy it anew")
        return Credentials("token", f"Bearer {token}", (token,))
    if user is None or password is None:
        return None
    if ":" in user:
        raise ConfigError("user must not hold a colon, which ends the name in basic authentication")
    encoded = base64.b64encode(f"{user}:{password}".encode()).decode()
    return Credentials("user and password", f"Basic {encoded}", (password, encoded))


def check_encrypted(where: Sequence[Address], given: Credentials | None, *, allowed: bool) -> None:
    """Refuse to send credentials readable over a network, unless the user allowed that.

    Raises:
        ConfigError: names the address and the ways out.
    """
    if given is None or allowed:
        return
    for one in where:
        if not one.encrypted and not one.is_loopback:
            raise ConfigError(
                f"{given.name} would travel unencrypted to {one.url}; begin its url with https://, or, where nobody else "
                "can listen, set allow_unencrypted_credentials = true"
            )


def tls_context(
    where: Sequence[Address], ca: Path | None, certificate: Path | None, key: Path | None
) -> ssl.SSLContext | None:
    """How to check the registry's certificate, and which one to show; None where no address begins with ``https``.

    Args:
        where: all addresses.
        ca: certificates to trust instead of the system's.
        certificate: the client's own, with those in between, if any.
        key: of the certificate; None where it is in the same file.

    Raises:
        ConfigError: a file cannot be used, or none is needed.
    """
    files = {"ca": ca, "certificate": certificate, "key": key}
    unencrypted = next((one for one in where if not one.encrypted), None)
    for name, path in files.items():
        if path is not None and unencrypted is not None:
            raise ConfigError(f"{name} is for https, and {unencrypted.url} is not; begin every address with https://")
    if key is not None and certificate is None:
        raise ConfigError("key is given without certificate; give both, or neither")
    if not any(one.encrypted for one in where):
        return None
    context = ssl.create_default_context()
    if ca is not None:
        try:
            context = ssl.create_default_context(cafile=ca)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"ca: {ca} cannot be read as certificates: {error}") from error
    if certificate is not None:
        try:
            # An empty passphrase, so that OpenSSL does not ask for one on the terminal.
            context.load_cert_chain(certificate, key, password=lambda: b"")
        except (OSError, ssl.SSLError) as error:
            named = certificate if key is None else f"{certificate} and {key}"
            raise ConfigError(
                f"certificate: {named} cannot be read as a certificate with its unencrypted key: {error}"
            ) from error
    return context


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text
