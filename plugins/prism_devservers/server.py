"""One server as a child process: start, stop, kill, and come back on the same ports with the same data."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final, Self

from prism_devservers.java import compiled, java, java_environment, java_flags
from prism_devservers.ports import LEASES, LOOPBACK, is_free
from prismlib.errors import UnreachableError

START_SECONDS: Final = 120.0  # a server takes 2 to 6 s on an idle machine
_STOP_SECONDS: Final = 30.0
_PORT_SECONDS: Final = 5.0
_PORT_ATTEMPTS: Final = 5
_POLL_SECONDS: Final = 0.05
_PORT_TAKEN: Final = ("Address already in use", "Failed to bind to", "already bound", "seems to be in use")
_JVM_FLAGS: Final = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-XX:+ExitOnOutOfMemoryError")


class PortTakenError(UnreachableError):
    """Another program listens on a port of this server."""


@dataclass(frozen=True, slots=True)
class Launch:
    """What a server is started with.

    Attributes:
        class_path: jars and folders, in order.
        properties: JVM options such as ``-Dname=value``.
        arguments: of the server's main class.
    """

    class_path: Sequence[Path]
    properties: Sequence[str] = ()
    arguments: Sequence[str] = field(default_factory=tuple)


class Server(ABC):
    """A server on the loopback address whose process ends when this one does, however this one ends.

    Attributes:
        name: for people; also the name of its log in reports.
        folder: its data, settings and log.
        ports: by purpose. They may still change while :meth:`start` runs for the first time, never afterwards.
        log: what it wrote, over all its starts.
        was_ready: whether it has ever answered with this folder.
    """

    kind: ClassVar[str]
    heap: ClassVar[str] = "256m"
    main_class: ClassVar[str]
    artifact_sets: ClassVar[Sequence[str]]
    port_names: ClassVar[Sequence[str]] = ("http",)

    def __init__(
        self, *, name: str | None = None, folder: Path | None = None, heap: str | None = None, jvm: Sequence[str] = ()
    ) -> None:
        """Choose ports; nothing runs yet.

        Args:
            name: default is the kind of server.
            folder: kept by :meth:`close`; a server made later on the same folder has its ports and data. Default: a
                temporary one, which :meth:`close` removes.
            heap: largest Java heap, such as ``"512m"``.
            jvm: more options for the JVM.

        Raises:
            ConfigError: no port is free.
        """
        self.name = name or self.kind
        self._temporary = folder is None
        self.folder = Path(tempfile.mkdtemp(prefix=f"prism-{self.name}-")) if folder is None else folder.absolute()
        (self.folder / "tmp").mkdir(parents=True, exist_ok=True)
        self.log = self.folder / "server.log"
        self._heap = heap or self.heap
        self._jvm = tuple(jvm)
        self._log_start = 0
        self._process: subprocess.Popen[bytes] | None = None
        self.was_ready = self._ports_file.is_file()
        self.ports = self._kept_ports() if self.was_ready else self._new_ports()

    @abstractmethod
    def prepare(self) -> Launch:
        """Write settings, and fetch and build what the server runs from. Raises ConfigError, UnreachableError."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether the server does its work now; takes two seconds at most."""

    @property
    @abstractmethod
    def address(self) -> str:
        """What a client is given to connect to it."""

    @property
    def credentials(self) -> Mapping[str, str]:
        """What a client needs besides the address, by name."""
        return {}

    def set_up(self) -> None:  # noqa: B027 - most servers need nothing
        """Called once, when the server answers for the first time with this folder."""

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def exit_code(self) -> int | None:
        """How the last process ended; None while it runs or was never started. -9 after :meth:`kill`."""
        return self._process.poll() if self._process is not None else None

    def start(self, timeout: float = START_SECONDS) -> Self:
        """Start it and wait until it answers; nothing happens when it runs already.

        Args:
            timeout: seconds.

        Raises:
            ConfigError: Java or the server's files cannot be had.
            UnreachableError: it ended or did not answer in time; a note has the end of its log.
        """
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            try:
                self.spawn()
                self.wait(timeout)
            except PortTakenError:
                if self.was_ready or attempt == _PORT_ATTEMPTS:
                    raise
                self.move()
            else:
                break
        return self

    def spawn(self) -> None:
        """Start the process without waiting for the server; nothing happens when it runs already.

        Raises:
            ConfigError: Java or the server's files cannot be had.
            PortTakenError: another program has one of its ports.
        """
        if self.pid is not None:
            return
        self._release_pipe()
        self._await_ports()
        launch = self.prepare()
        executable = java()
        watchdog = compiled("launch", ["Supervised.java"], [], 17)
        class_path = os.pathsep.join(map(str, [watchdog, *launch.class_path]))
        options = [f"-Xmx{self._heap}", *_JVM_FLAGS, *java_flags(executable), *self._jvm, *launch.properties]
        command = [executable, *options, f"-Djava.io.tmpdir={self.folder / 'tmp'}", "-cp", class_path]
        command += ["Supervised", self.main_class, *launch.arguments]
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            # Standard input stays open as long as this process lives; Supervised.java halts the server when it closes.
            # A session of its own: Ctrl-C in a terminal reaches this process, which then ends its servers in order.
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=java_environment(), start_new_session=True
            )
        _running.append(self)

    def wait(self, timeout: float = START_SECONDS) -> None:
        """Wait until the spawned server answers.

        Raises:
            PortTakenError: it ended because another program has one of its ports.
            UnreachableError: it ended otherwise, or did not answer within ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        while not self.answers():
            if self.pid is None:
                said = self._said_since_start()
                if any(phrase in said for phrase in _PORT_TAKEN):
                    raise self._port_taken()
                raise self._failure(f"ended with exit code {self.exit_code} while it started")
            if time.monotonic() > deadline:
                raise self._failure(f"did not answer within {timeout:.0f} s")
            time.sleep(_POLL_SECONDS)
        if not self.was_ready:
            self.set_up()
            self._ports_file.write_text(json.dumps(self.ports), encoding="utf-8")
            self.was_ready = True

    def move(self) -> None:
        """Take other ports; only before the server has answered for the first time."""
        self.kill()
        LEASES.release(self.ports.values())
        self.ports = self._new_ports()

    def stop(self) -> None:
        """Shut it down in order, and kill it when that takes longer than 30 seconds; :meth:`start` starts it again."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it as by ``kill -9``; :meth:`start` starts it again on the same ports with what it had saved."""
        self._end(signal.SIGKILL)

    def close(self) -> None:
        """End it for good, giving back its ports and removing its folder if that was temporary; may be called twice."""
        if self._temporary:
            self.kill()  # its data is not worth an orderly shutdown
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            self.stop()
        LEASES.release(self.ports.values())

    def tail(self, lines: int = 60) -> str:
        """The last lines of its log."""
        if not self.log.is_file():
            return ""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _ports_file(self) -> Path:
        return self.folder / "ports.json"

    def _new_ports(self) -> dict[str, int]:
        return dict(zip(self.port_names, LEASES.take(len(self.port_names)), strict=True))

    def _kept_ports(self) -> dict[str, int]:
        kept: dict[str, int] = json.loads(self._ports_file.read_text(encoding="utf-8"))
        for port in kept.values():
            LEASES.lease(port)  # in vain when another holds it: spawn says so
        return kept

    def _await_ports(self) -> None:
        """Give a process that was just killed the moment that it needs to let go of its ports."""
        deadline = time.monotonic() + _PORT_SECONDS
        while not all(is_free(port) for port in self.ports.values()):
            if time.monotonic() > deadline:
                raise self._port_taken()
            time.sleep(_POLL_SECONDS)

    def _port_taken(self) -> PortTakenError:
        ports = ", ".join(str(port) for port in self.ports.values())
        return PortTakenError(
            f"another program listens on a port of {self.name} ({ports}): end that program, or delete {self.folder} to"
            " give the server other ports, which also deletes its data"
        )

    def _failure(self, what: str) -> UnreachableError:
        error = UnreachableError(f"{self.name} {what}: see its log, {self.log}")
        error.add_note(self.tail())  # the log itself may be removed before anybody looks
        return error

    def _said_since_start(self) -> str:
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode("utf-8", errors="replace")

    def _end(self, how: signal.Signals) -> None:
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(how)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._release_pipe()

    def _release_pipe(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        if self in _running:
            _running.remove(self)


_running: list[Server] = []


def running_servers() -> Sequence[Server]:
    """The servers that this process has started and not ended itself."""
    return tuple(_running)


def http_status(port: int, method: str, path: str, body: Mapping[str, object] | None = None) -> int | None:
    """The status of one HTTP answer on the loopback address, or None when there was none within two seconds."""
    connection = HTTPConnection(LOOPBACK, port, timeout=2)
    try:
        content = None if body is None else json.dumps(body)
        connection.request(method, path, body=content, headers={"content-type": "application/json"})
        return connection.getresponse().status
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()
