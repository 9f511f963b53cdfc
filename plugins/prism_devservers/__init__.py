"""Real Kafka, Elasticsearch, schema registry and object store as child processes: pinned files, no Docker, no root."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from prism_devservers.elasticsearch import Elasticsearch
    from prism_devservers.kafka import Kafka, KafkaCluster
    from prism_devservers.object_store import ObjectStore
    from prism_devservers.registry import SchemaRegistry
    from prism_devservers.server import Server
    from prism_devservers.tls import make_tls

__all__ = ["Elasticsearch", "Kafka", "KafkaCluster", "ObjectStore", "SchemaRegistry", "Server", "make_tls"]

# Every command of `prism` imports this package to find its plugin, and only some need the servers: they are imported late.
_MODULES: Final = {
    "Elasticsearch": "elasticsearch",
    "Kafka": "kafka",
    "KafkaCluster": "kafka",
    "ObjectStore": "object_store",
    "SchemaRegistry": "registry",
    "Server": "server",
    "make_tls": "tls",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
