"""The stage on real servers: a Kafka broker, a schema registry and an Elasticsearch node, started here."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import urllib3
from confluent_kafka import Consumer, KafkaError, TopicPartition
from rich.console import Console

from examples.air_traffic.air_traffic import publish as producing
from examples.air_traffic.air_traffic.producers import PRODUCERS
from examples.air_traffic.demo.story import EVENTS, HERE, Day, DemoError, Hint
from examples.air_traffic.demo.workers import Workers
from prism_devservers import Elasticsearch, Kafka, SchemaRegistry
from prismlib.config.project import RegistryConfig
from prismlib.contracts.directory import DirectoryRegistry
from prismlib.contracts.publish import publish
from prismlib.contracts.registry import Registry, WritableRegistry
from prismlib.plugin.manager import load_plugins
from prismlib.plugin.registries import open_registry

PIPELINES = tuple(HERE / "pipelines" / name for name in ("air-traffic.toml", "air-traffic-index.toml"))


class RealServers:
    """See :class:`examples.air_traffic.demo.story.Stage`."""

    backend = "kafka+elasticsearch"

    def start(self, screen: Console, stack: ExitStack) -> Registry:
        """Start the servers, create the producers' topics, publish the schemas, and set both pipelines up."""
        with screen.status("starting a Kafka broker, a schema registry and an Elasticsearch node"):
            kafka, registry, elasticsearch = Kafka(), SchemaRegistry(), Elasticsearch()
            for server in (kafka, registry, elasticsearch):
                stack.callback(server.close)
                server.spawn()
            for server in (kafka, registry, elasticsearch):
                server.wait()
        screen.print(
            f"Kafka at {kafka.bootstrap}, schema registry at {registry.url}, Elasticsearch at {elasticsearch.url}\n",
            highlight=False,
        )
        self._servers, self._url = kafka.bootstrap, elasticsearch.url
        self._http = urllib3.PoolManager(retries=urllib3.Retry(3, backoff_factor=0.2))
        overrides = {
            "PRISM_SOURCE_SERVERS": self._servers,
            "PRISM_SINK_URL": self._url,
            "PRISM_REGISTRY_URL": registry.url,
        }
        self._shell = " ".join(f"{name}={value}" for name, value in overrides.items())
        self._workers = Workers(PIPELINES, overrides)
        schemas = DirectoryRegistry(HERE / "schemas")
        target = self._registry(registry.url)
        with screen.status("publishing the schemas to the registry"):
            publish(schemas, target, schemas.subjects())
        producing.create_topics(self._servers, [producer.topic for producer in PRODUCERS])
        with screen.status("prism setup: topics, ledger, index template, first generation, alias"):
            self._workers.set_up()
        return target

    def publish(self, topic: str, pairs: Iterable[tuple[bytes, bytes]], progress: Callable[[int], object]) -> int:
        """As a producer that waits for every acknowledgement."""
        return producing.produce(self._servers, topic, pairs, progress)

    def workers(self) -> AbstractContextManager[None]:
        """Two processes of ``prism run``."""
        return self._workers.running()

    def check_workers(self) -> None:
        """Both must be there."""
        self._workers.check()

    def records(self, topic: str) -> int:
        """How many records a reader of committed data finds in a topic."""
        with self._reader() as reader:
            partitions = set(reader.list_topics(topic, timeout=10).topics[topic].partitions)
            reader.assign([TopicPartition(topic, p, 0) for p in partitions])
            count = 0
            while partitions:
                for message in reader.consume(10_000, 1.0):
                    error = message.error()
                    if error is None:
                        count += 1
                    elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  # its public name
                        partitions.discard(message.partition())
                    else:
                        raise DemoError(f"{topic} cannot be read: {error}")
            return count

    def events_so_far(self) -> int:
        """Sum of end offsets, a little above the number of records: transactions take offsets too."""
        with self._reader() as reader:
            partitions = reader.list_topics(EVENTS, timeout=10).topics[EVENTS].partitions
            return sum(reader.get_watermark_offsets(TopicPartition(EVENTS, p), timeout=10)[1] for p in partitions)

    def indexed(self) -> int:
        """As Elasticsearch counts them."""
        self._ask("POST", f"{EVENTS}/_refresh")
        return int(self._ask("GET", f"{EVENTS}/_count")["count"])

    def event(self, id_: str) -> Mapping[str, Any] | None:
        """By its id."""
        found: Mapping[str, Any] = self._ask("GET", f"{EVENTS}/_doc/{id_}")
        return found.get("_source")

    def days(self) -> Sequence[Day]:
        """Counted by Elasticsearch."""
        aggregation = {
            "date_histogram": {
                "field": "time",
                "calendar_interval": "day",
                "time_zone": "America/New_York",
                "format": "yyyy-MM-dd",
                "min_doc_count": 1,
            },
            "aggs": {
                "delay": {"avg": {"field": "measures.departure_delay_minutes"}},
                "cancelled": {"filter": {"term": {"attributes.cancelled": "true"}}},
            },
        }
        body = {"size": 0, "query": {"term": {"kind": "departure"}}, "aggs": {"days": aggregation}}
        buckets = self._ask("POST", f"{EVENTS}/_search", body)["aggregations"]["days"]["buckets"]
        return [
            Day(
                bucket["key_as_string"],
                bucket["doc_count"],
                bucket["cancelled"]["doc_count"],
                bucket["delay"]["value"],
            )
            for bucket in buckets
        ]

    def hints(self) -> Sequence[Hint]:
        """Commands for another terminal, while the servers are up."""
        prism = os.path.relpath(HERE.parent.parent / ".venv" / "bin" / "prism")
        one, two = (os.path.relpath(path) for path in PIPELINES)
        return [
            Hint("a preflight that lists everything about a pipeline", f"{self._shell} {prism} check {one}"),
            Hint("the dead letters of a pipeline: none", f"{self._shell} {prism} dead-letters list {two}"),
            Hint("an event of JFK in the index", f"curl '{self._url}/{EVENTS}/_search?q=airport:JFK&size=1&pretty'"),
        ]

    @contextmanager
    def _reader(self) -> Iterator[Any]:
        settings = {
            "bootstrap.servers": self._servers,
            "group.id": "demo-count",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "log_level": 0,
        }
        reader = Consumer(settings)
        try:
            yield reader
        finally:
            reader.close()

    def _registry(self, url: str) -> Any:
        registry = open_registry(RegistryConfig(url=url), load_plugins(), HERE, "the demo")
        if not isinstance(registry, WritableRegistry):
            raise DemoError(f"the registry at {url} takes no schemas")
        return registry

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._http.request(method, f"{self._url}/{path}", json=body, timeout=30)
        if answer.status != 200:
            raise DemoError(f"Elasticsearch answered {answer.status} to {method} {path}: {answer.data[:300]!r}")
        return answer.json()
