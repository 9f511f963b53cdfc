"""Entry point of the Elasticsearch plugin; urllib3 is imported only when a stage is made."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from prism_elasticsearch.config import ElasticsearchConfig
from prismlib.errors import ConfigError
from prismlib.plugin.hookspecs import BuildContext, StageSpec, StoreSpec, hookimpl

if TYPE_CHECKING:
    from prism_elasticsearch.administration import ElasticsearchAdministration
    from prism_elasticsearch.ledger import ElasticsearchLedgerStore
    from prism_elasticsearch.sink import ElasticsearchSink


def _sink(config: ElasticsearchConfig, context: BuildContext) -> ElasticsearchSink:
    try:
        from prism_elasticsearch.connection import connect  # noqa: PLC0415  # the client library stays out until needed
        from prism_elasticsearch.sink import ElasticsearchSink  # noqa: PLC0415  # as above
    except ImportError as error:
        raise _not_installed(error) from error
    return ElasticsearchSink(
        connect(config, context.base, pool_size=config.max_in_flight + 1),
        config.alias,
        pipeline=context.pipeline,
        worker=context.worker,
        ledger_index=config.ledger_index,
        max_in_flight=config.max_in_flight,
        max_documents=config.max_documents,
        max_bytes=config.max_bytes,
        origin_topic=len(context.topics) > 1,
    )


def _administration(config: ElasticsearchConfig, context: BuildContext) -> ElasticsearchAdministration:
    try:
        from prism_elasticsearch.administration import (  # noqa: PLC0415  # the client library stays out until needed
            ElasticsearchAdministration,
        )
        from prism_elasticsearch.connection import connect  # noqa: PLC0415  # as above
    except ImportError as error:
        raise _not_installed(error) from error
    return ElasticsearchAdministration(connect(config, context.base), config)


def _ledger(config: ElasticsearchConfig, context: BuildContext) -> ElasticsearchLedgerStore:
    try:
        from prism_elasticsearch.connection import connect  # noqa: PLC0415  # as above
        from prism_elasticsearch.ledger import ElasticsearchLedgerStore  # noqa: PLC0415  # as above
    except ImportError as error:
        raise _not_installed(error) from error
    connection = connect(config, context.base)
    return ElasticsearchLedgerStore(connection, config.alias, pipeline=context.pipeline, index=config.ledger_index)


def _not_installed(error: ImportError) -> ConfigError:
    return ConfigError(f'type = "elasticsearch" needs {error.name}: install prism-pipeline[elasticsearch]')


@hookimpl
def prism_stages() -> Iterable[StageSpec]:
    """The sink ``elasticsearch``."""
    return [StageSpec("sink", "elasticsearch", "versioned bulk writes to an alias", ElasticsearchConfig, _sink)]


@hookimpl
def prism_stores() -> Iterable[StoreSpec]:
    """What ``prism setup`` and ``prism check`` do on the cluster, and the ledger for commands."""
    return [
        StoreSpec("administration", "elasticsearch", _administration),
        StoreSpec("ledger", "elasticsearch", _ledger),
    ]
