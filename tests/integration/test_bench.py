"""The benchmark of both workers runs, so that a change of what it calls does not go unnoticed until somebody measures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.real


def test_both_workers_are_measured_beside_loops_by_hand() -> None:
    command = [sys.executable, "-m", "bench", "--records", "2000", "--rounds", "1", "--seeds", "0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for line in ("worker 1, seed 0", "worker 2, seed 0", "by hand, fastavro", "streaming_bulk, tuned"):
        assert line in done.stdout
    assert done.stdout.count("│ prism ") == 2
