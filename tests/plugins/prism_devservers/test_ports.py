from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from prism_devservers.ports import LEASES, LOOPBACK, is_free


def test_leased_ports_are_distinct_free_and_below_the_ephemeral_range() -> None:
    ports = LEASES.take(50)
    try:
        assert len(set(ports)) == 50
        assert all(is_free(port) and port < 32_768 for port in ports)
    finally:
        LEASES.release(ports)


def test_a_leased_port_is_refused_to_this_and_to_other_processes_until_it_is_released() -> None:
    (port,) = LEASES.take(1)
    code = f"from prism_devservers.ports import LEASES; print(LEASES.lease({port}))"

    def other() -> str:
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()

    try:
        assert not LEASES.lease(port)
        assert other() == "False"
    finally:
        LEASES.release([port])
    assert other() == "True"


def test_a_port_that_somebody_listens_on_is_not_leased(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        listener.listen()
        taken = listener.getsockname()[1]
        monkeypatch.setattr("random.sample", lambda *_: [taken, *range(20_000, 20_100)])
        (port,) = LEASES.take(1)
        LEASES.release([port])
    assert port != taken
