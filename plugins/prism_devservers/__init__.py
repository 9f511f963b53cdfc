"""Real Kafka, Elasticsearch, schema registry and object store as child processes: pinned files, no Docker, no root."""

from prism_devservers.elasticsearch import Elasticsearch
from prism_devservers.kafka import Kafka, KafkaCluster
from prism_devservers.object_store import ObjectStore
from prism_devservers.registry import SchemaRegistry
from prism_devservers.server import Server
from prism_devservers.tls import make_tls

__all__ = ["Elasticsearch", "Kafka", "KafkaCluster", "ObjectStore", "SchemaRegistry", "Server", "make_tls"]
