"""Addresses, with Apprise and real servers on loopback."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from prismlib.config.model import Secret
from prismlib.errors import ConfigError
from prismlib.watch import address as address_module
from prismlib.watch import deliver
from prismlib.watch.address import Address, understand
from prismlib.watch.message import Message
from tests.http_server import HttpServer, Reply, Wire
from tests.smtp_server import SmtpServer

HUSH = "hush-hush-4711"
MESSAGE = Message("Prism: shop paused: orders", "What happened: <a> & b\nAt stake: records", "warning")


def one(text: str) -> Address:
    (address,), wrong = understand([Secret(text)], "prism.toml")
    assert wrong == []
    return address


def test_a_webhook_takes_a_message() -> None:
    with HttpServer(lambda _: Reply(200)) as server:
        assert one(f"json://user:{HUSH}@localhost:{server.port}/{HUSH}").send(MESSAGE) is None
    (seen,) = server.seen
    assert (seen.path, seen.json()["title"], seen.json()["message"], seen.json()["type"]) == (
        f"/{HUSH}",
        MESSAGE.title,
        MESSAGE.body,
        "warning",
    )


def test_a_mail_server_takes_a_message() -> None:
    with SmtpServer() as server:
        url = f"mailto://me:{HUSH}@127.0.0.1:{server.port}?from=prism@example.org&to=ops@example.org&mode=insecure"
        assert one(url).send(MESSAGE) is None
    (mail,) = server.mails
    assert len(server.logins) == 1
    assert f"Subject: {MESSAGE.title}" in mail
    assert mail.endswith("\n\nWhat happened: <a> & b\nAt stake: records")


@pytest.mark.parametrize(("status", "why"), [(404, "its service answered with the status 404"), (200, None)])
def test_why_a_message_was_not_taken(status: int, why: str | None) -> None:
    with HttpServer(lambda _: Reply(status)) as server:
        assert one(f"json://localhost:{server.port}/{HUSH}").send(MESSAGE) == why


def test_a_server_that_is_away() -> None:
    assert one(f"json://127.0.0.1:1/{HUSH}").send(MESSAGE) == "its server cannot be reached, or refused what was asked"


def test_no_part_of_an_address_is_logged_or_shown(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Apprise and urllib3 log paths, and Apprise parts of what it does not understand."""
    caplog.set_level(1)
    secrets = [f"json://user:{HUSH}@127.0.0.1:1/{HUSH}", f"slack://{HUSH}/x", HUSH, f"https://example.org/{HUSH}"]
    good, wrong = understand([Secret(text) for text in secrets], "prism.toml")
    assert good[0].send(MESSAGE) is not None
    shown = [*wrong, *map(repr, good), *map(str, good), *(record.getMessage() for record in caplog.records)]
    assert len(wrong) == 3
    assert not [text for text in shown if HUSH in text or HUSH[:4] in text]
    assert capfd.readouterr() == ("", "")


def test_wrong_addresses_are_named_by_their_place() -> None:
    texts = ["json://127.0.0.1:1", "nonsense", "https://example.org/x", "json://localhost/a, json://localhost:3/b"]
    good, wrong = understand([Secret(text) for text in texts], "prism.toml")
    assert [str(address) for address in good] == ["[alerts] to[0] (json)"]
    assert wrong[0].startswith("prism.toml: [alerts] to[1] is no address that Apprise understands; its documentation")
    assert wrong[1].endswith("[alerts] to[2] is no address that Apprise understands; a webhook begins with jsons://"
                             " instead of https://")  # fmt: skip
    assert wrong[2] == "prism.toml: [alerts] to[3] holds 2 addresses; make each of them an entry of its own"


def test_without_apprise_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "apprise.py").write_text("raise ImportError(name='apprise')")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    with pytest.raises(ConfigError, match=r"needs apprise: install prism-pipeline\[alerts\]"):
        understand([Secret("json://127.0.0.1:1")], "prism.toml")


def test_a_server_that_trickles_is_left_after_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte comes before the client's own time is over, so nothing else would end it."""
    monkeypatch.setattr(deliver, "LIMIT", 4)
    with HttpServer(lambda _: Wire([b"H", *[b"T"] * 100], pause=0.5)) as server:
        address = one(f"json://localhost:{server.port}/x")
        began = time.monotonic()
        assert address.send(MESSAGE) == "it took longer than 4 seconds"
        assert time.monotonic() - began < 40, "the server takes 50 s"


def test_a_process_that_fails_is_a_reason_and_no_exception(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = one("json://127.0.0.1:1")
    monkeypatch.setattr(address_module.deliver, "__file__", str(tmp_path / "missing.py"))
    assert address.send(MESSAGE) == "its process ended with 2"
    monkeypatch.setattr(sys, "executable", str(tmp_path / "missing"))
    assert address.send(MESSAGE) == "no process could be started for it: No such file or directory"


def test_an_address_is_not_in_the_list_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    run = subprocess.run

    def look(command: list[str], **options: object) -> object:
        seen.extend([command, options.get("env")])
        return run(command, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "run", look)
    one(f"json://user:{HUSH}@127.0.0.1:1")
    assert len(seen) == 2
    assert HUSH not in str(seen)


def test_delivering_leaves_the_logging_of_this_process_alone() -> None:
    before = dict(logging.root.manager.loggerDict)
    one("json://127.0.0.1:1").send(MESSAGE)
    assert dict(logging.root.manager.loggerDict) == before
