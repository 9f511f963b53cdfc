"""A folder with pipeline files of type ``embedded``, and ways to call ``prism`` in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from prismlib.cli.main import execute

HEAD = """
name = "{name}"
owner = "o"
contact = "c"
start = "earliest"
[source]
type = "embedded"
[[route]]
topic = "{topic}"
decode = {{ type = "json", wire = "bare" }}
[sink]
type = "embedded"
"""


class Site:
    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.storage = folder / ".prism"
        self._capsys = capsys
        (folder / "prism.toml").touch()

    def pipeline(self, name: str, topic: str, sink: str) -> Path:
        path = self.folder / f"{name}.toml"
        path.write_text(HEAD.format(name=name, topic=topic) + sink)
        return path

    def prism(self, *arguments: str | Path) -> tuple[int, str, str]:
        self._capsys.readouterr()
        code = execute([str(argument) for argument in arguments])
        out, err = self._capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    def rows(self, command: str, pipeline: Path, *arguments: str) -> list[dict[str, Any]]:
        _, out, _ = self.prism(command, pipeline, "--json", *arguments)
        return json.loads(out)
