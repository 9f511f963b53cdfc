"""Asks the stores of a pipeline for what :mod:`prismlib.watch.status` judges; changes nothing, and may be done while workers run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Final, Literal

from prismlib.config.pipeline import PipelineConfig
from prismlib.errors import FatalError, PrismError, RetryableError, UnreachableError
from prismlib.plugin.hookspecs import GroupOffsets, LedgerStore, Retention, StreamReader
from prismlib.runtime.letter_index import scan
from prismlib.runtime.letters import Selection
from prismlib.runtime.offsets import look
from prismlib.watch.status import Facts, Letters

MOST_LETTERS: Final = 100_000
"""Records of a dead letter topic that are read to count the open letters among them; of a larger one only its size is told."""
LETTER_SECONDS: Final = 5.0
"""Likewise: reading takes no longer."""


def survey(
    config: PipelineConfig, group: GroupOffsets, ledger: LedgerStore, reader: Callable[[], StreamReader]
) -> Facts:
    """Ask about one pipeline.

    Where the ledger's servers are away, the broker's side is told alone: that is when somebody asks.

    Args:
        config: the pipeline.
        group: open.
        ledger: not open yet.
        reader: makes what reads dead letters; called only if there are any.

    Raises:
        ConfigError: a topic does not exist, or the ledger does not.
        RetryableError, FatalError: the source's servers are away, or refuse.
    """
    unknown: list[str] = []
    members = group.members()
    known: LedgerStore | None = ledger
    try:
        ledger.open()
        notes = ledger.load_notes()
    except (UnreachableError, RetryableError) as error:
        unknown.append(f"the ledger does not answer, so this is what the broker alone knows: {error}")
        known, notes = None, ()
    standings = look(group, known, config.topics)
    return Facts(
        pipeline=config.name,
        standings=standings,
        notes=notes,
        members=members,
        retention=_retention(group, config, unknown),
        offsets_retention_ms=_offsets_retention(group, unknown),
        letters=_letters(config, group, reader, unknown),
        ledger=known is not None,
        unknown=unknown,
    )


def _retention(group: GroupOffsets, config: PipelineConfig, unknown: list[str]) -> Mapping[str, Retention]:
    try:
        return group.retention(config.topics)
    except FatalError as error:  # reading records is one right, reading settings another
        unknown.append(f"when records are deleted is not known: {error}")
        return {}


def _offsets_retention(group: GroupOffsets, unknown: list[str]) -> int | Literal["unknown"] | None:
    try:
        return group.offsets_retention_ms()
    except FatalError as error:
        unknown.append(f"when offsets are forgotten is not known: {error}")
        return "unknown"


class _TooLongError(Exception):
    """Counting is given up."""


def _letters(
    config: PipelineConfig, group: GroupOffsets, reader: Callable[[], StreamReader], unknown: list[str]
) -> Letters:
    topic = config.dead_letter_topic
    try:
        places = group.partitions([topic])
        size = sum(horizon.end - horizon.start for horizon in group.horizons(places).values())
        if not places:
            unknown.append(
                f"the dead letter topic {topic} does not exist; create it with `prism setup {config.path} --yes`"
            )
            return Letters(topic, None, -1)
        if not size or size > MOST_LETTERS:
            return Letters(topic, None if size else 0, size)
    except FatalError as error:
        unknown.append(f"dead letters cannot be counted: {error}")
        return Letters(topic, None, -1)
    deadline = time.monotonic() + LETTER_SECONDS

    def look_at_the_clock(_: int) -> None:
        if time.monotonic() > deadline:
            raise _TooLongError

    try:
        with closing(reader()) as reading:
            reading.open()
            return Letters(topic, len(scan(reading, topic, config.name, Selection(), look_at_the_clock).rows()), size)
    except _TooLongError:
        return Letters(topic, None, size)
    except PrismError as error:
        unknown.append(f"dead letters cannot be counted: {error}")
        return Letters(topic, None, size)
