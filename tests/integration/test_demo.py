"""``scripts/demo``, as a new user runs it: what it counts, and what it says to try next."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PUBLISHED = {"flights": 27_004, "weather": 2_226, "planes": 3_322}
TOTAL = 32_552


def run(*command: str, storage: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **({"PRISM_STORAGE_PATH": str(storage)} if storage else {}), "NO_COLOR": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=280)


def demo(*options: str, storage: Path | None = None) -> tuple[dict[str, Any], str]:
    """The totals, and what people see."""
    done = run(sys.executable, "-m", "examples.air_traffic.demo", "--once", "--json", *options, storage=storage)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


def commands(shown: str) -> list[list[str]]:
    """What it says to try next, with this interpreter's programs."""
    lines = shown.partition("What to try next")[2].splitlines()
    parts = [part.strip() for line in lines if line.startswith("  ") and "# " not in line for part in line.split(";")]
    bin_folder = Path(sys.executable).parent
    return [[part.replace(".venv/bin", str(bin_folder)) for part in shlex.split(line)] for line in parts]


def test_embedded_storage_gets_every_record_and_the_commands_to_try_next_work(tmp_path: Path) -> None:
    totals, shown = demo(storage=tmp_path)
    assert totals.pop("seconds") > 0
    assert totals == {
        "published": PUBLISHED,
        "normalized": TOTAL,
        "indexed": TOTAL,
        "dead_letters": 0,
        "backend": "embedded",
    }
    assert "not Kafka and not Elasticsearch" in " ".join(shown.split())
    assert "Nothing was lost, and nothing is there twice." in shown
    check, spoil, first, second, letters, real = commands(shown)
    assert real == ["scripts/demo", "--real"]
    for command in (check, spoil, first, second):
        done = run(*command, storage=tmp_path)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
    listed = run(*letters, "--json", storage=tmp_path)
    assert listed.returncode == 0, listed.stderr
    groups = json.loads(listed.stdout)
    assert sorted(group["code"] for group in groups["groups"]) == ["cast", "truncated", "unknown-schema-id"]


def test_it_starts_over_each_time(tmp_path: Path) -> None:
    for _ in range(2):
        totals, _ = demo(storage=tmp_path)
        assert totals["indexed"] == TOTAL


@pytest.mark.real
def test_real_servers_get_every_record() -> None:
    totals, shown = demo("--real")
    assert totals.pop("seconds") > 0
    assert totals == {
        "published": PUBLISHED,
        "normalized": TOTAL,
        "indexed": TOTAL,
        "dead_letters": 0,
        "backend": "kafka+elasticsearch",
    }
    assert "schema registry at http://127.0.0.1" in " ".join(shown.split())
