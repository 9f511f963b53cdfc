"""Processes in which schemas are looked at, so that none can hold up the server: one that takes too long is killed.

A thread could not be stopped, and a crash of a parser would take the server along.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import queue
import signal
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from multiprocessing.connection import Connection
from typing import Final, TypeVar

from prismlib.contracts.check import Question
from prismlib.errors import ContractError, PrismError
from prismlib.serve.registry.judging import Verdict, judge

log = logging.getLogger(__name__)

T = TypeVar("T")

PROCESSES: Final = 2
WAITING: Final = 16
"""Questions that may wait for a process; more would take all threads of the server."""
START_SECONDS: Final = 30.0


class BusyError(Exception):
    """No process is free; ask again later."""


class Judges:
    """A few processes, started when they are first needed. May be used by several threads."""

    def __init__(self, seconds: float) -> None:
        """Nothing is started yet.

        Args:
            seconds: that one question may take.
        """
        self._seconds = seconds
        self._places: queue.SimpleQueue[_Child | None] = queue.SimpleQueue()
        for _ in range(PROCESSES):
            self._places.put(None)
        self._waiting = threading.BoundedSemaphore(PROCESSES + WAITING)
        self._closed = False

    def ask(self, question: Question, now: datetime) -> Verdict:
        """Judge a schema; the caller was :meth:`admitted`.

        Raises:
            BusyError: no process became free in time.
        """
        try:
            return self.run(judge, question, now)
        except ContractError as error:
            return Verdict("undecided", [str(error)])

    def run(self, function: Callable[..., T], *arguments: object) -> T:
        """Call a function of a module; the caller was :meth:`admitted`.

        Raises:
            BusyError: no process became free in time.
            ContractError: as the function does; or it took too long, or failed.
        """
        with self._place() as child:
            try:
                found: T | ContractError = child.ask(function, arguments, self._seconds)
            except TimeoutError:
                log.warning("judgement cut off", extra={"seconds": self._seconds})
                child.kill()
                raise ContractError(f"it took longer than {self._seconds:g} s") from None
            except (EOFError, OSError):
                log.warning("judge ended", extra={"exit_code": child.exit_code()})
                child.kill()
                raise ContractError("the process that looked at it ended") from None
        if isinstance(found, ContractError):
            raise found
        return found

    def close(self) -> None:
        """End all processes, in the middle of a question too."""
        self._closed = True
        with contextlib.suppress(queue.Empty):
            while True:
                child = self._places.get_nowait()
                if child is not None:
                    child.kill()

    @contextlib.contextmanager
    def admitted(self) -> Iterator[None]:
        """Keep a seat in the waiting room. Raises BusyError when there is none."""
        if not self._waiting.acquire(blocking=False):
            raise BusyError
        try:
            yield
        finally:
            self._waiting.release()

    @contextlib.contextmanager
    def _place(self) -> Iterator[_Child]:
        try:
            child = self._places.get(timeout=self._seconds)
        except queue.Empty:
            raise BusyError from None
        try:
            if child is None or not child.alive():
                child = _Child()
            yield child
        finally:
            if self._closed and child is not None:
                child.kill()
            self._places.put(child)


class _Child:
    def __init__(self) -> None:
        # Spawned, not forked: a fork of a process with threads can lock up.
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), name="prism-judge", daemon=True)
        self._process.start()
        theirs.close()  # so that the end of the process is the end of the pipe
        if not self._pipe.poll(START_SECONDS):
            self.kill()
            raise BusyError
        self._pipe.recv()

    def ask(self, function: Callable[..., T], arguments: tuple[object, ...], seconds: float) -> T | ContractError:
        """Raises TimeoutError, and EOFError or OSError when the process ends."""
        self._pipe.send((function, arguments))
        if not self._pipe.poll(seconds):
            raise TimeoutError
        answer: T | ContractError = self._pipe.recv()
        return answer

    def alive(self) -> bool:
        return self._process.is_alive()

    def exit_code(self) -> int | None:
        self._process.join(1.0)
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()


def _serve(pipe: Connection) -> None:
    """What the process does: judge, until nobody is there to ask."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the server ends this one
    pipe.send(None)  # imports are done: the time limit is for judging
    while True:
        try:
            function, arguments = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            found = function(*arguments)
        except PrismError as error:
            found = ContractError(str(error))
        except Exception as error:
            log.exception("judgement failed")
            found = ContractError(f"it failed: {type(error).__name__}")
        pipe.send(found)
