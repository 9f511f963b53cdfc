"""What the commands on offsets have in common: which partitions, and the stores they need."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from prismlib.cli.app import App, progress
from prismlib.cli.project import Loaded, load
from prismlib.errors import ConfigError
from prismlib.plugin.hookspecs import GroupOffsets, LedgerStore
from prismlib.records import LedgerRow
from prismlib.runtime.assemble import offset_stores
from prismlib.runtime.offsets import Standing, look
from prismlib.runtime.resolve import resolve
from prismlib.timestamps import utc

F = TypeVar("F", bound=Callable[..., Any])


def choice_options(command: F) -> F:
    """Options that choose partitions; the command gets them as ``topic`` and ``partitions``."""
    options = (
        click.option("--topic", metavar="TOPIC", help="Only this topic."),
        click.option(
            "--partition",
            "partitions",
            type=click.IntRange(min=0),
            multiple=True,
            metavar="NUMBER",
            help="Only this partition of the topic; may be given several times.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Opened:
    """A pipeline whose offsets are looked at.

    Attributes:
        loaded: its file and project.
        group: the source's side, open.
        ledger: the sink's side, open.
    """

    loaded: Loaded
    group: GroupOffsets
    ledger: LedgerStore

    def standings(self, topic: str | None, partitions: Sequence[int]) -> list[Standing]:
        """Where the chosen partitions stand.

        Raises:
            ConfigError: there is no such topic or partition.
        """
        config = self.loaded.pipeline
        if topic is None:
            if partitions and len(config.topics) > 1:
                raise ConfigError(f"--partition needs --topic: {config.path} reads {', '.join(config.topics)}")
            topics = list(config.topics)
        else:
            config.require_topic(topic, "--topic")
            topics = [topic]
        with progress("asking ledger and broker"):  # which may have to wait for the transaction of a killed worker
            found = look(self.group, self.ledger, topics)
        missing = sorted(set(partitions) - {standing.partition.index for standing in found})
        if missing:
            raise ConfigError(
                f"--partition {missing[0]}: topic {topics[0]} has the partitions 0 to {len(found) - 1} only"
            )
        return [standing for standing in found if not partitions or standing.partition.index in partitions]


@contextmanager
def opened(app: App, pipeline: Path) -> Iterator[Opened]:
    """Open both sides of a pipeline. Raises ConfigError, UnreachableError."""
    loaded = load(pipeline, app.plugins)
    resolved = resolve(loaded.pipeline, app.plugins)
    group, ledger = offset_stores(resolved, app.plugins, registry=loaded.registry, storage=loaded.project.storage_path)
    try:
        group.open()
        ledger.open()
        yield Opened(loaded, group, ledger)
    finally:
        group.close()
        ledger.close()


# --- for people and programs -------------------------------------------------------------------------------------------


def moment(timestamp_ms: int) -> str:
    """A time in a table."""
    return "-" if timestamp_ms < 0 else utc(timestamp_ms)


def log_range(standing: Standing) -> str:
    """What the partition holds."""
    return f"{standing.horizon.start} to {standing.horizon.end}"


def broker_document(standing: Standing) -> dict[str, Any] | None:
    """The group's offset, for programs."""
    if standing.committed is None:
        return None
    return {"next_offset": standing.committed, "record_ms": standing.committed_ms}


def ledger_document(standing: Standing) -> dict[str, Any] | None:
    """The ledger row, for programs."""
    row: LedgerRow | None = standing.row
    if row is None:
        return None
    return {
        "next_offset": row.next_offset,
        "record_ms": standing.ledger_ms,
        "last_settled_ms": row.timestamp_ms,
        "written_ms": row.written_ms,
        "epoch": row.epoch,
        "ledger_epoch": row.ledger_epoch,
        "topic_id": row.topic_id,
        "schema_id": row.schema_id,
        "mapping": row.mapping,
    }


def command(name: str, pipeline: Path, *arguments: object) -> str:
    """A command to type next, as a shell takes it."""
    return shlex.join(["prism", "offsets", name, str(pipeline), *map(str, arguments)])
