"""What ``prism setup`` creates and ``prism check`` looks at. Nothing that exists is ever changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from confluent_kafka import Consumer, libversion

from prism_kafka.cluster import Cluster, Topic, TopicLimits, make_client
from prism_kafka.config import Options
from prism_kafka.failures import BrokerLog, client_logger
from prism_kafka.ledger import ledger_topic
from prism_kafka.offsets import committed
from prism_kafka.settings import DEAD_LETTER_ROOM, consumer_settings, transactional_settings
from prism_kafka.transactions import TransactionalProducer
from prismlib.errors import ConfigError, FatalError, PrismError, RetryableError, UnreachableError
from prismlib.plugin.hookspecs import Check, SetupStep
from prismlib.records import Partition

_GROUP_PATIENCE: Final = 5.0  # seconds
_MAX_REPLICAS: Final = 3
_DEAD_LETTER_SETTINGS: Final = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",  # a dead letter never disappears by itself
    "retention.bytes": "-1",
}
_LEDGER_SETTINGS: Final = {
    "cleanup.policy": "compact",
    "segment.bytes": str(8 << 20),  # only closed segments are compacted: bounds what a worker reads at its start
    "segment.ms": str(3600_000),
    "min.cleanable.dirty.ratio": "0.1",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A topic that one side of a pipeline needs.

    Attributes:
        name: of the topic.
        role: for people, such as ``"ledger topic"``.
        operations: what this side does with it, as brokers call it.
        partitions: to create it with; None when creating it is somebody else's work.
        settings: to create it with.
        problem: what is wrong with one that exists, "" when nothing is.
    """

    name: str
    role: str
    operations: frozenset[str]
    partitions: int | None
    settings: Mapping[str, str]
    problem: Callable[[Topic, TopicLimits], str]


class KafkaAdministration:
    """An Administration for one side of a pipeline."""

    def __init__(
        self,
        servers: str,
        options: Options,
        *,
        role: Literal["source", "sink"],
        pipeline: str,
        sources: Sequence[str],
        topic: str = "",
        partitions: int | None = None,
        dead_letter_topic: str = "",
    ) -> None:
        """Nothing is connected yet.

        Args:
            servers: ``host:port`` of one broker or more, joined by commas.
            options: for librdkafka, as :mod:`prism_kafka.config` let them pass.
            role: the side.
            pipeline: name of the pipeline.
            sources: the topics that it reads.
            topic: for a sink, where documents go.
            partitions: for a sink, how many that topic shall have; None for as many as its largest source.
            dead_letter_topic: for a source, where dead letters go.

        Raises:
            ConfigError: librdkafka does not know an option or refuses its value.
        """
        self._servers = servers
        self._options = options
        self._role = role
        self._pipeline = pipeline
        self._sources = list(sources)
        self._topic = topic
        self._partitions = partitions
        self._dead_letter_topic = dead_letter_topic
        self._cluster: Cluster | None = Cluster(servers, options, client=f"prism-{pipeline}-administration")

    # --- Administration ------------------------------------------------------------------------------------------------

    def plan(self) -> Sequence[SetupStep]:
        """One step a topic."""
        cluster = self._open()
        try:
            cluster.connect()
            wanted = self._wanted(cluster)
            topics, limits = self._existing(cluster, [w.name for w in wanted])
            replicas = min(_MAX_REPLICAS, cluster.brokers())
        except FatalError as error:
            raise ConfigError(str(error)) from error
        return [self._step(cluster, w, topics[w.name], limits.get(w.name), replicas) for w in wanted]

    def preflight(self) -> Sequence[Check]:
        """The brokers, then each topic: is it there, is it right, may it be used."""
        cluster = self._open()
        what = f"Kafka at {self._servers}"
        try:
            cluster_id = cluster.connect()
            detail = f"cluster {cluster_id}, {cluster.brokers()} broker(s), librdkafka {libversion()[0]}"
            wanted = self._wanted(cluster)
            topics, limits = self._existing(cluster, [w.name for w in wanted])
        except UnreachableError as error:
            return [Check(what, "unreachable", str(error))]
        except PrismError as error:
            return [Check(what, "wrong", str(error))]
        checks = [Check(what, "ok", detail)]
        checks += [self._check(w, topics[w.name], limits.get(w.name)) for w in wanted]
        if self._role == "source":
            checks.append(self._check_group(cluster, topics))
        else:
            checks += [self._check_ledger_reader(cluster), self._check_transactions()]
        return checks

    def close(self) -> None:
        """Let go of the connection."""
        self._cluster = None

    # --- one topic -----------------------------------------------------------------------------------------------------

    def _step(
        self, cluster: Cluster, wanted: Wanted, topic: Topic | None, limits: TopicLimits | None, replicas: int
    ) -> SetupStep:
        if topic is not None and limits is not None:
            problem = wanted.problem(topic, limits)
            return SetupStep(
                f"{wanted.role} {wanted.name} ({_partitions(topic.partitions)})", not problem, _nothing, problem
            )
        if wanted.partitions is None:
            problem = f"topic {wanted.name} does not exist on {self._servers}; create it where its producers live"
            return SetupStep(f"{wanted.role} {wanted.name}", exists=False, apply=_nothing, problem=problem)
        partitions = wanted.partitions

        def create() -> None:
            try:
                cluster.create_topic(wanted.name, partitions, replicas, wanted.settings)
            except FatalError as error:
                raise ConfigError(str(error)) from error

        return SetupStep(f"{wanted.role} {wanted.name} ({_partitions(partitions)})", exists=False, apply=create)

    def _check(self, wanted: Wanted, topic: Topic | None, limits: TopicLimits | None) -> Check:
        what = f"{wanted.role} {wanted.name}"
        if topic is None or limits is None:
            who = "create it where its producers live" if wanted.partitions is None else "run `prism setup`"
            return Check(what, "wrong", f"it does not exist; {who}")
        if topic.operations is not None:
            lacking = sorted(wanted.operations - topic.operations)
            if lacking:
                return Check(what, "wrong", f"this client may not {' and '.join(lacking)} it; grant it the right")
        problem = wanted.problem(topic, limits)
        return Check(what, "wrong", problem) if problem else Check(what, "ok", _partitions(topic.partitions))

    def _check_group(self, cluster: Cluster, topics: Mapping[str, Topic | None]) -> Check:
        what = f"consumer group {self._pipeline}"
        problem = _group_problem(cluster, self._pipeline, "READ")
        if problem is not None:
            return Check(what, *problem)
        partitions = [
            Partition(name, index)
            for name in self._sources
            if (topic := topics[name]) is not None
            for index in range(topic.partitions)
        ]
        settings = consumer_settings(self._servers, self._options, group=self._pipeline, worker="check")
        asking = make_client(Consumer, settings, error_cb=BrokerLog(), logger=client_logger())
        try:
            offsets = committed(asking, self._pipeline, partitions, _GROUP_PATIENCE)
        except RetryableError as error:
            return Check(what, "warning", str(error))
        except FatalError as error:
            return Check(what, "wrong", str(error))
        finally:
            asking.close()
        known = sum(each.next_offset is not None for each in offsets.values())
        return Check(what, "ok", f"offsets of {known} of {len(partitions)} partitions are committed")

    def _check_ledger_reader(self, cluster: Cluster) -> Check:
        """Whoever reads the ledger belongs to a group in name; brokers ask for a right on it all the same."""
        group = f"{ledger_topic(self._pipeline)}.reader"
        problem = _group_problem(cluster, group, "DESCRIBE")
        return Check(f"consumer group {group}", *(problem or ("ok", "may be used to read the ledger")))

    def _check_transactions(self) -> Check:
        """Under a name that no worker can have, so that none of them is fenced."""
        what = f"transactional ids prism-{self._pipeline}-*"
        settings = transactional_settings(
            self._servers, self._options, pipeline=self._pipeline, worker="_check", limits=[]
        )
        trying = TransactionalProducer(settings, lambda: True)
        try:
            trying.open()
        except UnreachableError as error:
            return Check(what, "unreachable", str(error))
        except ConfigError as error:
            return Check(
                what, "wrong", f"{error}; the right must cover every name that begins with prism-{self._pipeline}-"
            )
        finally:
            trying.close()
        return Check(what, "ok", "may be used to write")

    # --- what is needed ------------------------------------------------------------------------------------------------

    def _wanted(self, cluster: Cluster) -> list[Wanted]:
        return self._wanted_by_source(cluster) if self._role == "source" else self._wanted_by_sink(cluster)

    def _wanted_by_source(self, cluster: Cluster) -> list[Wanted]:
        read = frozenset({"READ", "DESCRIBE"})
        wanted = [Wanted(name, "topic", read, None, {}, _no_problem) for name in self._sources]
        if self._dead_letter_topic:
            _, limits = self._existing(cluster, self._sources)
            room = max((limit.max_bytes for limit in limits.values()), default=1 << 20) + DEAD_LETTER_ROOM

            def problem(topic: Topic, limits: TopicLimits) -> str:
                del topic
                if limits.compacted:
                    return f"{self._dead_letter_topic} is compacted, which drops dead letters of one key; name another topic"
                if limits.max_bytes < room:
                    return (
                        f"max.message.bytes of {self._dead_letter_topic} is {limits.max_bytes}, and a dead letter can take"
                        f" {room}, 64 KiB more than its source; raise it with the tools of your brokers"
                    )
                return ""

            settings = _DEAD_LETTER_SETTINGS | {"max.message.bytes": str(room)}
            write = frozenset({"WRITE", "DESCRIBE"})
            wanted.append(Wanted(self._dead_letter_topic, "dead letter topic", write, 1, settings, problem))
        return wanted

    def _wanted_by_sink(self, cluster: Cluster) -> list[Wanted]:
        partitions = self._partitions
        if partitions is None:
            known = cluster.topics(self._sources).values()
            partitions = max((topic.partitions for topic in known if topic is not None), default=1)

        def output(topic: Topic, limits: TopicLimits) -> str:
            del limits
            if self._partitions is not None and topic.partitions != self._partitions:
                return (
                    f"{self._topic} has {_partitions(topic.partitions)}, and the pipeline file says {self._partitions};"
                    " change the file, or the topic with the tools of your brokers"
                )
            return ""

        def ledger(topic: Topic, limits: TopicLimits) -> str:
            if topic.partitions != 1 or not limits.compacted or limits.deletes:
                return (
                    f"{ledger_topic(self._pipeline)} must have one partition and cleanup.policy=compact, or the broker"
                    " forgets the pipeline's progress; change it with the tools of your brokers"
                )
            return ""

        write = frozenset({"WRITE", "DESCRIBE"})
        return [
            Wanted(self._topic, "topic", write, partitions, {}, output),
            Wanted(ledger_topic(self._pipeline), "ledger topic", write | {"READ"}, 1, _LEDGER_SETTINGS, ledger),
        ]

    def _existing(
        self, cluster: Cluster, names: Sequence[str]
    ) -> tuple[dict[str, Topic | None], dict[str, TopicLimits]]:
        topics = cluster.topics(names, operations=True)
        there = [name for name, topic in topics.items() if topic is not None]
        configs = cluster.topic_configs(there)
        return topics, {name: TopicLimits.read(settings) for name, settings in configs.items()}

    def _open(self) -> Cluster:
        if self._cluster is None:
            raise ConfigError("this administration was closed; make a new one")
        return self._cluster


def _group_problem(cluster: Cluster, group: str, operation: str) -> tuple[Literal["wrong", "unreachable"], str] | None:
    try:
        operations = cluster.group_operations(group)
    except UnreachableError as error:
        return "unreachable", str(error)
    except FatalError as error:
        return "wrong", str(error)
    if operations is not None and operation not in operations:
        return "wrong", f"this client may not {operation} it; grant it the right"
    return None


def _partitions(count: int) -> str:
    return f"{count} partition{'' if count == 1 else 's'}"


def _no_problem(topic: Topic, limits: TopicLimits) -> str:
    del topic, limits
    return ""


def _nothing() -> None:
    """There is nothing to create."""
