"""Logging of the command line: standard ``logging``, to standard error, as text for people or JSON for programs."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

LogFormat: TypeAlias = Literal["text", "json"]
LEVELS = ("debug", "info", "warning", "error")

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def configure(log_format: LogFormat, level: str, worker: str, packages: Iterable[str] = ()) -> None:
    """Send all logs to standard error.

    Args:
        log_format: ``text`` or ``json``, one line an event either way.
        level: one of LEVELS; applies to Prism and ``packages``, other libraries begin at ``warning``.
        worker: added to every line, because several workers may share one terminal.
        packages: those of the loaded plugins.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(worker) if log_format == "json" else TextFormatter(worker))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level.upper()]))
    for name in {"prismlib", *packages}:
        logging.getLogger(name).setLevel(level.upper())


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class TextFormatter(logging.Formatter):
    """``2025-03-01T06:00:00.000Z INFO [1] route paused topic=flights``; a ``report`` follows in lines of its own."""

    def __init__(self, worker: str) -> None:
        super().__init__()
        self._worker = worker

    def format(self, record: logging.LogRecord) -> str:
        facts = _extra(record)
        report = facts.pop("report", "")
        extra = "".join(f" {key}={_quoted(value)}" for key, value in facts.items())
        line = f"{_time(record)} {record.levelname} [{self._worker}] {_one_line(record.getMessage())}{extra}"
        if report:
            line += "".join(f"\n    {one}" for one in str(report).splitlines())
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def __init__(self, worker: str) -> None:
        super().__init__()
        self._worker = worker

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "worker": self._worker,
            "logger": record.name,
            "event": record.getMessage(),
            **_extra(record),
        }
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return json.dumps(fields, default=str)


def _one_line(text: str) -> str:
    return text.replace("\n", " | ")


def _quoted(value: object) -> str:
    text = _one_line(str(value))
    return json.dumps(text, ensure_ascii=False) if " " in text or "=" in text or '"' in text or not text else text
