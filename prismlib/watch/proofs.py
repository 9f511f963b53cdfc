"""Which addresses have worked: ``alerts.json`` in the storage folder.

An address is kept as a hash with the file's own salt, slow to compute, because a password in an address may be short.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import tempfile
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from prismlib.config.model import Secret

log = logging.getLogger(__name__)

_ROUNDS: Final = 200_000
_FRESH: Final = 60.0
"""Seconds in which a second delivery to one address is not written again."""


class Proofs:
    """The times of the last delivery to each address that worked. Several processes may share the file.

    Attributes:
        file: where they are kept.
    """

    def __init__(self, storage: Path) -> None:
        """Nothing is read or made yet.

        Args:
            storage: the folder of what is embedded.
        """
        self.file = storage / "alerts.json"
        self._lock = threading.Lock()
        self._hashes: dict[tuple[str, Secret], str] = {}

    def tested_at(self, secret: Secret) -> datetime | None:
        """When a delivery to this address last worked; None when none is known of."""
        with self._lock:
            salt, tested = self._read()
            return tested.get(self._hash(salt, secret)) if salt else None

    def record(self, secret: Secret) -> None:
        """A delivery to this address has worked now. A file that cannot be written is logged: it will be tested again."""
        self._change(secret, datetime.now(UTC).replace(microsecond=0))

    def forget(self, secret: Secret) -> None:
        """A test of this address failed."""
        if self.tested_at(secret) is not None:
            self._change(secret, None)

    def _change(self, secret: Secret, time: datetime | None) -> None:
        with self._lock:
            salt, tested = self._read()
            salt = salt or secrets.token_hex(16)
            name = self._hash(salt, secret)
            if time is None:
                tested.pop(name, None)
            elif name in tested and (time - tested[name]).total_seconds() < _FRESH:
                return
            else:
                tested[name] = time
            data = {"salt": salt, "tested": {name: at.isoformat() for name, at in tested.items()}}
            try:
                self._write(json.dumps(data, indent=2))
            except OSError as error:
                facts = {"file": str(self.file), "reason": error.strerror}
                log.warning(
                    "it cannot be kept which alert addresses work; they are tested again at the next start", extra=facts
                )

    def _read(self) -> tuple[str, dict[str, datetime]]:
        """What is in the file; nothing of one that is missing or damaged, since testing again is harmless."""
        try:
            data: Any = json.loads(self.file.read_text(encoding="utf-8"))
            return str(data["salt"]), {
                str(k): datetime.fromisoformat(v).astimezone(UTC) for k, v in data["tested"].items()
            }
        except FileNotFoundError:
            return "", {}
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            facts = {"file": str(self.file), "reason": type(error).__name__}
            log.warning("it cannot be read which alert addresses work; they count as not tested", extra=facts)
            return "", {}

    def _write(self, text: str) -> None:
        """All of it or nothing, and readable by nobody else."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix="alerts-", dir=self.file.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            Path(name).replace(self.file)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise

    def _hash(self, salt: str, secret: Secret) -> str:
        known = self._hashes.get((salt, secret))
        if known is None:
            raw = hashlib.pbkdf2_hmac("sha256", secret.reveal().encode(), salt.encode(), _ROUNDS)
            known = self._hashes[salt, secret] = raw.hex()
        return known
