"""Which servers a folder of ``prism dev`` holds, and how they are made from it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeAlias

from prism_devservers.elasticsearch import Elasticsearch
from prism_devservers.kafka import Kafka, KafkaCluster
from prism_devservers.object_store import ObjectStore
from prism_devservers.registry import SchemaRegistry
from prism_devservers.server import Server
from prismlib.errors import ConfigError

Kind: TypeAlias = Literal["kafka", "elasticsearch", "registry", "object-store"]
State: TypeAlias = Literal["starting", "up", "silent", "ended", "failed"]
CLASSES: Final[Mapping[Kind, type[Server]]] = {
    "kafka": Kafka,
    "elasticsearch": Elasticsearch,
    "registry": SchemaRegistry,
    "object-store": ObjectStore,
}
KINDS: Final[Sequence[Kind]] = tuple(CLASSES)
_FOLDER_NAME: Final = re.compile(r"kafka(-[1-9]\d*)?|elasticsearch|registry|object-store")


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """How one server is.

    Attributes:
        kind: what it is.
        name: ``kafka``, or ``kafka-1`` and so on where there are several.
        state: ``up`` answers; ``silent`` runs and does not answer; ``ended`` was killed or ended by itself; ``failed``
            did not start.
        address: what a client is given to connect to it.
        pid: process id while it runs.
        log: path of its log.
        detail: why it failed, or how it ended.
        credentials: what a client needs besides, by name.
    """

    kind: Kind
    name: str
    state: State
    address: str
    pid: int | None
    log: str
    detail: str = ""
    credentials: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The status that ``dataclasses.asdict`` was applied to."""
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Unit:
    """Servers that start together: one, or all brokers of a cluster.

    Attributes:
        servers: by name.
        start: starts those that do not run, and waits until all answer. Raises ConfigError, UnreachableError.
    """

    servers: Mapping[str, Server]
    start: Callable[[], object]


def make_unit(kind: Kind, folder: Path, brokers: int | None) -> Unit:
    """The servers of one kind with the ports and data that ``folder`` has for them.

    Args:
        kind: which.
        folder: of ``prism dev``.
        brokers: how many, for Kafka; None for as many as there are, or one.

    Raises:
        ConfigError: the folder has another number of brokers; no port is free.
    """
    if kind == "kafka" and (count := brokers_of(folder, brokers)) > 1:
        cluster = KafkaCluster(count, folder=folder)
        return Unit({node.name: node for node in cluster.nodes}, cluster.start)
    server = CLASSES[kind](name=kind, folder=folder / kind)
    return Unit({kind: server}, server.start)


def brokers_of(folder: Path, wanted: int | None) -> int:
    """How many brokers to run: as many as have data, which must not contradict what is wanted.

    Raises:
        ConfigError: it does. A cluster keeps the size that it was made with.
    """
    there = 1 if (folder / "kafka").is_dir() else len(list(folder.glob("kafka-*")))
    if there and wanted and there != wanted:
        raise ConfigError(
            f"{folder} holds a Kafka of {there} and not of {wanted} brokers: leave --kafka out, or delete the data first with"
            " `prism dev down --delete-data`"
        )
    return there or wanted or 1


def data_folders(folder: Path) -> Sequence[Path]:
    """The folders of servers in the folder of ``prism dev``, and nothing else that is there."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and _FOLDER_NAME.fullmatch(path.name))
