"""Sinks that crash in the middle of anything, when ``crash`` says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prismlib.records import Documents
from prismlib.testing.memory import MemorySink, MemoryTransactionalSink


class CrashError(Exception):
    """Ends a runner in the middle of anything, as a bug or a kill would."""


class CrashingSink(MemoryTransactionalSink):
    crash: Callable[[], bool] = staticmethod(lambda: False)

    def write(self, documents: Documents) -> Any:
        result = super().write(documents)
        if self.crash():
            raise CrashError
        return result

    def commit(self, *arguments: Any) -> None:
        if self.crash():
            raise CrashError
        super().commit(*arguments)
        if self.crash():
            raise CrashError


class CrashingStoreSink(MemorySink):
    crash: Callable[[], bool] = staticmethod(lambda: False)

    def write(self, documents: Documents) -> Any:
        result = super().write(documents)
        if self.crash():
            raise CrashError
        return result

    def save_ledger(self, rows: Any, notes: Any = ()) -> None:
        super().save_ledger(rows, notes)
        if self.crash():
            raise CrashError
