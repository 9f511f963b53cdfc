"""Ports on the loopback address that no other server and no other Prism on this machine will take."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import socket
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from prismlib.errors import ConfigError

LOOPBACK: Final = "127.0.0.1"
_RANGE: Final = 12_000
_HIGHEST: Final = 32_000
_EPHEMERAL_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")


def is_free(port: int) -> bool:
    """Whether a server could listen on this port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Java does: an old connection is no obstacle
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return False
    return True


class PortLeases:
    """Which ports the servers of this process hold, also against other processes of this user.

    Between the choice of a port and the moment when a server listens on it lies a second. A lease is a lock on one byte
    of a file in the folder for temporary files: it ends with this process, however that ends.
    """

    def __init__(self) -> None:
        self._descriptor: int | None = None
        self._mine: set[int] = set()
        self._guard = threading.Lock()

    def take(self, count: int) -> list[int]:
        """Lease that many free ports below the ephemeral range.

        Raises:
            ConfigError: hardly any port is free.
        """
        highest = _below_ephemeral_range()
        lowest = highest - _RANGE
        candidates = random.sample(range(lowest, highest), 2_000)
        ports: list[int] = []
        for port in candidates:
            if len(ports) == count:
                break
            if self.lease(port):
                if is_free(port):
                    ports.append(port)
                else:
                    self.release([port])
        if len(ports) < count:
            self.release(ports)
            raise ConfigError(f"no free ports between {lowest} and {highest}: end some servers")
        return ports

    def lease(self, port: int) -> bool:
        """Take this port unless a server of this or another process holds it."""
        with self._guard:
            if port in self._mine:
                return False
            if self._descriptor is None:  # open until this process ends: closing any would drop all its locks
                file = Path(tempfile.gettempdir()) / f"prism-ports-{os.getuid()}.lock"
                self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
            except BlockingIOError:
                return False
            self._mine.add(port)
            return True

    def release(self, ports: Iterable[int]) -> None:
        """Give these ports back."""
        with self._guard:
            for port in ports:
                if port in self._mine and self._descriptor is not None:
                    self._mine.remove(port)
                    fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, port)


def _below_ephemeral_range() -> int:
    """The end of the ports that no outgoing connection is given by chance."""
    try:
        first = int(_EPHEMERAL_RANGE.read_text(encoding="ascii").split()[0])
    except FileNotFoundError:  # macOS, where that range starts at 49152
        return _HIGHEST
    return min(_HIGHEST, first) if first > _RANGE + 1024 else _HIGHEST


LEASES: Final = PortLeases()
