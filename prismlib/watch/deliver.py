"""Understands addresses and delivers one message with Apprise, as a process of its own. The only module that knows Apprise.

A process, because nothing in it can outlive its time then: a mail server that trickles, a name that is not resolved, the threads
that Apprise starts and that Python waits for at its end. What its libraries log quotes parts of addresses, and stays here.

Addresses come by standard input, where no list of processes shows them. It is run by its path, and imports nothing of Prism.
"""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import sys
from typing import Any

LIMIT = 30
"""Seconds that it may take."""

_STATUS = re.compile(r"\berror=(\d{3})\b")


class _Kept(logging.Handler):
    """What Apprise says about a delivery; it has no other way to tell why one failed."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


def _reason(said: list[str]) -> str:
    """Only what cannot hold a part of an address."""
    found = next((match for match in map(_STATUS.search, said) if match), None)
    if found:
        return f"its service answered with the status {found[1]}"
    if any("onnection error" in line for line in said):
        return "its server cannot be reached, or refused what was asked"
    return "its service did not take the message"


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """Answer one question.

    Args:
        question: ``addresses``, and a ``message`` for the first of them, or None to look at the addresses alone.

    Returns:
        ``missing``, the name of a library that is not installed; or ``services``, how many each address stands for, 0 for
        one that Apprise does not understand; and ``why`` the message was not taken, None when it was.
    """
    try:
        import apprise  # noqa: PLC0415  # of an extra
    except ImportError as error:
        return {"missing": error.name}
    kept = _Kept()
    logging.getLogger("apprise").addHandler(kept)
    services = []
    for address in question["addresses"]:
        service = apprise.Apprise(asset=apprise.AppriseAsset(app_id="Prism", app_desc="Prism"))
        try:
            services.append(len(service) if service.add(address) else 0)
        except Exception:  # noqa: BLE001  # the parser of one service, whose text may quote the address
            services.append(0)
        message = question["message"]
        if message is None:
            continue
        kept.said.clear()
        try:
            taken = service.notify(
                body=message["body"],
                title=message["title"],
                notify_type=apprise.NotifyType(message["severity"]),
                body_format=apprise.NotifyFormat.TEXT,
            )
        except Exception as error:  # noqa: BLE001  # as above
            return {"services": services, "why": f"its service failed with {type(error).__name__}"}
        return {"services": services, "why": None if taken else _reason(kept.said)}
    return {"services": services, "why": None}


def main() -> None:
    """From standard input to standard output, both JSON."""
    signal.alarm(LIMIT + 5)  # for when whoever asked is gone
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what libraries print is no part of the answer
        json.dump(answer(json.load(sys.stdin)), out)
    os._exit(0)  # not waiting for threads of Apprise


if __name__ == "__main__":
    main()
