"""Talks to the supervisor of a folder: finds it, launches it, asks it."""

from __future__ import annotations

import fcntl
import json
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from prism_devservers.stack import Kind, ServerStatus
from prismlib.errors import ConfigError, UnreachableError

_LAUNCH_SECONDS: Final = 30.0
_ANSWER_SECONDS: Final = 300.0  # a restart waits for the server
_END_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.05


class Control:
    """One folder of ``prism dev`` seen from outside its supervisor.

    The supervisor holds a lock on a file while it lives, so that whether it lives is never guessed from a process id, and
    no process is ever signalled by a number that was read from a file.

    Attributes:
        folder: absolute.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    @property
    def lock_file(self) -> Path:
        """Locked by the supervisor as long as it lives."""
        return self.folder / "supervisor.lock"

    @property
    def state_file(self) -> Path:
        """Where the supervisor listens; may be left over from one that was killed."""
        return self.folder / "supervisor.json"

    @property
    def log_file(self) -> Path:
        """What the supervisor itself has to say; each server has a log of its own."""
        return self.folder / "supervisor.log"

    def is_running(self) -> bool:
        """Whether a supervisor lives."""
        if not self.lock_file.is_file():
            return False
        with self.lock_file.open("rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def launch(self) -> bool:
        """Start a supervisor that outlives this process, unless one lives.

        Returns:
            Whether it was started now.

        Raises:
            UnreachableError: it did not come up.
        """
        if self.is_running():
            return False
        self.folder.mkdir(parents=True, exist_ok=True)
        # -P: no module of the current folder takes the place of one of the library.
        command = [sys.executable, "-P", "-m", "prism_devservers.supervisor", str(self.folder)]
        with self.log_file.open("ab") as log:
            # It forks, so that it is nobody's child and the one waited for here ends at once.
            subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False, start_new_session=True
            )
        deadline = time.monotonic() + _LAUNCH_SECONDS
        while not self.is_running():
            if time.monotonic() > deadline:
                raise UnreachableError(f"the supervisor of {self.folder} did not start: see {self.log_file}")
            time.sleep(_POLL_SECONDS)
        return True

    def status(self) -> Sequence[ServerStatus]:
        """How all servers are; empty when no supervisor lives. Raises as :meth:`start`."""
        if not self.is_running():
            return []
        return self._ask({"do": "status"})

    def start(self, kinds: Sequence[Kind], brokers: int | None) -> Sequence[ServerStatus]:
        """Have servers started that do not run; returns before they answer.

        Raises:
            ConfigError: the request cannot be met.
            UnreachableError: the supervisor does not answer.
        """
        return self._ask({"do": "start", "kinds": list(kinds), "brokers": brokers})

    def kill(self, server: str) -> Sequence[ServerStatus]:
        """Have one server killed as by ``kill -9``. Raises as :meth:`start`."""
        return self._ask({"do": "kill", "server": server})

    def restart(self, server: str) -> Sequence[ServerStatus]:
        """Have one server shut down if it runs, started, and waited for. Raises as :meth:`start`."""
        return self._ask({"do": "restart", "server": server})

    def down(self) -> bool:
        """End the supervisor and all its servers, and wait for that.

        Returns:
            Whether one lived.

        Raises:
            UnreachableError: it does not answer, or does not end.
        """
        if not self.is_running():
            return False
        self._ask({"do": "down"})
        deadline = time.monotonic() + _END_SECONDS
        while self.is_running():
            if time.monotonic() > deadline:
                raise self._silent()
            time.sleep(_POLL_SECONDS)
        return True

    def _ask(self, request: Mapping[str, object]) -> Sequence[ServerStatus]:
        with self._connected() as connection:
            try:
                connection.sendall(json.dumps(request).encode() + b"\n")
                with connection.makefile("rb") as lines:
                    answer: dict[str, Any] = json.loads(lines.readline())
            except (OSError, ValueError) as error:
                raise self._silent() from error
        if "wrong_usage" in answer:
            raise ConfigError(answer["wrong_usage"])
        if "error" in answer:
            raise UnreachableError(answer["error"])
        return [ServerStatus.from_json(values) for values in answer["servers"]]

    def _connected(self) -> socket.socket:
        """A connection; one that has just been launched gets time to listen."""
        deadline = time.monotonic() + _LAUNCH_SECONDS
        while True:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.settimeout(_ANSWER_SECONDS)
                connection.connect(json.loads(self.state_file.read_text(encoding="utf-8"))["socket"])
            except (OSError, ValueError) as error:
                connection.close()
                if not self.is_running():
                    raise UnreachableError(f"nothing is up in {self.folder}: start it with `prism dev up`") from error
                if time.monotonic() > deadline:
                    raise self._silent() from error
                time.sleep(_POLL_SECONDS)
            else:
                return connection

    def _silent(self) -> UnreachableError:
        return UnreachableError(
            f"the supervisor of {self.folder} does not answer: see {self.log_file}, then end the process named in"
            f" {self.state_file} with kill -9, which ends its servers too"
        )
