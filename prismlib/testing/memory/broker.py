"""The in-memory broker: topics, groups, and the controls that make bad days happen on demand."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Condition, RLock

from prismlib.errors import ConfigError, FatalError, FencedError, RetryableError
from prismlib.records import Headers, LedgerRow, Partition
from prismlib.stages.source import Horizon
from prismlib.testing.memory.group import Group, MemberToken, Rebalance, Session, SessionState
from prismlib.testing.memory.ledger import LedgerTable
from prismlib.testing.memory.log import PartitionLog, StoredRecord


class Topic:
    """One incarnation of one topic."""

    def __init__(self, name: str, partitions: int, topic_id: str) -> None:
        self.name = name
        self.topic_id = topic_id
        self.logs = [PartitionLog() for _ in range(partitions)]

    @property
    def partitions(self) -> list[Partition]:
        """All partitions, in order."""
        return [Partition(self.name, index) for index in range(len(self.logs))]


class MemoryBroker:
    """Topics, consumer groups and transactions in one process, behaving as Kafka does where a runner can tell.

    Records of open and aborted transactions are invisible and take offsets, as do transaction markers; committed
    offsets expire without a word; a deleted topic takes the group's offsets with it; a re-created one has another id.
    All methods may be called from any thread.

    Attributes:
        reachable: set it to False, and every source and sink of this broker raises until it is True again.
    """

    def __init__(self, *, rebalance: Rebalance = "cooperative", clock: Callable[[], float] = time.time) -> None:
        """Start empty.

        Args:
            rebalance: ``cooperative`` moves single partitions; ``eager`` revokes everything at each rebalance.
            clock: seconds since the epoch, for records that are appended without a timestamp.
        """
        self.reachable = True
        self.changed = Condition(RLock())
        self.version = 0
        self._rebalance: Rebalance = rebalance
        self._clock = clock
        self._topics: dict[str, Topic] = {}
        self._groups: dict[str, Group] = {}
        self._producers: dict[str, Producer] = {}
        self._ledgers: dict[str, LedgerTable] = {}
        self._incarnations = 0
        self._transactions = 0

    # Topics and records

    def create_topic(self, topic: str, partitions: int = 1) -> str:
        """Create it and return its id, which no topic of that name had before. Raises ConfigError when it exists."""
        with self.changed:
            if topic in self._topics:
                raise ConfigError(f"topic {topic!r} exists already: delete it first")
            self._incarnations += 1
            self._topics[topic] = Topic(topic, partitions, f"topic-{self._incarnations}")
            self._assign_readers(topic)
            return self._topics[topic].topic_id

    def delete_topic(self, topic: str) -> None:
        """Delete it, with every group's committed offsets. Members keep it assigned until the next rebalance."""
        with self.changed:
            doomed = set(self._topic(topic).partitions)
            del self._topics[topic]
            for group in self._groups.values():
                group.committed = {one: offset for one, offset in group.committed.items() if one not in doomed}
            self.touch()

    def add_partitions(self, topic: str, total: int) -> None:
        """Grow the topic to ``total`` partitions; its readers rebalance."""
        with self.changed:
            logs = self._topic(topic).logs
            logs.extend(PartitionLog() for _ in range(total - len(logs)))
            self._assign_readers(topic)

    def has_topic(self, topic: str) -> bool:
        """Whether it exists now."""
        with self.changed:
            return topic in self._topics

    def partitions(self, topic: str) -> list[Partition]:
        """Its partitions. Raises FatalError when there is no such topic."""
        with self.changed:
            return self._topic(topic).partitions

    def append(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None = None,
        timestamp_ms: int | None = None,
        partition: int | None = None,
        *,
        producer: Producer | None = None,
    ) -> tuple[Partition, int]:
        """Add one record and return where it is.

        Args:
            topic: an existing topic; FatalError otherwise.
            key: also picks the partition, when ``partition`` is None; records without key take turns.
            value: None for a tombstone.
            headers: record headers.
            timestamp_ms: None for now.
            partition: index of the partition.
            producer: writes inside its open transaction.
        """
        with self.changed:
            known = self._topic(topic)
            if partition is None:
                spread = sum(log.end for log in known.logs) if key is None else zlib.crc32(key)
                partition = spread % len(known.logs)
            target = Partition(topic, partition)
            stamp = self.now_ms() if timestamp_ms is None else timestamp_ms
            transaction = producer.enlist(target) if producer is not None else None
            offset = self.log(target).append(key, value, headers, stamp, transaction)
            self.touch()
            return target, offset

    def remove(self, topic: str, partition: int, offset: int) -> None:
        """Take one record out, as compaction does. Raises FatalError when there is none at that offset."""
        with self.changed:
            if not self.log(Partition(topic, partition)).remove(offset):
                raise FatalError(f"{Partition(topic, partition)} has no record at offset {offset}")

    def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """Move the log start to ``offset``, as retention does."""
        with self.changed:
            self.log(Partition(topic, partition)).delete_before(offset)
            self.touch()

    def records(self, topic: str, partition: int | None = None) -> list[StoredRecord]:
        """What a ``read_committed`` reader can read now, partition by partition."""
        with self.changed:
            logs = self._topic(topic).logs
            return [one for log in (logs if partition is None else [logs[partition]]) for one in log.visible()]

    def horizon(self, partition: Partition) -> Horizon:
        """What the partition holds now. Raises FatalError when there is no such partition."""
        with self.changed:
            log, topic = self.log(partition), self._topic(partition.stream)
            return Horizon(log.start, log.end, topic.topic_id, log.start_timestamp_ms, len(topic.logs))

    def topic_id(self, topic: str) -> str:
        """Its id now, or "" when there is none."""
        return self._topics[topic].topic_id if self.has_topic(topic) else ""

    # Groups

    def committed(self, group: str) -> dict[Partition, int]:
        """The committed next offsets of the group."""
        with self.changed:
            return dict(self.group(group).committed)

    def set_committed(self, group: str, next_offsets: Mapping[Partition, int]) -> None:
        """Alter offsets as an operator may. Raises FatalError while the group has members, as Kafka refuses it."""
        with self.changed:
            if self.group(group).sessions:
                raise FatalError(f"group {group!r} has members: stop them first")
            self.group(group).committed.update(next_offsets)
            self.touch()

    def expire_offsets(self, group: str, partitions: Iterable[Partition] | None = None) -> None:
        """Forget committed offsets, all or those, without telling anybody, as the broker does after retention."""
        with self.changed:
            committed = self.group(group).committed
            for partition in list(committed) if partitions is None else partitions:
                committed.pop(partition, None)
            self.touch()

    def members(self, group: str) -> dict[str, list[Partition]]:
        """Who is in the group, and what each one owns now."""
        with self.changed:
            return {name: sorted(session.owned) for name, session in self.group(group).sessions.items()}

    def lose(self, group: str, member: str) -> None:
        """Expire the member's session. Raises FatalError when there is no such member.

        Its partitions are free at once and its commits are refused; its next poll calls ``on_lost`` and joins anew.
        """
        with self.changed:
            session = self.group(group).sessions.get(member)
            if session is None:
                raise FatalError(f"group {group!r} has no member {member!r}")
            self.leave(session, SessionState.LOST)

    def hold_offsets(self, group: str, partitions: Iterable[Partition]) -> Callable[[], None]:
        """Hold these offsets as a transaction in doubt does, until the returned function is called."""
        with self.changed:
            self._transactions += 1
            transaction, held = self._transactions, list(partitions)
            self.hold(self.group(group), held, transaction)
        return lambda: self.let_go(self.group(group), held, transaction)

    # Transactions and ledgers

    def producer(self, transactional_id: str) -> Producer:
        """A producer that fences its predecessor of the same id, and aborts what that one left open."""
        with self.changed:
            older = self._producers.get(transactional_id)
            if older is not None:
                older.fence()
            self._producers[transactional_id] = Producer(self, transactional_id)
            return self._producers[transactional_id]

    def expire_transaction(self, transactional_id: str) -> None:
        """Abort its open transaction and fence its producer, as the broker does after the transaction timeout."""
        with self.changed:
            producer = self._producers.pop(transactional_id, None)
            if producer is not None:
                producer.fence()

    def ledger(self, name: str) -> LedgerTable:
        """The ledger of that name, created when asked for."""
        with self.changed:
            return self._ledgers.setdefault(name, LedgerTable())

    # For the sources and sinks of this package

    def require_reachable(self) -> None:
        """Raise RetryableError while ``reachable`` is False."""
        if not self.reachable:
            raise RetryableError("the in-memory broker is unreachable: set its `reachable` to True")

    def touch(self) -> None:
        """Something changed: wake every poll that waits."""
        with self.changed:
            self.version += 1
            self.changed.notify_all()

    def wait_for_change(self, seen: int, timeout: float) -> None:
        """Wait until ``version`` is no longer ``seen``, at most ``timeout`` seconds."""
        with self.changed:
            self.changed.wait_for(lambda: self.version != seen, timeout)

    def now_ms(self) -> int:
        """The clock, in milliseconds."""
        return int(self._clock() * 1000)

    def log(self, partition: Partition) -> PartitionLog:
        """The log of one partition. Raises FatalError when there is none."""
        logs = self._topic(partition.stream).logs
        if partition.index >= len(logs):
            raise FatalError(f"there is no partition {partition}: topic {partition.stream!r} has {len(logs)}")
        return logs[partition.index]

    def group(self, name: str) -> Group:
        """The group of that name, created when asked for."""
        return self._groups.setdefault(name, Group(name, self._rebalance))

    def join(self, session: Session) -> None:
        """Add a member and rebalance."""
        with self.changed:
            self.group(session.group).join(session)
            self._assign(self.group(session.group))

    def leave(self, session: Session, state: SessionState) -> None:
        """End one life of a member and rebalance."""
        with self.changed:
            self.group(session.group).end(session, state)
            self._assign(self.group(session.group))

    def next_transaction(self) -> int:
        """Number of a transaction that begins."""
        with self.changed:
            self._transactions += 1
            return self._transactions

    def hold(self, group: Group, partitions: Iterable[Partition], transaction: int) -> None:
        """``committed`` waits for these until ``let_go``."""
        with self.changed:
            for partition in partitions:
                group.held.setdefault(partition, set()).add(transaction)
            self.touch()

    def let_go(self, group: Group, partitions: Iterable[Partition], transaction: int) -> None:
        """Undo ``hold``."""
        with self.changed:
            for partition in partitions:
                group.held[partition].discard(transaction)
            self.touch()

    def _topic(self, topic: str) -> Topic:
        known = self._topics.get(topic)
        if known is None:
            raise FatalError(f"topic {topic!r} does not exist: create it with `create_topic`")
        return known

    def _assign_readers(self, topic: str) -> None:
        for group in self._groups.values():
            if any(topic in session.topics for session in group.sessions.values()):
                self._assign(group)
        self.touch()

    def _assign(self, group: Group) -> None:
        group.assign({name: topic.partitions for name, topic in self._topics.items()})
        self.touch()


class Producer:
    """One life of one transactional producer; at most one transaction is open."""

    def __init__(self, broker: MemoryBroker, transactional_id: str) -> None:
        self._broker = broker
        self._id = transactional_id
        self._fenced = False
        self._transaction: int | None = None
        self._touched: dict[PartitionLog, None] = {}
        self._group: Group | None = None
        self._offsets: dict[Partition, int] = {}

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._transaction is not None

    def require_current(self) -> None:
        """Raise FencedError when another producer has taken over the id."""
        if self._fenced:
            raise FencedError(f"another worker has taken over the transactional id {self._id!r}: stop this one")

    def begin(self) -> None:
        """Open a transaction."""
        with self._broker.changed:
            self.require_current()
            self._transaction = self._broker.next_transaction()

    def enlist(self, partition: Partition) -> int:
        """The open transaction's number, after noting that it writes to ``partition``. Raises FatalError without one."""
        self.require_current()
        if self._transaction is None:
            raise FatalError(f"the producer {self._id!r} has no open transaction: call `begin` first")
        self._touched[self._broker.log(partition)] = None
        return self._transaction

    def add_offsets(self, token: MemberToken, next_offsets: Mapping[Partition, int]) -> None:
        """Make the group's offsets part of the transaction; ``committed`` waits for them from here on.

        Raises:
            FencedError: another producer took over.
            RetryableError: the group metadata is stale; the transaction must be aborted.
        """
        with self._broker.changed:
            self.require_current()
            if self._transaction is None:
                raise FatalError(f"the producer {self._id!r} has no open transaction: call `begin` first")
            group = self._broker.group(token.session.group)
            try:
                group.require_owned(token.session, next_offsets)
            except FencedError as error:
                raise RetryableError(f"abort the transaction: {error}") from error
            if token.assignment != token.session.assignment:
                raise RetryableError(
                    f"abort the transaction: the assignment of member {token.session.name!r} has changed since its "
                    "token was made; ask the source for a new one at every commit"
                )
            self._group = group
            self._offsets = dict(next_offsets)
            self._broker.hold(group, next_offsets, self._transaction)

    def end(self, *, committed: bool, ledger: LedgerTable | None = None, rows: Sequence[LedgerRow] = ()) -> None:
        """Commit or abort: documents, offsets and ledger rows at once. Without an open transaction it does nothing."""
        with self._broker.changed:
            self.require_current()
            self._end(committed=committed)
            if committed and ledger is not None:
                ledger.save(rows)

    def fence(self) -> None:
        """Abort what is open, and refuse everything from now on."""
        with self._broker.changed:
            self._end(committed=False)
            self._fenced = True

    def _end(self, *, committed: bool) -> None:
        if self._transaction is None:
            return
        for log in self._touched:
            log.end_transaction(self._transaction, self._broker.now_ms(), committed=committed)
        if self._group is not None:
            self._broker.let_go(self._group, self._offsets, self._transaction)
            if committed:
                self._group.committed.update(self._offsets)
        self._transaction, self._group = None, None
        self._touched, self._offsets = {}, {}
        self._broker.touch()
