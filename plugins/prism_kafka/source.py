"""Source: one member of a consumer group.

What librdkafka would do on its own is switched off: it commits nothing, it resets no offset, and it reads from where
the listener says. Its silence is dangerous in four places, and each has its answer here:

- The error that data is gone (``_AUTO_OFFSET_RESET``) comes once per partition, and nothing after it. So it is raised,
  and raised again by every later ``poll``.
- An exception inside a rebalance callback does not drop the assignment: the client would assign by itself. So the
  callbacks catch everything, give the partitions back, and ``poll`` raises afterwards.
- Partitions that go while a batch is being collected leave their records in it. So those are dropped.
- A partition that was paused when it went is still paused when it comes back, for good if nobody knows. So it is resumed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from prism_kafka.cluster import Cluster, make_client
from prism_kafka.columns import batches
from prism_kafka.config import Options
from prism_kafka.failures import (
    DATA_GONE,
    FORBIDDEN,
    NOT_MEMBER,
    TRANSIENT,
    UNKNOWN_TOPIC,
    BrokerLog,
    client_logger,
    kafka_error,
)
from prism_kafka.offsets import committed, horizons, offsets_at, topic_ids
from prism_kafka.settings import consumer_settings, rebalances_incrementally
from prismlib.errors import ConfigError, DataLossError, FatalError, FencedError, RetryableError, UnreachableError
from prismlib.records import Partition, RecordBatch
from prismlib.stages import AssignmentListener, Committed, Horizon

log = logging.getLogger(__name__)

_SEEK_PATIENCE: Final = 10.0
_error = Message.error


@dataclass(frozen=True, slots=True)
class Member:
    """What the Kafka sink needs to commit this member's offsets in its transaction.

    Attributes:
        metadata: of the consumer group, at this moment.
        cluster_id: where the group lives; a transaction cannot span two clusters.
    """

    metadata: object
    cluster_id: str


class KafkaSource:
    """A Source that is InGroup, Pausable, Seekable, FindsTimes and IdentifiesTopics."""

    def __init__(self, servers: str, options: Options, *, group: str, worker: str, topics: Sequence[str]) -> None:
        """Nothing is connected yet.

        Args:
            servers: ``host:port`` of one broker or more, joined by commas.
            options: for librdkafka, as :mod:`prism_kafka.config` let them pass.
            group: the consumer group, which is the pipeline's name.
            worker: this worker's name in the pipeline.
            topics: what to read.

        Raises:
            ConfigError: librdkafka does not know an option or refuses its value.
        """
        self._group = group
        self._topics = list(topics)
        self._broker_log = BrokerLog()
        settings = consumer_settings(servers, options, group=group, worker=worker)
        self._incremental = rebalances_incrementally(settings)
        self._cluster = Cluster(servers, options, client=str(settings["client.id"]))
        self._consumer = make_client(Consumer, settings, error_cb=self._broker_log, logger=client_logger())
        self._cluster_id = ""
        self._listener: AssignmentListener | None = None
        self._assigned: set[Partition] = set()
        self._paused: set[Partition] = set()
        self._held: set[Partition] = set()  # assigned while a batch was being collected; resumed by the next poll
        self._touched: set[Partition] = set()  # assigned, revoked or lost during this poll
        self._collecting = False
        self._raised: BaseException | None = None  # by the listener, inside a callback
        self._refused: set[Partition] = set()  # given by the group, and not taken because the listener raised
        self._fatal: FatalError | None = None
        self._closed = False

    def open(self, listener: AssignmentListener) -> None:
        """Check that the topics exist, and subscribe."""
        self._cluster_id = self._cluster.connect()
        missing = sorted(name for name, topic in self._cluster.topics(self._topics).items() if topic is None)
        if missing:
            raise ConfigError(
                f"no topic {', '.join(missing)} on {self._cluster.servers}; check the routes of pipeline {self._group},"
                " and run `prism setup` for the pipeline that writes it"
            )
        self._listener = listener
        self._consumer.subscribe(
            self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    # --- reading -------------------------------------------------------------------------------------------------------

    def poll(self, max_records: int, timeout: float) -> Sequence[RecordBatch]:
        """One message by ``poll``, and what else is there by ``consume``: low latency and little work per record."""
        if self._fatal is not None:
            raise self._fatal
        self._raise_on()
        self._release_held()
        if self._refused:
            self._take(self._consumer, sorted(self._refused))
        messages = self._collect(max_records, timeout)
        if not messages:
            self._raise_on()  # else with the next poll: what was collected would be lost
        if any(map(_error, messages)):
            messages = self._without_errors(messages)
        ours = self._assigned - self._touched
        return [batch for batch in batches(messages) if batch.partition in ours]

    def _collect(self, max_records: int, timeout: float) -> list[Message[Any, Any]]:
        messages: list[Message[Any, Any]] = []
        self._collecting = False
        try:
            first = self._consumer.poll(timeout)
            self._touched.clear()  # what the client hands out after a callback is newer than the callback
            if first is None:
                return []
            messages.append(first)
            if max_records > 1 and self._raised is None:
                self._collecting = True
                messages += self._consumer.consume(max_records - 1, 0)
        except KafkaException as error:
            self._judge(kafka_error(error), None)
        finally:
            self._collecting = False
        return messages

    def _without_errors(self, messages: Iterable[Message[Any, Any]]) -> list[Message[Any, Any]]:
        sound = []
        for message in messages:
            error = message.error()
            if error is None:
                sound.append(message)
            else:
                self._judge(error, message)
        return sound

    def _judge(self, error: KafkaError, message: Message[Any, Any] | None) -> None:
        """Log what passes by itself, raise what does not."""
        code = error.code()
        if code == KafkaError._MAX_POLL_EXCEEDED:  # noqa: SLF001  # a code of the client itself
            log.warning("polled too late, the group goes on without this worker; partitions are lost")
        elif code in TRANSIENT or code in NOT_MEMBER - {KafkaError.FENCED_INSTANCE_ID}:
            self._broker_log(error)
        elif code in UNKNOWN_TOPIC and not self._missing_topics():
            self._broker_log(error)  # metadata of a broker that just started
        else:
            self._fatal = self._verdict(error, message)
            raise self._fatal

    def _verdict(self, error: KafkaError, message: Message[Any, Any] | None) -> FatalError:
        place = "a partition"
        if message is not None and message.topic() is not None:
            place = f"{message.topic()}[{message.partition()}]"
        code, reason = error.code(), error.str()
        if code in DATA_GONE:
            offset = f" offset {message.offset()}" if message is not None and (message.offset() or -1) >= 0 else ""
            return DataLossError(
                f"{place}: the broker no longer has the next record{offset} to read ({reason}); nothing was skipped"
            )
        if code in UNKNOWN_TOPIC:
            names = ", ".join(self._missing_topics())
            return FatalError(
                f"topic {names or place} was deleted on {self._cluster.servers} while pipeline {self._group} read it"
            )
        if code in FORBIDDEN:
            return FatalError(f"pipeline {self._group} may not read {place}: {reason}; grant it the right to do so")
        if code == KafkaError.FENCED_INSTANCE_ID or "fenced" in reason.lower():
            return FencedError(f"another member of group {self._group} has this worker's group.instance.id: {reason}")
        return FatalError(f"pipeline {self._group} cannot read {place} any more: {error.name()}: {reason}")

    def _missing_topics(self) -> list[str]:
        try:
            return sorted(name for name, topic in self._cluster.topics(self._topics).items() if topic is None)
        except UnreachableError:
            return []

    # --- rebalancing ---------------------------------------------------------------------------------------------------

    def _on_assign(self, consumer: Consumer, given: list[TopicPartition]) -> None:
        partitions = [Partition(p.topic, p.partition) for p in given]
        self._touched.update(partitions)
        if (
            self._closed
        ):  # a member that leaves may be given partitions once more, and offsets are not told to it any more
            self._assign_nothing(consumer)
            return
        try:
            self._take(consumer, partitions)
        except BaseException as error:  # noqa: BLE001  # raised on by poll
            self._raised = self._raised or error
            self._assign_nothing(consumer)
            return
        if self._collecting and partitions:
            # Its records must not come among those that are collected already: a batch is one partition's assignment.
            consumer.pause(given)
            self._held.update(partitions)

    def _assign_nothing(self, consumer: Consumer) -> None:
        """Something must be assigned, or the client assigns all of it by itself."""
        if self._incremental:
            consumer.incremental_assign([])
        else:
            consumer.unassign()

    def _take(self, consumer: Consumer, partitions: Sequence[Partition]) -> None:
        """Ask the listener where to start. What it refuses is offered again by the next poll, if there is one.

        With ``group.protocol=consumer`` the client calls nobody for a member without partitions (observed for 30 s).
        """
        self._refused.update(partitions)
        starts: list[TopicPartition] = []
        if partitions or not self._assigned:
            positions = self._listener_or_fail().on_assigned(partitions)
            starts = _places({p: positions[p] for p in partitions})
        if self._incremental:
            consumer.incremental_assign(starts)
        else:
            consumer.assign(starts)
        self._refused.difference_update(partitions)
        self._assigned.update(partitions)

    def _on_revoke(self, consumer: Consumer, given: list[TopicPartition]) -> None:
        ours = self._ours(given)
        try:
            if ours:
                self._listener_or_fail().on_revoked(ours)
        except BaseException as error:  # noqa: BLE001  # raised on by poll or close, once the partitions are given back
            self._raised = self._raised or error
        finally:
            self._forget(consumer, ours, given)

    def _on_lost(self, consumer: Consumer, given: list[TopicPartition]) -> None:
        ours = self._ours(given)
        try:
            if ours:
                self._listener_or_fail().on_lost(ours)
        except BaseException as error:  # noqa: BLE001  # as above
            self._raised = self._raised or error
        finally:
            self._forget(consumer, ours, given)

    def _ours(self, given: Iterable[TopicPartition]) -> list[Partition]:
        """Without those that were refused, which the group still counts as this member's."""
        return [p for p in (Partition(g.topic, g.partition) for g in given) if p in self._assigned]

    def _forget(self, consumer: Consumer, partitions: Sequence[Partition], given: Iterable[TopicPartition]) -> None:
        self._refused.difference_update(Partition(g.topic, g.partition) for g in given)
        self._touched.update(partitions)
        resting = (self._paused | self._held).intersection(partitions)
        if resting:
            # The client remembers a pause when a partition is taken away, and would never read it when it comes back.
            consumer.resume(_places(dict.fromkeys(resting, 0)))
        for known in (self._assigned, self._paused, self._held):
            known.difference_update(partitions)
        if self._incremental:
            consumer.incremental_unassign([TopicPartition(p.stream, p.index) for p in partitions])
        else:
            consumer.unassign()

    def _raise_on(self) -> None:
        if self._raised is not None:
            error, self._raised = self._raised, None
            raise error

    def _listener_or_fail(self) -> AssignmentListener:
        if self._listener is None:
            raise FatalError("the Kafka source was given partitions before it was opened")
        return self._listener

    def _release_held(self) -> None:
        if self._held:
            held, self._held = self._held - self._paused, set()
            if held:
                self._consumer.resume(_places(dict.fromkeys(held, 0)))

    # --- offsets -------------------------------------------------------------------------------------------------------

    def commit(self, next_offsets: Mapping[Partition, int]) -> None:
        """Commit to the group, and wait for the broker."""
        if not next_offsets:
            return
        # Those that the listener decides about at this moment count as this member's.
        strangers = sorted(str(p) for p in next_offsets.keys() - self._assigned - self._refused)
        if strangers:
            raise FencedError(f"offsets of {', '.join(strangers)} cannot be committed: another member owns them now")
        try:
            done = self._consumer.commit(offsets=_places(next_offsets), asynchronous=False)
        except KafkaException as error:
            raise self._commit_error(kafka_error(error), "") from error
        for each in done:
            if each.error is not None:
                raise self._commit_error(each.error, f" of {each.topic}[{each.partition}]")

    def _commit_error(self, error: KafkaError, place: str) -> RetryableError | FatalError:
        what = f"group {self._group}: the offset{place or 's'} cannot be committed: {error.str()}"
        if error.code() in NOT_MEMBER or error.code() == KafkaError._FATAL:  # noqa: SLF001  # says a client that was fenced
            return FencedError(f"{what}; the group goes on without this worker")
        if error.code() in FORBIDDEN:
            return FatalError(f"{what}; grant the pipeline the right to read with this group")
        return RetryableError(what)

    def committed(self, partitions: Sequence[Partition]) -> Mapping[Partition, Committed]:
        """Ask the group's coordinator, and wait for transactions that hold the offsets."""
        return committed(self._consumer, self._group, partitions)

    def horizons(self, partitions: Sequence[Partition]) -> Mapping[Partition, Horizon]:
        """Ask the leaders of the partitions, and for the ids of the topics."""
        return horizons(self._cluster, partitions)

    def topic_ids(self, streams: Collection[str]) -> Mapping[str, str]:
        """Ask a broker to describe the topics."""
        return topic_ids(self._cluster, streams)

    def offsets_at(self, partitions: Sequence[Partition], timestamp_ms: int) -> Mapping[Partition, int]:
        """Ask the leaders of the partitions."""
        return offsets_at(self._cluster, partitions, timestamp_ms)

    # --- capabilities --------------------------------------------------------------------------------------------------

    def member(self) -> object:
        """A :class:`Member`, for the Kafka sink."""
        return Member(self._consumer.consumer_group_metadata(), self._cluster_id)

    def pause(self, partitions: Sequence[Partition]) -> None:
        """Stop fetching these; what was fetched already is dropped and fetched again later."""
        ours = self._assigned.intersection(partitions)
        if ours:
            self._paused |= ours
            self._consumer.pause(_places(dict.fromkeys(ours, 0)))

    def resume(self, partitions: Sequence[Partition]) -> None:
        """Fetch these again."""
        ours = self._assigned.intersection(partitions)
        if ours:
            self._paused -= ours
            self._consumer.resume(_places(dict.fromkeys(ours, 0)))

    def seek(self, positions: Mapping[Partition, int]) -> None:
        """Go to these offsets. Partitions not assigned are passed over.

        Raises:
            FatalError: the client does not get there.
        """
        for place in _places({p: offset for p, offset in positions.items() if p in self._assigned}):
            deadline = time.monotonic() + _SEEK_PATIENCE
            while True:
                try:
                    self._consumer.seek(place)
                    break
                except KafkaException as error:
                    # A partition that was assigned a moment ago is not being fetched yet.
                    busy = kafka_error(error).code() == KafkaError._STATE  # noqa: SLF001  # a code of the client itself
                    if not busy or time.monotonic() > deadline:
                        raise FatalError(
                            f"{place.topic}[{place.partition}]: reading cannot go back to offset {place.offset}: {error}"
                        ) from error
                    time.sleep(0.01)

    def close(self) -> None:
        """Leave the group; a static member keeps its place until its session ends."""
        if self._closed:
            return
        self._closed = True
        self._consumer.close()
        self._raise_on()


def _places(offsets: Mapping[Partition, int]) -> list[TopicPartition]:
    return [TopicPartition(p.stream, p.index, offset) for p, offset in offsets.items()]
