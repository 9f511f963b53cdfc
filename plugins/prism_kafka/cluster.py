"""Questions to the brokers that no consumer or producer answers well: topics, their ids and limits, offsets, groups."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Any, Final, NoReturn, TypeVar, cast

from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # all public, but the package has no __all__
    AdminClient,
    ConfigResource,
    NewTopic,
    OffsetSpec,
)

from prism_kafka.config import Options
from prism_kafka.failures import FORBIDDEN, NOT_MEMBER, TRANSIENT, UNKNOWN_TOPIC, BrokerLog, kafka_error
from prism_kafka.settings import admin_settings
from prismlib.errors import ConfigError, FatalError, UnreachableError
from prismlib.records import Partition

T = TypeVar("T")
ANSWER_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic as the brokers describe it now.

    Attributes:
        id: changes when the topic is deleted and created again.
        partitions: how many.
        operations: what this client may do with it, such as ``"READ"``; None where brokers do not say.
    """

    id: str
    partitions: int
    operations: frozenset[str] | None = None

    def allows(self, operation: str) -> bool:
        """Whether this client may do something with it, as far as brokers say."""
        return self.operations is None or operation in self.operations


@dataclass(frozen=True, slots=True)
class TopicLimits:
    """What a topic allows.

    Attributes:
        max_bytes: its ``max.message.bytes``.
        compacted: it keeps one record per key, and takes none without a key.
        deletes: it drops old records after a time, whatever their keys.
    """

    max_bytes: int
    compacted: bool
    deletes: bool

    @classmethod
    def read(cls, settings: Mapping[str, str]) -> TopicLimits:
        """From the topic's settings."""
        policies = settings["cleanup.policy"].split(",")
        return cls(int(settings["max.message.bytes"]), "compact" in policies, "delete" in policies)


def make_client(make: Callable[[dict[str, Any]], T], settings: dict[str, Any], **callbacks: Any) -> T:
    """Make a client of librdkafka.

    Raises:
        ConfigError: an option is unknown, or its value is.
    """
    try:
        return make(settings | callbacks)
    except (KafkaException, ValueError, TypeError) as error:
        reason = kafka_error(error).str() if isinstance(error, KafkaException) else str(error)
        raise ConfigError(f"options of the Kafka client: {reason}") from error


class Cluster:
    """The brokers behind one ``servers``. Methods may be called inside the consumer's rebalance callbacks.

    Every method raises UnreachableError when no broker answers in time, and FatalError when one answers and refuses.
    """

    def __init__(self, servers: str, options: Options, *, client: str) -> None:
        """Make the client; nothing is asked yet. Raises ConfigError as :func:`make_client`."""
        self.servers = servers
        self._log = BrokerLog()
        self._settings = admin_settings(servers, options, client=client) | {"log_level": 0}
        # Kept as long as this object, and its predecessor for a while: dropping one with pending futures hangs.
        self._admin = make_client(AdminClient, self._settings, error_cb=self._log)
        self._former: AdminClient | None = None

    def connect(self, timeout: float = ANSWER_SECONDS) -> str:
        """Wait for a broker.

        Returns:
            The id of the cluster.

        Raises:
            ConfigError: a broker answers, and refuses password or certificate.
            UnreachableError: no broker answers in ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        while True:
            self._admin.poll(0)  # hands errors to the log
            refused = self._log.bad_login()
            if refused is not None:
                raise ConfigError(
                    f"the Kafka broker at {self.servers} refuses the connection: {refused.str()}; look at the source's"
                    " options for security.protocol, sasl.* and ssl.*"
                )
            try:
                cluster_id = self._admin.cluster_id(timeout=0.5)
            except KafkaException as error:
                if kafka_error(error).code() not in TRANSIENT:
                    self._refuse("tell its cluster id", kafka_error(error), error)
                cluster_id = None
            if cluster_id:
                return cluster_id
            if time.monotonic() > deadline:
                raise self._unreachable(next(reversed(self._log.seen.values()), None))

    def topics(self, names: Iterable[str], *, operations: bool = False) -> dict[str, Topic | None]:
        """Describe topics; None for one that does not exist."""
        found: dict[str, Topic | None] = {}
        names = sorted(set(names))
        if not names:
            return found  # the client refuses to ask for nothing, here and below
        futures = self._admin.describe_topics(
            TopicCollection(names),
            include_authorized_operations=operations,
            request_timeout=ANSWER_SECONDS,
        )
        for name, future in futures.items():
            try:
                answer = self._result(future)
            except KafkaException as error:
                if kafka_error(error).code() not in UNKNOWN_TOPIC:
                    self._refuse(f"describe topic {name}", kafka_error(error), error)
                found[name] = None
                continue
            found[name] = Topic(str(answer.topic_id), len(answer.partitions), _names_of(answer.authorized_operations))
        return found

    def topic_configs(self, names: Iterable[str]) -> dict[str, dict[str, str]]:
        """All settings of topics that exist."""
        resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in sorted(set(names))]
        if not resources:
            return {}
        futures = self._admin.describe_configs(resources, request_timeout=ANSWER_SECONDS)
        found = {}
        for resource, future in futures.items():
            name = cast("Any", resource).name
            entries = self._ask(f"tell the settings of topic {name}", future)
            found[name] = {key: str(entry.value) for key, entry in entries.items()}
        return found

    def broker_config(self) -> dict[str, str]:
        """All settings of one broker."""
        answer = self._ask("describe the cluster", self._admin.describe_cluster(request_timeout=ANSWER_SECONDS))
        broker = ConfigResource(ConfigResource.Type.BROKER, str(min(node.id for node in answer.nodes)))
        future = self._admin.describe_configs([broker], request_timeout=ANSWER_SECONDS)[broker]
        return {key: str(entry.value) for key, entry in self._ask("tell its settings", future).items()}

    def limits(self, names: Sequence[str], *, pipeline: str) -> dict[str, TopicLimits]:
        """What topics that this pipeline writes to allow.

        Raises:
            ConfigError: one of them does not exist, or must not be written by this client.
        """
        topics = self.topics(names, operations=True)
        missing = sorted(name for name, topic in topics.items() if topic is None)
        if missing:
            raise ConfigError(
                f"no topic {', '.join(missing)} on {self.servers}; create it with `prism setup` for pipeline {pipeline}"
            )
        # Not left to the first record: that may be a dead letter, weeks from now.
        closed = sorted(name for name, topic in topics.items() if topic is not None and not topic.allows("WRITE"))
        if closed:
            raise ConfigError(
                f"this client may not write topic {', '.join(closed)} on {self.servers}; grant it the right to do so"
            )
        return {name: TopicLimits.read(settings) for name, settings in self.topic_configs(names).items()}

    def group_operations(self, group: str) -> frozenset[str] | None:
        """What this client may do with a consumer group, there or not, such as ``"READ"``; None where brokers do not say."""
        return self._again(lambda: self._operations_on(group))

    def _operations_on(self, group: str) -> frozenset[str] | None:
        futures = self._admin.describe_consumer_groups(
            [group], include_authorized_operations=True, request_timeout=ANSWER_SECONDS
        )
        try:
            answer = self._result(futures[group])
        except KafkaException as error:
            if kafka_error(error).code() not in FORBIDDEN:
                self._refuse(f"describe group {group}", kafka_error(error), error)
            return frozenset()
        return _names_of(answer.authorized_operations)

    def starts(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        """First offset still there, never cached."""
        return {p: offset for p, (offset, _) in self._offsets(partitions, OffsetSpec.earliest()).items()}  # type: ignore[no-untyped-call]  # the client's own gap

    def ends(self, partitions: Sequence[Partition], *, stable: bool = False) -> dict[Partition, int]:
        """Offset that the next record will get; with ``stable``, where the first open transaction begins."""
        spec = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # the client's own gap
        return {p: offset for p, (offset, _) in self._offsets(partitions, spec, stable=stable).items()}

    def first_since(self, partitions: Sequence[Partition], timestamp_ms: int) -> dict[Partition, tuple[int, int]]:
        """Offset and timestamp of the first record at or after a time; both -1 where there is none."""
        return self._offsets(partitions, OffsetSpec.for_timestamp(timestamp_ms))

    def _offsets(
        self, partitions: Sequence[Partition], spec: OffsetSpec, *, stable: bool = False
    ) -> dict[Partition, tuple[int, int]]:
        level = IsolationLevel.READ_COMMITTED if stable else IsolationLevel.READ_UNCOMMITTED
        wanted = {TopicPartition(p.stream, p.index): spec for p in partitions}
        if not wanted:
            return {}
        return self._again(lambda: self._listed(wanted, level))

    def _listed(
        self, wanted: Mapping[TopicPartition, OffsetSpec], level: IsolationLevel
    ) -> dict[Partition, tuple[int, int]]:
        futures = self._admin.list_offsets(dict(wanted), isolation_level=level, request_timeout=ANSWER_SECONDS)
        found = {}
        for where, future in futures.items():
            answer = self._ask(f"tell offsets of {where.topic}[{where.partition}]", future)
            found[Partition(where.topic, where.partition)] = (answer.offset, answer.timestamp)
        return found

    def brokers(self) -> int:
        """How many brokers the cluster has."""
        answer = self._ask("describe the cluster", self._admin.describe_cluster(request_timeout=ANSWER_SECONDS))
        return len(answer.nodes)

    def members(self, group: str) -> Sequence[Any]:
        """Those of a consumer group, as the client describes them; none of a group that does not exist."""
        return self._again(lambda: self._described(group))

    def _described(self, group: str) -> Sequence[Any]:
        future = self._admin.describe_consumer_groups([group], request_timeout=ANSWER_SECONDS)[group]
        try:
            members: Sequence[Any] = self._result(future).members
        except KafkaException as error:
            if kafka_error(error).code() == KafkaError.GROUP_ID_NOT_FOUND:
                return ()
            self._refuse(f"describe group {group}", kafka_error(error), error)
        return members

    def alter_offsets(self, group: str, next_offsets: Mapping[Partition, int]) -> None:
        """Commit offsets for a group without members; while there is one, the broker refuses, and nothing is changed."""
        if next_offsets:
            self._again(lambda: self._alter(group, next_offsets))

    def _alter(self, group: str, next_offsets: Mapping[Partition, int]) -> None:
        places = [TopicPartition(p.stream, p.index, offset) for p, offset in next_offsets.items()]
        request = [ConsumerGroupTopicPartitions(group, places)]
        future = self._admin.alter_consumer_group_offsets(request, request_timeout=ANSWER_SECONDS)[group]
        answer = self._ask(f"move the offsets of group {group}", future)
        for place in answer.topic_partitions:  # the future of a refusal does not raise
            if place.error is None:
                continue
            if place.error.code() in NOT_MEMBER:
                raise FatalError(
                    f"the broker does not move the offsets of group {group} while it has a member ({place.error.str()});"
                    " stop all workers of the pipeline and try again"
                )
            if place.error.code() in TRANSIENT:
                raise self._unreachable(place.error)
            self._refuse(f"move the offset of group {group} in {place.topic}[{place.partition}]", place.error, None)

    def create_topic(self, name: str, partitions: int, replicas: int, settings: Mapping[str, str]) -> None:
        """Create a topic.

        Raises:
            ConfigError: the broker refuses; says why.
        """
        new = NewTopic(name, partitions, replicas, config=dict(settings))
        futures = self._admin.create_topics([new], operation_timeout=ANSWER_SECONDS, request_timeout=ANSWER_SECONDS)
        try:
            self._result(futures[name])
        except KafkaException as error:
            raise ConfigError(
                f"topic {name} cannot be created on {self.servers}: {kafka_error(error).str()}"
            ) from error
        deadline = time.monotonic() + ANSWER_SECONDS
        while self.topics([name])[name] is None:  # the other brokers hear of it a moment later
            if time.monotonic() > deadline:
                raise UnreachableError(
                    f"topic {name} was created on {self.servers}, and the brokers do not show it yet"
                )
            time.sleep(0.05)

    def _again(self, ask: Callable[[], T]) -> T:
        """Ask until there is an answer: a broker that has just started knows neither its leaders' epochs nor its groups yet."""
        deadline = time.monotonic() + ANSWER_SECONDS
        while True:
            try:
                return ask()
            except UnreachableError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def _ask(self, what: str, future: Future[Any]) -> Any:
        try:
            return self._result(future)
        except KafkaException as error:
            self._refuse(what, kafka_error(error), error)

    def _result(self, future: Future[Any]) -> Any:
        while not wait([future], timeout=0.5).done:
            self._admin.poll(0)
        try:
            return future.result()
        except KafkaException as error:
            if kafka_error(error).code() in TRANSIENT:
                # The client keeps leaders and their epochs from before a broker's restart, and never asks again.
                self._former = self._admin
                self._admin = make_client(AdminClient, self._settings, error_cb=self._log)
                raise self._unreachable(kafka_error(error)) from error
            raise

    def _unreachable(self, error: KafkaError | None) -> UnreachableError:
        if error is not None and error.code() > 0:  # codes below are the client's own
            return UnreachableError(
                f"the Kafka broker at {self.servers} cannot answer yet ({error.str()}): it has just started, or the"
                " partition's leader moves; try again"
            )
        last = f" ({error.str()})" if error else ""
        return UnreachableError(
            f"no Kafka broker at {self.servers} answered within {ANSWER_SECONDS:.0f} s{last}; check `servers` and that"
            " the broker runs"
        )

    def _refuse(self, what: str, error: KafkaError, cause: KafkaException | None) -> NoReturn:
        hint = "; grant this client the right to do so" if error.code() in FORBIDDEN else ""
        raise FatalError(f"the Kafka broker at {self.servers} does not {what}: {error.str()}{hint}") from cause


def _names_of(operations: Iterable[Any] | None) -> frozenset[str] | None:
    return None if operations is None else frozenset(operation.name for operation in operations)
