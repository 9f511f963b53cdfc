"""Consumer groups of the in-memory broker: members, who owns what, committed offsets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, TypeAlias

from prismlib.errors import FencedError
from prismlib.records import Partition

Rebalance: TypeAlias = Literal["cooperative", "eager"]


class SessionState(Enum):
    """What the group thinks of one life of one member."""

    LIVE = "live"
    LOST = "lost"
    REPLACED = "replaced"
    LEFT = "left"


@dataclass(eq=False, slots=True)
class Session:
    """One life of one member, from joining until it leaves, is lost, or another takes its name.

    Attributes:
        group: name of the group.
        name: name of the member, as with a static member: a second one of the same name replaces the first.
        topics: what it subscribes to.
        owned: partitions that are its own until it releases them.
        target: partitions that the last rebalance gave it.
        refused: partitions of the target that it gave back; offered again after the next rebalance.
        assignment: raised whenever ``owned`` changes, so that stale group metadata can be told.
        generation: the last rebalance that it has taken part in.
        state: see SessionState.
    """

    group: str
    name: str
    topics: tuple[str, ...]
    owned: set[Partition] = field(default_factory=set)
    target: set[Partition] = field(default_factory=set)
    refused: set[Partition] = field(default_factory=set)
    assignment: int = 0
    generation: int = 0
    state: SessionState = SessionState.LIVE


@dataclass(frozen=True, slots=True)
class MemberToken:
    """What :meth:`MemorySource.member` returns: group metadata, valid until the member's assignment changes."""

    session: Session
    assignment: int


class Group:
    """One consumer group. Not locked: the broker's lock guards it."""

    def __init__(self, name: str, rebalance: Rebalance) -> None:
        self.name = name
        self.rebalance: Rebalance = rebalance
        self.generation = 0
        self.committed: dict[Partition, int] = {}
        self.held: dict[Partition, set[int]] = {}
        self.sessions: dict[str, Session] = {}

    def join(self, session: Session) -> None:
        """Add a member; an older one of the same name is replaced, as a restarted static member replaces itself."""
        older = self.sessions.get(session.name)
        if older is not None:
            self._end(older, SessionState.REPLACED)
        self.sessions[session.name] = session

    def end(self, session: Session, state: SessionState) -> None:
        """Remove a member; what it owned is free at once."""
        if self.sessions.get(session.name) is session:
            del self.sessions[session.name]
        self._end(session, state)

    def assign(self, partitions: Mapping[str, Sequence[Partition]]) -> None:
        """Decide anew who gets what: as before where possible, evenly otherwise."""
        self.generation += 1
        members = [self.sessions[name] for name in sorted(self.sessions)]
        targets: dict[str, set[Partition]] = {session.name: set() for session in members}
        topics = {topic for session in members for topic in session.topics}
        everything = sorted(one for topic in topics for one in partitions.get(topic, ()))
        quota = -(-len(everything) // len(members)) if members else 0
        homeless = []
        for partition in everything:
            keeper = next((one for one in members if partition in one.owned and partition.stream in one.topics), None)
            if keeper is not None and len(targets[keeper.name]) < quota:
                targets[keeper.name].add(partition)
            else:
                homeless.append(partition)
        for partition in homeless:
            able = [session.name for session in members if partition.stream in session.topics]
            targets[min(able, key=lambda name: (len(targets[name]), name))].add(partition)
        for session in members:
            session.target = targets[session.name]
            session.refused = set()

    def to_revoke(self, session: Session) -> list[Partition]:
        """What the member has to release before it may go on; it owns these until ``release``."""
        if session.generation == self.generation:
            return []
        if self.rebalance == "eager":
            return sorted(session.owned)
        return sorted(session.owned - session.target)

    def release(self, session: Session, partitions: Iterable[Partition]) -> None:
        """The member has finished with these."""
        session.owned.difference_update(partitions)
        session.assignment += 1

    def claim(self, session: Session) -> list[Partition]:
        """Hand the member what it should own and nobody else owns any more. Eager: all of it, or nothing yet."""
        if self.to_revoke(session):
            return []  # there was another rebalance while it was revoking
        session.generation = self.generation
        taken = {one for other in self.sessions.values() if other is not session for one in other.owned}
        wanted = session.target - session.owned - session.refused
        free = wanted - taken
        if not free or (self.rebalance == "eager" and free != wanted):
            return []
        session.owned |= free
        session.assignment += 1
        return sorted(free)

    def refuse(self, session: Session, partitions: Iterable[Partition]) -> None:
        """The member gives back what it was just handed."""
        refused = set(partitions)
        session.refused |= refused
        self.release(session, refused)

    def require_owned(self, session: Session, partitions: Iterable[Partition]) -> None:
        """Raise FencedError unless the member is alive and owns all of these."""
        foreign = sorted(set(partitions) - session.owned)
        if session.state is not SessionState.LIVE or foreign:
            names = ", ".join(map(str, foreign)) or "nothing"
            raise FencedError(
                f"member {session.name!r} of group {self.name!r} is {session.state.value} and does not own {names}: "
                "poll to learn the new assignment"
            )

    def _end(self, session: Session, state: SessionState) -> None:
        session.state = state
        session.owned = set()
        session.target = set()
        session.assignment += 1
