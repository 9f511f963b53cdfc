"""Certificates for tests of secured listeners."""

from __future__ import annotations

from pathlib import Path

from prism_devservers.ports import LOOPBACK
from prismlib.errors import ConfigError


def make_tls(folder: Path) -> Path:
    """Write ``ca.pem`` and ``server.pem`` (key and chain) for 127.0.0.1 and localhost, of a new authority.

    Returns:
        The folder.

    Raises:
        ConfigError: the package trustme is missing.
    """
    try:
        import trustme  # noqa: PLC0415 - a development dependency
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - comes with trustme
    except ImportError as error:
        raise ConfigError("make_tls needs the package trustme: install it with pip") from error

    authority = trustme.CA()
    issued = authority.issue_cert(LOOPBACK, "localhost")
    key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    pkcs8 = key.private_bytes(  # the only form that Kafka reads
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    server = folder / "server.pem"
    server.touch(mode=0o600)
    server.write_bytes(pkcs8 + b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    return folder
