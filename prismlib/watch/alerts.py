"""The alert path of one process: from ``[alerts]`` to addresses that are known to work, or to the reason why nobody is told."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

from prismlib.config.pipeline import PipelineConfig
from prismlib.config.project import ProjectConfig, load_project
from prismlib.errors import ConfigError
from prismlib.runtime.notices import Notice, Tell, notice_of_end
from prismlib.watch.address import Address, understand
from prismlib.watch.line import Line
from prismlib.watch.message import Message, Writer
from prismlib.watch.outbox import Outbox
from prismlib.watch.proofs import Proofs

log = logging.getLogger(__name__)

TEST_SECONDS = 40.0
"""Longer than one delivery may take, so that a slow address is told from none."""
CLOSE_SECONDS = 15.0
"""What the end of a process waits for messages that are not delivered."""


@dataclass(frozen=True, slots=True)
class AlertPath:
    """Who would be told, as far as is known without sending anything.

    Attributes:
        addresses: those that Apprise understands.
        wrong: one sentence for each of the others.
        tested: when a delivery last worked, by address.
        proofs: where that is kept.
    """

    addresses: Sequence[Address]
    wrong: Sequence[str]
    tested: dict[Address, datetime]
    proofs: Proofs

    @classmethod
    def of(cls, project: ProjectConfig) -> Self:
        """That of a project; a library that is missing is one more thing that is wrong."""
        proofs = Proofs(project.storage_path)
        try:
            addresses, wrong = understand(project.alerts.to, str(project.path))
        except ConfigError as error:
            addresses, wrong = [], [str(error)]
        times = {address: proofs.tested_at(address.secret) for address in addresses}
        return cls(addresses, wrong, {address: at for address, at in times.items() if at is not None}, proofs)

    def untested(self) -> list[Address]:
        """Addresses to which no delivery is known to have worked."""
        return [address for address in self.addresses if address not in self.tested]

    def nobody(self) -> str | None:
        """Why nobody will be told; None when at least one address is known to work."""
        if self.tested:
            return None
        if self.addresses:
            return "no delivery to an address of [alerts] has worked yet; `prism alerts test` tries them"
        return "; ".join(self.wrong) or "no prism.toml names an address in [alerts] to"

    def test(self, message: Message) -> dict[Address, str | None]:
        """Send one real message to every address at once, wait for each, and keep what came of it.

        Returns:
            None for an address that has taken it, and why not for another.
        """
        return try_out(self.addresses, message, self.proofs)


def try_out(addresses: Sequence[Address], message: Message, proofs: Proofs) -> dict[Address, str | None]:
    """As :meth:`AlertPath.test`, for some addresses."""
    results: dict[Address, str | None] = dict.fromkeys(addresses, f"it took longer than {TEST_SECONDS:g} seconds")

    def send(address: Address) -> None:
        results[address] = address.send(message)

    threads = [threading.Thread(target=send, args=(address,), daemon=True) for address in addresses]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + TEST_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    for address, why in dict(results).items():
        if why is None:
            proofs.record(address.secret)
        else:
            proofs.forget(address.secret)
    return dict(results)


class Alerts:
    """Tells the addresses of ``[alerts]`` what happens to a pipeline, as long as its block lasts."""

    def __init__(self, path: AlertPath, writer: Writer) -> None:
        """Nothing is sent yet; see :func:`open_alerts`."""
        self._path = path
        self._writer = writer
        self._lines = {address: Line(address, self._delivered) for address in path.addresses}
        self._outbox = Outbox(list(self._lines.values()), writer)

    def tell(self, notice: Notice) -> None:
        """Take a notice over, without waiting for its delivery. May be called from any thread; never raises."""
        self._outbox.tell(notice)

    def begin(self, *, production: bool = False) -> None:
        """Say whether somebody will be told, and test addresses that never have been by one real message.

        Args:
            production: wait for the tests, and refuse to go on when nobody will be told. Without it, they are sent while
                the pipeline runs already, and tried again until they are delivered.

        Raises:
            ConfigError: nobody will be told, in production.
        """
        for wrong in self._path.wrong:
            log.error("an alert address is not used", extra={"reason": wrong})
        untested = self._path.untested()
        nobody = self._path.nobody()
        if production and nobody is not None:
            results = try_out(untested, self._writer.test(), self._path.proofs)
            failed = {address: why for address, why in results.items() if why is not None}
            if len(failed) == len(results):
                reasons = "; ".join(f"{address}: {why}" for address, why in failed.items()) or nobody
                raise ConfigError(f"nobody will be told, which --production refuses: {reasons}")
            nobody, untested = None, list(failed)
        for address in untested:
            self._lines[address].put(self._writer.test(), optional=True)
        if nobody is not None and untested:
            log.warning("nobody will be told until a test message is delivered, which is on its way")
        elif nobody is not None:
            log.warning("nobody will be told", extra={"reason": nobody})

    @contextlib.contextmanager
    def telling(self) -> Iterator[None]:
        """Tell of an error that ends the block; for what comes before a runner, which tells by itself."""
        try:
            yield
        except Exception as error:
            self.tell(notice_of_end(error, ()))
            raise

    def close(self) -> None:
        """Deliver what waits, for 15 seconds at most; what is not delivered then is logged."""
        self._outbox.close(CLOSE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _delivered(self, address: Address) -> None:
        self._path.proofs.record(address.secret)


def project_alerts(project: ProjectConfig, *, pipeline: str, file: Path | None, worker: str) -> Alerts:
    """Alerts of one process, by the addresses of a project.

    Args:
        project: whose addresses.
        pipeline: its name, for the text.
        file: the pipeline's file, for the commands in the text; None where there is none.
        worker: its name, for the text.
    """
    return Alerts(AlertPath.of(project), Writer(pipeline, file, worker, socket.gethostname()))


@contextlib.contextmanager
def open_alerts(pipeline: PipelineConfig, worker: str = "1") -> Iterator[Tell]:
    """Tell the addresses of ``[alerts]`` in the ``prism.toml`` above a pipeline, from code that embeds one.

        with open_alerts(pipeline) as tell:
            build_runner(pipeline, tell=tell).run()

    Addresses that were never tested are tested at once, by one real message. The end of the block delivers what still waits,
    for 15 seconds at most. Apprise delivers in short-lived processes, so neither its logs nor its threads are in yours.

    Args:
        pipeline: from :func:`load_pipeline` or :func:`pipeline_from`.
        worker: as given to :func:`build_runner`.

    Raises:
        ConfigError: something in ``prism.toml`` is wrong. A wrong address is logged, and the others are used.
    """
    project = load_project(pipeline.base)
    file = pipeline.path if pipeline.path.is_file() else None
    with project_alerts(project, pipeline=pipeline.name, file=file, worker=worker) as alerts:
        alerts.begin()
        yield alerts.tell
