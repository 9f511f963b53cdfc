"""`prism serve` as a process of its own, on a port that is free."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import urllib3

ADDRESS = re.compile(r"serving .* at (http://\S+)")


class Served:
    """One server in a folder, whose storage stays there when it ends."""

    def __init__(self, folder: Path, *options: str, env: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.lines: list[str] = []
        self._options = options
        self._env = {**os.environ, **(env or {})}
        self._pool = urllib3.PoolManager(retries=False)
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "prismlib.cli.main", "serve", "--port", "0", *self._options]
        self.process = subprocess.Popen(command, cwd=self.folder, env=self._env, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if found := ADDRESS.search(line):
                self.url = found[1]
                break
        else:
            raise AssertionError("".join(self.lines))
        self._reader = threading.Thread(target=lambda: self.lines.extend(self.process.stderr or ()))
        self._reader.start()

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Status and parsed body."""
        sent = {"content-type": "application/vnd.schemaregistry.v1+json", **headers}
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        answer = self._pool.request(method, self.url + path, body=data, headers=sent)
        assert answer.headers["content-type"].startswith("application/"), answer.headers
        return answer.status, json.loads(answer.data)

    def register(self, subject: str, schema: object, **more: Any) -> int:
        """An Avro schema; its id."""
        body = {"schema": schema if isinstance(schema, str) else json.dumps(schema), **more}
        status, found = self.ask("POST", f"/subjects/{subject}/versions", body)
        assert status == 200, found
        number: int = found["id"]
        return number

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(30)
        self._reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.stop()
        self._pool.clear()


def record(*fields: str, name: str = "R") -> dict[str, Any]:
    """An Avro record of int fields; those that end with ``?`` have a default."""
    return {
        "type": "record",
        "name": name,
        "fields": [
            {"name": f.rstrip("?"), "type": "int", **({"default": 0} if f.endswith("?") else {})} for f in fields
        ],
    }
