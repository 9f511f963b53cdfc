"""Several workers of one pipeline: one process each, started and stopped together."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType

from prismlib.cli.ends import INTERRUPTED
from prismlib.runtime.notices import FILE, Notice, Tell, careful

log = logging.getLogger(__name__)

POLL_SECONDS = 0.1
GRACE_SECONDS = 45.0  # longer than a worker may drain


@contextlib.contextmanager
def stop_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Within it, the first SIGTERM or SIGINT calls ``stop``, and the second ends the process at once with 130.

    Ending at once is safe: what is not committed is read again.
    """
    seen = False

    def handle(_: int, __: FrameType | None) -> None:
        nonlocal seen
        if seen:
            os._exit(INTERRUPTED)
        seen = True
        # os.write, because a handler may interrupt a print that holds its buffer's lock.
        os.write(sys.stderr.fileno(), b"stopping: finishing what is open; a second signal ends at once\n")
        stop()

    previous = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def reload_on_hangup(reload: Callable[[], None], stop: Callable[[], None]) -> Iterator[None]:
    """Within it, SIGHUP calls ``reload``, where the platform has that signal and ``nohup`` did not switch it off.

    The same signal says that a terminal was closed; whoever was started from it stops then, as before, by ``stop``.
    """
    number = _hangup()
    if number is None or signal.getsignal(number) is signal.SIG_IGN:
        yield
        return
    from_terminal = _has_terminal()

    def handle(_: int, __: FrameType | None) -> None:
        if from_terminal and not _has_terminal():
            stop()
        else:
            reload()

    previous = signal.signal(number, handle)
    mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})  # what a supervisor has sent already comes now
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(number, previous)


@contextlib.contextmanager
def _hangups_wait() -> Iterator[None]:
    """A process that is started within it gets no SIGHUP, which would end it, before it asks for that signal."""
    number = _hangup()
    if number is None:
        yield
        return
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _hangup() -> signal.Signals | None:
    return getattr(signal, "SIGHUP", None)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


def stop_when_parent_ends(stop: Callable[[], None]) -> None:
    """Call ``stop`` when standard input closes, which happens however the parent process ends."""

    def wait() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 1024):
                continue
        stop()

    threading.Thread(target=wait, name="parent-watch", daemon=True).start()


class Supervisor:
    """Keeps one process a worker; when one fails, the others are stopped, and its exit code is kept."""

    def __init__(self, commands: Mapping[str, Sequence[str]], *, may_end: bool, tell: Tell | None = None) -> None:
        """Prepare; nothing is started yet.

        Args:
            commands: the command line of each worker, by its name. Each must end on SIGTERM, or when its standard input
                closes, which tells it that this process is gone.
            may_end: a worker that ends with 0 has done its work, and the others go on.
            tell: takes what somebody must be told of: a worker that was killed cannot tell it itself.
        """
        self._commands = commands
        self._may_end = may_end
        self._tell = careful(tell)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._stop = threading.Event()
        self._reload = False

    def reload(self) -> None:
        """Send SIGHUP on to all workers. May be called from a signal handler or another thread."""
        self._reload = True

    def stop(self) -> None:
        """Ask all workers to finish. May be called from a signal handler or another thread."""
        self._stop.set()

    def run(self) -> int:
        """Start all workers and wait until all have ended.

        Returns:
            The exit code of the first worker that failed, 0 when none did; 3 for one that was killed.
        """
        result = 0
        deadline: float | None = None
        try:
            for worker, command in self._commands.items():
                # A process group of its own: the terminal's Ctrl-C comes once, through the supervisor.
                with _hangups_wait():
                    self._processes[worker] = subprocess.Popen(command, stdin=subprocess.PIPE, process_group=0)
            while self._processes:
                for worker, code in self._ended():
                    expected = code == 0 and (self._may_end or deadline is not None)
                    if not expected:
                        log.error("worker ended, stopping the others", extra={"ended": worker, "exit_code": code})
                        if code < 0 and deadline is None:
                            self._tell(_killed(worker, -code))
                        self._stop.set()
                    if code != 0 and result == 0:
                        result = code if code > 0 else 3
                number = _hangup()
                if self._reload and number is not None:
                    self._reload = False
                    self._signal(number)
                if self._stop.is_set() and deadline is None:
                    deadline = time.monotonic() + GRACE_SECONDS
                    self._signal(signal.SIGTERM)
                if deadline is not None and time.monotonic() > deadline:
                    log.error("workers did not finish in time", extra={"killed": ", ".join(self._processes)})
                    self._signal(signal.SIGKILL)
                time.sleep(POLL_SECONDS)
        finally:
            self._signal(signal.SIGKILL)
            for process in self._processes.values():
                process.wait()
        return result

    def _ended(self) -> list[tuple[str, int]]:
        codes = {worker: process.poll() for worker, process in self._processes.items()}
        ended = [(worker, code) for worker, code in codes.items() if code is not None]
        for worker, _ in ended:
            pipe = self._processes.pop(worker).stdin
            if pipe is not None:
                pipe.close()
        return ended

    def _signal(self, number: signal.Signals) -> None:
        for process in self._processes.values():
            process.send_signal(number)


def _killed(worker: str, number: int) -> Notice:
    name = signal.Signals(number).name if number in {*signal.Signals} else f"signal {number}"
    what = f"worker {worker} was killed by {name}, and the other workers that were started with it are being stopped"
    if number == signal.SIGKILL:
        what += "; the kernel does that when memory runs out, and so does a person"
    stake = (
        "Nothing is lost yet: what was not committed waits, and is read again. The broker deletes the oldest records after"
        " the topics' retention, and forgets the group's offsets after its own."
    )
    return Notice("stopped", f"worker {worker}", f"{what}.", stake, f"prism run {FILE}")
