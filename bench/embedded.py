"""CPU seconds per million records of pipelines on embedded storage: topic to topic, and topic to alias.

    python -m bench.embedded [--records 200000] [--rounds 3]

Bodies pass through as they are, so that what counts is the log and the document store. Every run is a process of its own, as
``prism run`` is; its CPU time is counted from its start to its end, less that of a run with nothing to do.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from prism_embedded import EmbeddedDocuments, EmbeddedLog

PIPELINE = """
name = "{name}"
owner = "bench"
contact = "bench@example.org"
start = "earliest"
[source]
type = "embedded"
[[route]]
topic = "{topic}"
decode = {{ type = "json", wire = "bare" }}
[sink]
type = "embedded"
{sink}
"""
STAGES = {
    "topic to topic": ("one", "in", 'topic = "out"\nencode = { type = "json", wire = "bare" }'),
    "topic to alias": ("two", "out", 'alias = "events"'),
}
BODY = (
    b'{"id":"AA%d-JFK-2013-01-01","kind":"departure","time":"2013-01-01T10:%02d:00Z","airport":"JFK","measures":'
    b'{"departure_delay_minutes":%d},"attributes":{"carrier":"AA","destination":"MIA","cancelled":false}}'
)


def main() -> None:
    """Print the lowest of the rounds; rates depend on what else the machine does, CPU seconds hardly do."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    found: dict[str, list[tuple[float, float]]] = {}
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            for name, figures in measure(Path(folder), options.records).items():
                found.setdefault(name, []).append(figures)
    for name, rounds in found.items():
        cpu, wall = (min(column) * 1e6 / options.records for column in zip(*rounds, strict=True))
        print(f"{name:<15} {cpu:5.1f} CPU s per million, {1e6 / wall:9,.0f} records/s")


def measure(folder: Path, records: int) -> dict[str, tuple[float, float]]:
    """CPU and wall seconds of each part."""
    (folder / "prism.toml").touch()
    for name, topic, sink in STAGES.values():
        (folder / f"{name}.toml").write_text(PIPELINE.format(name=name, topic=topic, sink=sink))
        prism("setup", folder / f"{name}.toml", "--yes")
    rows = [(b"key%d" % n, BODY % (n, n % 60, n % 30)) for n in range(records)]
    figures = {}
    with EmbeddedLog(folder / ".prism") as log:
        cpu, wall = time.process_time(), time.monotonic()
        log.append("in", rows)
        figures["append"] = (time.process_time() - cpu, time.monotonic() - wall)
    for label, (name, _, _) in STAGES.items():
        busy = prism("run", folder / f"{name}.toml", "--until-idle", "0.3")
        idle = prism("run", folder / f"{name}.toml", "--until-idle", "0.3")
        figures[label] = (busy[0] - idle[0], busy[1] - idle[1])
    with EmbeddedDocuments(folder / ".prism") as documents:
        assert documents.count("events") == records, "records are missing"
    return figures


def prism(*arguments: str | Path) -> tuple[float, float]:
    """Run a command; its CPU and wall seconds."""
    before, wall = os.times(), time.monotonic()
    command = [sys.executable, "-m", "prismlib.cli.main", *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return cpu, time.monotonic() - wall


if __name__ == "__main__":
    main()
