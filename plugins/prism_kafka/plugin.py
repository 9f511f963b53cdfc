"""Entry point of the Kafka plugin; confluent-kafka is imported only when a stage is made."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from prism_kafka.config import KafkaSinkConfig, KafkaSourceConfig
from prismlib.errors import ConfigError, PluginLoadError
from prismlib.plugin.hookspecs import BuildContext, StageSpec, StoreSpec, hookimpl

if TYPE_CHECKING:
    from prism_kafka.administration import KafkaAdministration
    from prism_kafka.dead_letters import KafkaDeadLetters
    from prism_kafka.group import KafkaGroup
    from prism_kafka.ledger import KafkaLedgerStore
    from prism_kafka.reader import KafkaReader
    from prism_kafka.sink import KafkaSink
    from prism_kafka.source import KafkaSource


def _source(config: KafkaSourceConfig, context: BuildContext) -> KafkaSource:
    try:
        from prism_kafka.source import KafkaSource  # noqa: PLC0415  # the client library stays out until needed
    except ImportError as error:
        raise _not_installed(error) from error
    return KafkaSource(
        config.servers, config.options, group=context.pipeline, worker=context.worker, topics=context.topics
    )


def _sink(config: KafkaSinkConfig, context: BuildContext) -> KafkaSink:
    try:
        from prism_kafka.sink import KafkaSink  # noqa: PLC0415  # as above
    except ImportError as error:
        raise _not_installed(error) from error
    return KafkaSink(
        _servers(config),
        config.options or {},
        topic=config.topic,
        pipeline=context.pipeline,
        worker=context.worker,
        dead_letter_topic=context.dead_letter_topic,
    )


def _dead_letters(config: KafkaSourceConfig, context: BuildContext) -> KafkaDeadLetters:
    try:
        from prism_kafka.dead_letters import KafkaDeadLetters  # noqa: PLC0415  # as above
    except ImportError as error:
        raise _not_installed(error) from error
    return KafkaDeadLetters(
        config.servers,
        config.options,
        topic=context.dead_letter_topic,
        pipeline=context.pipeline,
        worker=context.worker,
    )


def _administration(config: KafkaSourceConfig | KafkaSinkConfig, context: BuildContext) -> KafkaAdministration:
    try:
        from prism_kafka.administration import KafkaAdministration  # noqa: PLC0415  # as above
    except ImportError as error:
        raise _not_installed(error) from error
    sink = config if isinstance(config, KafkaSinkConfig) else None
    return KafkaAdministration(
        _servers(config),
        config.options or {},
        role=context.role,
        pipeline=context.pipeline,
        sources=context.topics,
        topic=sink.topic if sink else "",
        partitions=sink.partitions if sink else None,
        dead_letter_topic=context.dead_letter_topic,
    )


def _reader(config: KafkaSourceConfig, context: BuildContext) -> KafkaReader:
    try:
        from prism_kafka.reader import KafkaReader  # noqa: PLC0415  # as above
    except ImportError as error:
        raise _not_installed(error) from error
    return KafkaReader(config.servers, config.options, client=f"prism-{context.pipeline}-{context.worker}-reader")


def _group(config: KafkaSourceConfig, context: BuildContext) -> KafkaGroup:
    try:
        from prism_kafka.group import KafkaGroup  # noqa: PLC0415  # as above
    except ImportError as error:
        raise _not_installed(error) from error
    return KafkaGroup(config.servers, config.options, group=context.pipeline)


def _ledger(config: KafkaSinkConfig, context: BuildContext) -> KafkaLedgerStore:
    try:
        from prism_kafka.ledger import KafkaLedgerStore  # noqa: PLC0415  # as above
    except ImportError as error:
        raise _not_installed(error) from error
    return KafkaLedgerStore(_servers(config), config.options or {}, pipeline=context.pipeline)


def _servers(config: KafkaSourceConfig | KafkaSinkConfig) -> str:
    if config.servers is None:
        raise ConfigError("the key 'servers' is missing, and the source is not on Kafka either, to take it from")
    return config.servers


def _not_installed(error: ImportError) -> PluginLoadError:
    return PluginLoadError(f'type = "kafka" needs {error.name}: install prism-pipeline[kafka]')


@hookimpl
def prism_stages() -> Iterable[StageSpec]:
    """Source and sink ``kafka``."""
    return [
        StageSpec("source", "kafka", "one member of a consumer group", KafkaSourceConfig, _source),
        StageSpec("sink", "kafka", "transactions: documents, offsets and ledger together", KafkaSinkConfig, _sink),
    ]


@hookimpl
def prism_stores() -> Iterable[StoreSpec]:
    """Dead letters beside other sinks, what ``prism setup`` and ``prism check`` do, and what commands look at and move."""
    return [
        StoreSpec("dead_letters", "kafka", _dead_letters),
        StoreSpec("administration", "kafka", _administration),
        StoreSpec("reader", "kafka", _reader),
        StoreSpec("group", "kafka", _group),
        StoreSpec("ledger", "kafka", _ledger),
    ]
