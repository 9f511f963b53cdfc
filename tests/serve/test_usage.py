"""A worker that reads through our registry tells it what it reads."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import fastavro

from prism_embedded import EmbeddedLog
from tests.serving import Served

ORDER = {
    "type": "record",
    "name": "Order",
    "fields": [{"name": name, "type": "string"} for name in ("id", "total", "note")],
}
PIPELINE = """\
name = "billing"
owner = "finance"
contact = "finance@example.org"
start = "earliest"
[source]
type = "embedded"
[[route]]
topic = "orders"
decode = { type = "avro", subject = "orders-value" }
normalize = "mapping.toml"
[sink]
type = "embedded"
alias = "orders"
"""


def test_a_worker_tells_which_fields_of_which_version_it_read(server: Served, tmp_path: Path) -> None:
    number = server.register("orders-value", ORDER)
    (tmp_path / "prism.toml").write_text(f'[registry]\nurl = "{server.url}"\n')
    (tmp_path / "pipeline.toml").write_text(PIPELINE)
    (tmp_path / "mapping.toml").write_text('[event]\nid = "id"\ntotal = "total"\n')
    prism(tmp_path, "setup", "pipeline.toml", "--yes")
    value = BytesIO(struct.pack(">bI", 0, number))
    value.seek(5)
    fastavro.schemaless_writer(value, ORDER, {"id": "o1", "total": "2", "note": ""})
    with EmbeddedLog(tmp_path / ".prism") as log:
        log.append("orders", [(b"o1", value.getvalue())])
    prism(tmp_path, "run", "pipeline.toml", "--until-idle", "1")
    status, (usage,) = server.ask("GET", "/prism/usage/orders-value")
    assert status == 200
    assert usage.pop("at") > 1_700_000_000_000
    assert usage == {"consumer": "billing", "subject": "orders-value", "version": 1, "fields": ["id", "total"]}


def prism(folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "prismlib.cli.main", *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PRISM_")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, json.dumps([done.stdout, done.stderr])
