"""Entry point of the embedded plugin; SQLite is imported only when a stage is made."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from prism_embedded.config import EmbeddedSinkConfig, EmbeddedSourceConfig
from prismlib.plugin.hookspecs import BuildContext, StageSpec, StoreSpec, hookimpl

if TYPE_CHECKING:
    from prism_embedded.administration import EmbeddedAdministration
    from prism_embedded.dead_letters import EmbeddedDeadLetters
    from prism_embedded.group_offsets import EmbeddedGroupOffsets
    from prism_embedded.index_sink import EmbeddedIndexSink
    from prism_embedded.ledger_store import EmbeddedLedgerStore
    from prism_embedded.reader import EmbeddedReader
    from prism_embedded.source import EmbeddedSource
    from prism_embedded.topic_sink import EmbeddedTopicSink


def _source(config: EmbeddedSourceConfig, context: BuildContext) -> EmbeddedSource:
    from prism_embedded.database import file_in  # noqa: PLC0415  # SQLite stays out until it is needed
    from prism_embedded.source import EmbeddedSource  # noqa: PLC0415  # as above

    return EmbeddedSource(
        file_in(context.storage),
        group=context.pipeline,
        worker=context.worker,
        topics=context.topics,
        session_timeout=config.session_timeout,
    )


def _sink(config: EmbeddedSinkConfig, context: BuildContext) -> EmbeddedTopicSink | EmbeddedIndexSink:
    from prism_embedded.database import file_in  # noqa: PLC0415  # as above

    path = file_in(context.storage)
    if config.topic is not None:
        from prism_embedded.topic_sink import EmbeddedTopicSink  # noqa: PLC0415  # as above

        return EmbeddedTopicSink(
            path,
            topic=config.topic,
            pipeline=context.pipeline,
            worker=context.worker,
            dead_letter_topic=context.dead_letter_topic,
        )
    from prism_embedded.index_sink import EmbeddedIndexSink  # noqa: PLC0415  # as above

    return EmbeddedIndexSink(
        path,
        alias=config.alias or "",
        pipeline=context.pipeline,
        worker=context.worker,
        origin_topic=len(context.topics) > 1,
    )


def _dead_letters(config: EmbeddedSourceConfig, context: BuildContext) -> EmbeddedDeadLetters:  # noqa: ARG001  # one file
    from prism_embedded.database import file_in  # noqa: PLC0415  # as above
    from prism_embedded.dead_letters import EmbeddedDeadLetters  # noqa: PLC0415  # as above

    return EmbeddedDeadLetters(file_in(context.storage), topic=context.dead_letter_topic)


def _administration(config: EmbeddedSourceConfig | EmbeddedSinkConfig, context: BuildContext) -> EmbeddedAdministration:
    from prism_embedded.administration import EmbeddedAdministration  # noqa: PLC0415  # as above
    from prism_embedded.database import file_in  # noqa: PLC0415  # as above

    return EmbeddedAdministration(
        file_in(context.storage),
        role=context.role,
        pipeline=context.pipeline,
        sources=context.topics,
        sink=config if isinstance(config, EmbeddedSinkConfig) else None,
        dead_letter_topic=context.dead_letter_topic,
    )


def _reader(config: EmbeddedSourceConfig, context: BuildContext) -> EmbeddedReader:  # noqa: ARG001  # one file
    from prism_embedded.database import file_in  # noqa: PLC0415  # as above
    from prism_embedded.reader import EmbeddedReader  # noqa: PLC0415  # as above

    return EmbeddedReader(file_in(context.storage))


def _group(config: EmbeddedSourceConfig, context: BuildContext) -> EmbeddedGroupOffsets:
    from prism_embedded.database import file_in  # noqa: PLC0415  # as above
    from prism_embedded.group_offsets import EmbeddedGroupOffsets  # noqa: PLC0415  # as above

    return EmbeddedGroupOffsets(
        file_in(context.storage), group=context.pipeline, session_timeout=config.session_timeout
    )


def _ledger(config: EmbeddedSinkConfig, context: BuildContext) -> EmbeddedLedgerStore:
    from prism_embedded.database import file_in  # noqa: PLC0415  # as above
    from prism_embedded.ledger_store import EmbeddedLedgerStore  # noqa: PLC0415  # as above

    return EmbeddedLedgerStore(file_in(context.storage), pipeline=context.pipeline, alias=config.alias)


@hookimpl
def prism_stages() -> Iterable[StageSpec]:
    """Source and sink ``embedded``."""
    return [
        StageSpec(
            "source", "embedded", "a log in one SQLite file, for trying Prism out", EmbeddedSourceConfig, _source
        ),
        StageSpec("sink", "embedded", "a topic or a document store in the same file", EmbeddedSinkConfig, _sink),
    ]


@hookimpl
def prism_stores() -> Iterable[StoreSpec]:
    """Dead letters, setup and preflight, a reader, and offsets for commands."""
    return [
        StoreSpec("dead_letters", "embedded", _dead_letters),
        StoreSpec("administration", "embedded", _administration),
        StoreSpec("reader", "embedded", _reader),
        StoreSpec("group", "embedded", _group),
        StoreSpec("ledger", "embedded", _ledger),
    ]
