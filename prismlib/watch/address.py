"""Alert addresses. They hold passwords and tokens, so one is named by its place in ``prism.toml`` and its scheme alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from prismlib.config.model import Secret
from prismlib.errors import ConfigError
from prismlib.watch import deliver
from prismlib.watch.message import Message


@dataclass(frozen=True, slots=True)
class Address:
    """Where messages can be delivered.

    Attributes:
        place: where it stands in ``prism.toml``, such as ``[alerts] to[0]``.
        scheme: of which service it is, such as ``mailto``.
        secret: the address itself.
    """

    place: str
    scheme: str
    secret: Secret = field(repr=False)

    def __str__(self) -> str:
        return f"{self.place} ({self.scheme})"

    def send(self, message: Message) -> str | None:
        """Deliver a message, which may take half a minute.

        Returns:
            None when the service has taken it; otherwise why not, without any part of the address.
        """
        try:
            answer = _ask([self.secret], message)
        except _NoAnswerError as error:
            return str(error)
        if "missing" in answer:
            return f"{answer['missing']} is not installed any more"
        why: str | None = answer["why"]
        return why


def understand(secrets: Sequence[Secret], where: str) -> tuple[list[Address], list[str]]:
    """The addresses among ``secrets``, and a sentence about each of the others; nothing is sent.

    Args:
        secrets: as written in ``prism.toml``.
        where: the file, for errors.

    Raises:
        ConfigError: Apprise is not installed, or cannot be started.
    """
    if not secrets:
        return [], []
    try:
        answer = _ask(secrets, None)
    except _NoAnswerError as error:
        raise ConfigError(f"{where}: [alerts]: Apprise could not look at the addresses: {error}") from error
    if "missing" in answer:
        raise ConfigError(f"{where}: [alerts] needs {answer['missing']}: install prism-pipeline[alerts]")
    good, bad = [], []
    for number, (secret, services) in enumerate(zip(secrets, answer["services"], strict=True)):
        place, scheme = f"[alerts] to[{number}]", secret.reveal().partition("://")[0].lower()
        if services == 1:
            good.append(Address(place, scheme, secret))
        elif services:
            bad.append(f"{where}: {place} holds {services} addresses; make each of them an entry of its own")
        else:
            bad.append(f"{where}: {place} is no address that Apprise understands; {_hint(scheme)}")
    return good, bad


class _NoAnswerError(Exception):
    """The process that delivers did not answer; the text says why, and quotes nothing of what it was asked."""


def _ask(secrets: Sequence[Secret], message: Message | None) -> dict[str, Any]:
    question = {
        "addresses": [secret.reveal() for secret in secrets],
        "message": None if message is None else asdict(message),
    }
    # -P: the folder of the script is no place to import from. A session of its own: the terminal's Ctrl-C ends the worker,
    # and not the alert that says so.
    command = [sys.executable, "-P", deliver.__file__]
    try:
        done = subprocess.run(
            command,
            input=json.dumps(question).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=deliver.LIMIT,
            check=False,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        raise _NoAnswerError(f"it took longer than {deliver.LIMIT} seconds") from None
    except OSError as error:
        raise _NoAnswerError(f"no process could be started for it: {error.strerror}") from None
    if done.returncode or not done.stdout:
        raise _NoAnswerError(f"its process ended with {done.returncode}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _hint(scheme: str) -> str:
    if scheme in {"http", "https"}:
        return f"a webhook begins with {'json' if scheme == 'http' else 'jsons'}:// instead of {scheme}://"
    return "its documentation, https://github.com/caronc/apprise/wiki, says how each service's is written"
