"""The two pipelines of the demo as processes of ``prism``, as anybody would run them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from examples.air_traffic.demo.story import DemoError


class Workers:
    """Runs ``prism`` commands on the demo's pipelines."""

    def __init__(self, pipelines: Sequence[Path], environment: Mapping[str, str]) -> None:
        """``environment`` is added to that of the processes."""
        self._pipelines = pipelines
        self._environment = {**os.environ, **environment}
        self._processes: list[tuple[subprocess.Popen[bytes], Path]] = []

    def set_up(self) -> None:
        """``prism setup --yes`` of every pipeline. Raises DemoError."""
        for pipeline in self._pipelines:
            done = subprocess.run(
                _prism("setup", str(pipeline), "--yes"),
                env=self._environment,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise DemoError(f"prism setup {pipeline.name} failed:\n{done.stderr or done.stdout}")

    @contextmanager
    def running(self) -> Iterator[None]:
        """One worker of each pipeline; stopped at the end, when they settle and commit what is open."""
        with tempfile.TemporaryDirectory(prefix="prism-demo-") as folder:
            try:
                for pipeline in self._pipelines:
                    log = Path(folder, f"{pipeline.stem}.log")
                    with log.open("wb") as out:
                        process = subprocess.Popen(
                            _prism("run", str(pipeline)),
                            env=self._environment,
                            stdin=subprocess.DEVNULL,
                            stdout=out,
                            stderr=out,
                            start_new_session=True,  # Ctrl-C is for the demo, which stops its workers itself
                        )
                    self._processes.append((process, log))
                yield
            finally:
                for process, _ in self._processes:
                    process.terminate()
                for process, _ in self._processes:
                    process.wait(60)

    def check(self) -> None:
        """Raises DemoError when a worker has ended."""
        for process, log in self._processes:
            if process.poll() is not None:
                raise DemoError(f"a worker ended by itself; its log:\n{log.read_text(errors='replace')[-2000:]}")


def _prism(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "prismlib.cli.main", *arguments]
