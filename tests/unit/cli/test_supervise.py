"""The supervisor, with small real processes."""

from __future__ import annotations

import subprocess
import sys
import threading

from prismlib.cli.supervise import Supervisor

WAITS = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); print(flush=True); signal.pause()"


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_the_first_failure_is_the_exit_code_and_the_others_are_stopped() -> None:
    workers = {"1": python(WAITS), "2": python("raise SystemExit(2)")}
    assert Supervisor(workers, may_end=False).run() == 2


def test_a_worker_that_was_killed_counts_as_fatal() -> None:
    workers = {"1": python(WAITS), "2": python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")}
    assert Supervisor(workers, may_end=False).run() == 3


def test_workers_that_may_end_are_waited_for() -> None:
    assert Supervisor({"1": python(""), "2": python("")}, may_end=True).run() == 0


def test_a_worker_that_ends_unasked_stops_the_others() -> None:
    assert Supervisor({"1": python(WAITS), "2": python("")}, may_end=False).run() == 0


def test_stop_ends_all_workers_with_0() -> None:
    supervisor = Supervisor({"1": python(WAITS), "2": python(WAITS)}, may_end=False)
    threading.Timer(1.0, supervisor.stop).start()
    assert supervisor.run() in {0, 3}  # 3: SIGTERM came before the small process had its handler


def test_a_worker_notices_that_its_supervisor_is_gone() -> None:
    code = (
        "import threading; from prismlib.cli.supervise import stop_when_parent_ends as watch\n"
        "gone = threading.Event(); watch(gone.set); gone.wait(); print('stopped')"
    )
    child = subprocess.Popen(python(code), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    out, _ = child.communicate(timeout=60)
    assert out == b"stopped\n"
