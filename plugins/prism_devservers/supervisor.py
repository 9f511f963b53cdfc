"""The process that owns the servers of ``prism dev``: ``python -m prism_devservers.supervisor FOLDER``.

It detaches itself, listens on a socket that only its user can open, and does what :class:`~prism_devservers.control.Control`
asks. Its servers halt when it ends, even by ``kill -9``, because each watches a pipe that it holds.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import signal
import socketserver
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from prism_devservers.control import Control
from prism_devservers.server import Server
from prism_devservers.stack import Kind, ServerStatus, State, Unit, make_unit
from prismlib.errors import ConfigError, PrismError

_log = logging.getLogger(__name__)
_LOCK_SECONDS: Final = 2.0
_SOCKET_FOLDER_PREFIX: Final = "prism-dev-"
_LONGEST_SOCKET_FOLDER: Final = 80  # bytes; the whole path has 104 on macOS and 108 on Linux


class Supervisor:
    """Owns servers and answers requests about them, one thread a request."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._units: dict[Kind, Unit] = {}
        self._busy: dict[Kind, threading.Lock] = {}  # held while a unit's servers are started or ended
        self._failures: dict[Kind, str] = {}
        self._adding = threading.Lock()
        self._ending = threading.Event()
        self._actions: Mapping[str, Callable[[Mapping[str, Any]], None]] = {
            "status": lambda _request: None,
            "start": lambda request: self._start(request["kinds"], request["brokers"]),
            "kill": lambda request: self._kill(request["server"]),
            "restart": lambda request: self._restart(request["server"]),
            "down": lambda _request: self.end(),
        }

    def answer(self, request: Mapping[str, Any]) -> Mapping[str, object]:
        """Do what a request says, and tell how all servers are then, or why it could not be done."""
        try:
            self._actions[request["do"]](request)
        except ConfigError as error:
            return {"wrong_usage": str(error)}
        except (PrismError, OSError) as error:
            _log.exception("could not do %s", request["do"])
            return {"error": str(error)}
        return {"servers": [asdict(status) for status in self.status()]}

    def status(self) -> Sequence[ServerStatus]:
        """How all servers are."""
        units = list(self._units.items())
        return [self._status_of(kind, server) for kind, unit in units for server in unit.servers.values()]

    def end(self) -> None:
        """Shut all servers down, side by side; start none any more."""
        self._ending.set()
        servers = [server for unit in self._units.values() for server in unit.servers.values()]
        if servers:
            with ThreadPoolExecutor(len(servers)) as executor:
                list(executor.map(Server.close, servers))

    def _start(self, kinds: Sequence[Kind], brokers: int | None) -> None:
        with self._adding:
            if self._ending.is_set():
                raise ConfigError("the servers are just being ended: run `prism dev up` again in a moment")
            if "kafka" in self._units and brokers not in {None, len(self._units["kafka"].servers)}:
                raise ConfigError(
                    f"Kafka is up with {len(self._units['kafka'].servers)} and not with {brokers} brokers: leave --kafka out,"
                    " or run `prism dev down --delete-data` first"
                )
            for kind in kinds:
                if kind not in self._units:
                    self._units[kind] = make_unit(kind, self._folder, brokers)
                    self._busy[kind] = threading.Lock()
                if self._busy[kind].acquire(blocking=False):  # else it is being started already
                    threading.Thread(target=self._start_unit, args=(kind,), daemon=True).start()

    def _start_unit(self, kind: Kind) -> None:
        try:
            self._failures.pop(kind, None)
            self._units[kind].start()
        except Exception as error:  # noqa: BLE001 - whoever asks for the status is told what went wrong, whatever it was
            _log.exception("could not start %s", kind)
            self._failures[kind] = str(error)
        finally:
            self._busy[kind].release()

    def _kill(self, name: str) -> None:
        kind, server = self._find(name)
        with self._busy[kind]:
            server.kill()

    def _restart(self, name: str) -> None:
        kind, server = self._find(name)
        with self._busy[kind]:
            server.stop()
            server.start()
            self._failures.pop(kind, None)

    def _find(self, name: str) -> tuple[Kind, Server]:
        for kind, unit in self._units.items():
            if name in unit.servers:
                return kind, unit.servers[name]
        known = ", ".join(server for unit in self._units.values() for server in unit.servers)
        raise ConfigError(
            f"there is no server {name!r} here: name one of {known or 'those that `prism dev up` starts'}"
        )

    def _status_of(self, kind: Kind, server: Server) -> ServerStatus:
        def status(state: State, detail: str = "") -> ServerStatus:
            return ServerStatus(
                kind, server.name, state, server.address, server.pid, str(server.log), detail, dict(server.credentials)
            )

        if self._busy[kind].locked():
            return status("starting")
        if server.pid is not None:
            return status("up" if server.answers() else "silent")
        if kind in self._failures:
            return status("failed", self._failures[kind])
        return status("ended", f"exit code {server.exit_code}")


class _Requests(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, path: Path, supervisor: Supervisor) -> None:
        super().__init__(str(path), _Request)
        self.supervisor = supervisor


class _Request(socketserver.StreamRequestHandler):
    server: _Requests

    def handle(self) -> None:
        """One line of JSON in, one out."""
        request = json.loads(self.rfile.readline())
        answer = self.server.supervisor.answer(request)
        self.wfile.write(json.dumps(answer).encode() + b"\n")
        if request["do"] == "down":
            self.server.shutdown()


def main(folder: Path) -> None:
    """Detach, and serve requests until one says down or a signal says so."""
    if os.fork():
        os._exit(0)  # the caller waits for this process; the child goes on, as nobody's child
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    control = Control(folder)
    with control.lock_file.open("ab") as lock:
        if not _locked(lock.fileno()):
            _log.warning("another supervisor of this folder lives: this one ends")
            return
        supervisor = Supervisor(folder)
        with _socket_path(control.state_file) as path, _Requests(path, supervisor) as requests:
            path.chmod(0o600)
            _write_state(control.state_file, path)

            def end_on_signal(_number: int, _frame: object) -> None:
                threading.Thread(target=requests.shutdown).start()  # waits for the loop that this signal interrupts

            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, end_on_signal)
            _log.info("supervisor %d listens", os.getpid())
            requests.serve_forever(poll_interval=0.1)
            supervisor.end()
            control.state_file.unlink()
    _log.info("supervisor %d ends", os.getpid())


def _locked(descriptor: int) -> bool:
    """Whether the lock is ours; it may be shared for a moment by someone who looks whether it is held."""
    deadline = time.monotonic() + _LOCK_SECONDS
    while time.monotonic() < deadline:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.02)
        else:
            return True
    return False


@contextmanager
def _socket_path(state_file: Path) -> Iterator[Path]:
    """Where to listen: in a new private folder, because the path of a socket must be short."""
    _remove_left_over(state_file)
    folder = Path(tempfile.mkdtemp(prefix=_SOCKET_FOLDER_PREFIX))
    if len(os.fsencode(folder)) > _LONGEST_SOCKET_FOLDER:
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix=_SOCKET_FOLDER_PREFIX, dir="/tmp"))
    try:
        yield folder / "socket"
    finally:
        (folder / "socket").unlink(missing_ok=True)
        folder.rmdir()


def _remove_left_over(state_file: Path) -> None:
    """Remove what a supervisor that was killed left; the lock says that none lives."""
    if not state_file.is_file():
        return
    with suppress(OSError, ValueError, KeyError, TypeError):  # cut off or foreign: then only the file itself goes
        path = Path(json.loads(state_file.read_text(encoding="utf-8"))["socket"])
        if path.parent.name.startswith(_SOCKET_FOLDER_PREFIX) and path.is_socket():
            path.unlink()
            path.parent.rmdir()
    state_file.unlink()


def _write_state(state_file: Path, path: Path) -> None:
    unfinished = state_file.with_suffix(".new")
    unfinished.touch(mode=0o600)
    unfinished.write_text(json.dumps({"pid": os.getpid(), "socket": str(path)}), encoding="utf-8")
    unfinished.replace(state_file)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
