"""The supervisor, with small real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from prismlib.cli.supervise import Supervisor, reload_on_hangup

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


HEARS = """
import signal, sys, time
from prismlib.cli.supervise import reload_on_hangup
time.sleep({late})
heard = []
with reload_on_hangup(lambda: heard.append(1), lambda: sys.exit(7)):
    deadline = time.monotonic() + 30
    while not heard and time.monotonic() < deadline:
        time.sleep(0.01)
sys.exit(5 if heard else 6)
"""


@pytest.mark.parametrize("late", [0.0, 1.5])
def test_a_hangup_is_sent_on_to_workers_and_held_for_those_that_do_not_listen_yet(late: float) -> None:
    supervisor = Supervisor({"1": python(HEARS.format(late=late))}, may_end=False)
    threading.Timer(0.3, supervisor.reload).start()
    assert supervisor.run() == 5


def test_a_hangup_calls_reload_and_the_handler_from_before_is_back_afterwards() -> None:
    before, calls = signal.getsignal(signal.SIGHUP), []
    with reload_on_hangup(lambda: calls.append("reload"), lambda: calls.append("stop")):
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGHUP)
            time.sleep(0.01)
    assert calls == ["reload"] * 3
    assert signal.getsignal(signal.SIGHUP) is before


def test_nohup_stays_in_force() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        calls: list[str] = []
        with reload_on_hangup(lambda: calls.append("reload"), lambda: calls.append("stop")):
            os.kill(os.getpid(), signal.SIGHUP)
            time.sleep(0.05)
        assert calls == []
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_platform_without_the_signal_goes_on_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(signal, "SIGHUP")
    monkeypatch.delattr(signal, "pthread_sigmask")
    with reload_on_hangup(lambda: None, lambda: None):
        assert Supervisor({"1": python("")}, may_end=True).run() == 0


CLOSES = """
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.executable, [sys.executable, "-c", sys.argv[1]])
out = b""
while b"up" not in out:
    out += os.read(terminal, 1024)
os.close(terminal)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_who_was_started_from_a_terminal_stops_when_it_is_closed() -> None:
    code = HEARS.format(late=0).replace("    deadline", "    print('up', flush=True)\n    deadline")
    # In a process of its own, because this one has threads and must not fork.
    assert subprocess.run([*python(CLOSES), code], timeout=60, check=False).returncode == 7
