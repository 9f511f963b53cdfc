"""What a runner is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from prismlib.records import Loss

Start: TypeAlias = Literal["earliest", "latest"] | int
"""Where a fresh pipeline starts; an int is a time, in ms since the epoch."""


@dataclass(frozen=True, slots=True)
class RunnerSettings:
    """One worker of one pipeline.

    Attributes:
        pipeline: its name, the consumer group.
        file: the pipeline's file, for commands that errors tell to run; "" where there is none.
        worker: this worker's name.
        start: where reading begins when neither ledger nor broker knows the pipeline.
        on_drift: what a schema that a route cannot read does.
        key_fixes_partition: record keys are business keys, and one key is always in one partition.
        commit_interval: seconds between commits.
        dead_letter_topic: where dead letters go.
        stop_above_share: stop when more than this share of the last records was rejected.
        stop_above_of_last: how many records that looks back.
        accept_loss: losses that an operator accepts; only exactly these.
        accept_recreated: topics whose re-creation an operator accepts.
        until_idle: stop by itself after this many seconds without a record; None runs until it is stopped.
        max_records: records per poll.
        drain_timeout: seconds to finish what is open on a stop or a rebalance.
    """

    pipeline: str
    file: str = ""
    worker: str = "1"
    start: Start = "earliest"
    on_drift: Literal["pause", "dead_letter", "stop"] = "pause"
    key_fixes_partition: bool = False
    commit_interval: float = 1.0
    dead_letter_topic: str = ""
    stop_above_share: float = 0.5
    stop_above_of_last: int = 1000
    accept_loss: frozenset[Loss] = frozenset()
    accept_recreated: frozenset[str] = frozenset()
    until_idle: float | None = None
    max_records: int = 2000
    drain_timeout: float = 30.0
