"""Consumer groups: members, and a lease on every partition.

    members   worker 1 (session 4), worker 2 (session 7)
    leases    flights[0]  owner 4  target 4        worker 1 reads it
              flights[1]  owner 4  target 7        worker 1 shall give it back: on_revoked, then the owner is nobody
              flights[2]  owner -  target 7        worker 2 may take it: the lease's generation goes up, on_assigned

Whatever changes the members decides all targets anew, in the same transaction; whoever must give nothing back goes on reading.
A session is never given twice. A member that was taken for dead finds no session of its own any more, and comes back
under another; until then nothing that it writes is accepted, because every commit looks at the leases in its own transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import orjson

from prism_embedded.database import Database
from prismlib.errors import FencedError
from prismlib.records import Partition

Session: TypeAlias = int


@dataclass(frozen=True, slots=True)
class Lease:
    """A partition that a member owns: valid while session and generation in the file are the same."""

    partition: Partition
    number: int
    generation: int


@dataclass(frozen=True, slots=True)
class Member:
    """What a sink needs to commit the offsets of a member in its own transaction.

    Attributes:
        file: where the group lives; a transaction cannot span two.
        group: its name.
        session: of the member.
        leases: what it owned when the token was made.
    """

    file: Path
    group: str
    session: Session
    leases: Mapping[Partition, Lease]


@dataclass(frozen=True, slots=True)
class View:
    """What the group says about one member, at one moment.

    Attributes:
        live: it has its session still.
        owned: the leases that it has.
        offered: partitions that it may take.
        unwanted: owned partitions that another member shall have.
    """

    live: bool
    owned: Mapping[Partition, Lease] = field(default_factory=dict)
    offered: Sequence[Partition] = ()
    unwanted: Sequence[Partition] = ()


# --- one member -------------------------------------------------------------------------------------------------------


class Membership:
    """One worker's place in its group. Calls are one transaction or snapshot each, and raise like these."""

    def __init__(self, database: Database, group: str, worker: str, topics: Iterable[str]) -> None:
        """It has not joined yet."""
        self.group = group
        self.worker = worker
        self.session: Session | None = None
        self._database = database
        self._topics = orjson.dumps(sorted(topics)).decode()

    def join(self) -> None:
        """Join under a new session. An older member of the same name is replaced; its partitions come here at once."""
        with self._database.transaction() as connection:
            older = connection.execute(
                "DELETE FROM members WHERE group_name = ? AND worker = ? RETURNING number", (self.group, self.worker)
            ).fetchall()
            session = connection.execute(
                "INSERT INTO members (group_name, worker, topics) VALUES (?, ?, ?)",
                (self.group, self.worker, self._topics),
            ).lastrowid
            for (number,) in older:
                connection.execute(
                    "UPDATE leases SET target = ? WHERE group_name = ? AND target = ?", (session, self.group, number)
                )
            rebalance(connection, self.group)
        self.session = session

    def rejoin(self) -> None:
        """Come back after the group went on without this member.

        Raises:
            FencedError: another process has its name now.
        """
        self.session = None
        if self._database.query("SELECT 1 FROM members WHERE group_name = ? AND worker = ?", (self.group, self.worker)):
            raise FencedError(
                f"another process runs as worker {self.worker!r} of pipeline {self.group}; this one stops. Give each worker"
                " a name of its own with --worker"
            )
        self.join()

    def leave(self) -> None:
        """Leave; everything that it owns is free at once."""
        with self._database.transaction() as connection:
            remove(connection, self.group, [self.session])
        self.session = None

    def view(self) -> View:
        """What the group says now."""
        with self._database.snapshot() as connection:
            if not self.is_live(connection):
                return View(live=False)
            rows = self._leases(connection)
        owned, offered, unwanted = {}, [], []
        for partition, number, generation, owner, target in rows:
            if owner == self.session:
                owned[partition] = Lease(partition, number, generation)
                if target != self.session:
                    unwanted.append(partition)
            elif owner is None:
                offered.append(partition)
        return View(True, owned, offered, unwanted)

    def take(self) -> dict[Partition, Lease]:
        """Own everything that is offered; returns all that is owned then."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE leases SET owner = ?1, generation = generation + 1"
                " WHERE group_name = ?2 AND target = ?1 AND owner IS NULL",
                (self.session, self.group),
            )
            rows = self._leases(connection)
        return {
            partition: Lease(partition, number, generation)
            for partition, number, generation, owner, _ in rows
            if owner == self.session
        }

    def give_back(self, leases: Iterable[Lease]) -> None:
        """Own these no more. Those that are lost already are passed over."""
        with self._database.transaction() as connection:
            connection.executemany(
                "UPDATE leases SET owner = NULL WHERE group_name = ? AND partition = ? AND owner = ? AND generation = ?",
                [(self.group, lease.number, self.session, lease.generation) for lease in leases],
            )

    def _leases(
        self, connection: sqlite3.Connection
    ) -> list[tuple[Partition, int, int, Session | None, Session | None]]:
        """Partition, number, generation, owner and target of what this member has or shall have."""
        rows = connection.execute(
            "SELECT t.name, p.position, l.partition, l.generation, l.owner, l.target FROM leases l"
            " JOIN partitions p ON p.number = l.partition JOIN topics t ON t.number = p.topic"
            " WHERE l.group_name = ?1 AND (l.owner = ?2 OR l.target = ?2) ORDER BY t.name, p.position",
            (self.group, self.session),
        )
        return [(Partition(topic, position), *rest) for topic, position, *rest in rows]

    def is_live(self, connection: sqlite3.Connection) -> bool:
        """Whether the group still counts on this member, as the snapshot of the caller sees it."""
        query = "SELECT 1 FROM members WHERE number = ?"
        return connection.execute(query, (self.session,)).fetchone() is not None


# --- inside a transaction of the caller -------------------------------------------------------------------------------


def lost(connection: sqlite3.Connection, member: Member, partitions: Iterable[Partition]) -> list[Partition]:
    """Those of the partitions whose lease the member does not have, or no longer."""
    valid = set(
        connection.execute(
            "SELECT partition, generation FROM leases WHERE group_name = ? AND owner = ?",
            (member.group, member.session),
        )
    )
    leases = member.leases
    return [p for p in partitions if p not in leases or (leases[p].number, leases[p].generation) not in valid]


def commit_offsets(connection: sqlite3.Connection, group: str, next_offsets: Iterable[tuple[int, int]]) -> None:
    """Store the next offset of each partition, given by number."""
    connection.executemany(
        "INSERT INTO offsets (group_name, partition, next_offset) VALUES (?, ?, ?)"
        " ON CONFLICT DO UPDATE SET next_offset = excluded.next_offset",
        [(group, number, offset) for number, offset in next_offsets],
    )


def committed(connection: sqlite3.Connection, group: str) -> dict[int, int]:
    """The group's next offsets, by number of the partition."""
    return dict(connection.execute("SELECT partition, next_offset FROM offsets WHERE group_name = ?", (group,)))


def remove(connection: sqlite3.Connection, group: str, sessions: Iterable[Session | None]) -> None:
    """Go on without these members."""
    connection.executemany("DELETE FROM members WHERE number = ?", [(session,) for session in sessions])
    rebalance(connection, group)


def rebalance(connection: sqlite3.Connection, group: str) -> None:
    """Decide anew who shall have what, and free what nobody owns any more."""
    members = {
        session: frozenset(orjson.loads(topics))
        for session, topics in connection.execute(
            "SELECT number, topics FROM members WHERE group_name = ? ORDER BY number", (group,)
        )
    }
    wanted = frozenset().union(*members.values())
    partitions = {
        number: name
        for number, name in connection.execute(
            "SELECT p.number, t.name FROM partitions p JOIN topics t ON t.number = p.topic ORDER BY t.name, p.position"
        )
        if name in wanted
    }
    leases = {
        number: (owner, target)
        for number, owner, target in connection.execute(
            "SELECT partition, owner, target FROM leases WHERE group_name = ?", (group,)
        )
    }
    targets = assign(partitions, members, {number: target for number, (_, target) in leases.items()})
    connection.executemany(
        "DELETE FROM leases WHERE group_name = ? AND partition = ?",
        [(group, number) for number in leases if number not in targets],
    )
    owners = {number: owner for number, (owner, _) in leases.items() if owner in members}
    connection.executemany(
        "INSERT INTO leases (group_name, partition, owner, target) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET owner = excluded.owner, target = excluded.target",
        [(group, number, owners.get(number), target) for number, target in targets.items()],
    )


# --- who gets what ----------------------------------------------------------------------------------------------------


def assign(
    partitions: Mapping[int, str], members: Mapping[Session, Collection[str]], before: Mapping[int, Session | None]
) -> dict[int, Session]:
    """Spread partitions evenly over the members that read their topics; as few as possible move.

    Args:
        partitions: the topic of each partition.
        members: the topics of each member.
        before: who had each partition.

    Returns:
        The member of each partition; those that nobody reads are left out.
    """
    given: dict[Session, list[int]] = {session: [] for session in members}
    homeless = []
    for number, topic in partitions.items():
        keeper = before.get(number)
        if keeper in given and topic in members[keeper]:
            given[keeper].append(number)
        else:
            homeless.append(number)
    for number in homeless:
        readers = [session for session, topics in members.items() if partitions[number] in topics]
        if readers:
            given[min(readers, key=lambda session: len(given[session]))].append(number)
    while (move := _move(partitions, members, given)) is not None:
        number, giver, taker = move
        given[giver].remove(number)
        given[taker].append(number)
    return {number: session for session, numbers in given.items() for number in numbers}


def _move(
    partitions: Mapping[int, str],
    members: Mapping[Session, Collection[str]],
    given: Mapping[Session, Sequence[int]],
) -> tuple[int, Session, Session] | None:
    """A partition that should go from one member to another; None when loads differ by no more than one."""
    by_load = sorted(given, key=lambda session: len(given[session]))
    for taker in by_load:
        for giver in reversed(by_load):
            if len(given[giver]) - len(given[taker]) <= 1:
                break
            for number in reversed(given[giver]):
                if partitions[number] in members[taker]:
                    return number, giver, taker
    return None
