"""A model test of the group: random interleavings of several workers against an obvious oracle, and planted bugs it must catch.

The oracle is the list of what was published. Whatever joins, dies, hangs, wakes and rebalances: in the end every record was
written exactly once, and in the order of its partition.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from prism_embedded import EmbeddedLog, group, heartbeat
from prismlib.errors import FatalError, FencedError, RetryableError
from prismlib.records import Partition
from tests.plugins.prism_embedded.members import BEAT, SESSION, Member, World

SEEDS = 40
STEPS = 150
WORKERS = ("1", "2", "3", "4")
PARTITIONS = 4


class FoundError(AssertionError):
    """What the model found."""


class Model:
    """Workers by name; those asleep are zombies as soon as the group has noticed."""

    def __init__(self, log: EmbeddedLog, rng: random.Random) -> None:
        self.world = World(log, PARTITIONS)
        self.rng = rng
        self.awake: dict[str, Member] = {}
        self.asleep: dict[str, Member] = {}
        self.published = 0
        self.happened: Counter[str] = Counter()

    def step(self) -> None:
        self.rng.choices(
            [
                self.publish,
                self.poll,
                self.commit,
                self.pass_time,
                self.start,
                self.die,
                self.sleep,
                self.wake,
                self.leave,
            ],
            [20, 40, 10, 15, 12, 2, 6, 8, 2],
        )[0]()

    def publish(self) -> None:
        count = self.rng.randint(1, 9)
        self.world.publish(count, self.published)
        self.published += count

    def poll(self) -> None:
        for name, member in self.some(self.awake):
            self.poll_of(name, member)

    def poll_of(self, name: str, member: Member) -> None:
        try:
            member.poll(self.rng.randint(1, 6))
        except FencedError:
            self.awake.pop(name).close()

    def commit(self) -> None:
        for name, member in self.some(self.awake):
            self.commit_of(name, member)

    def commit_of(self, name: str, member: Member) -> None:
        try:
            self.happened["written"] += member.commit()
        except RetryableError:
            self.happened["zombie refused"] += 1
            member.rewind()
        except FencedError:
            self.awake.pop(name).close()

    def pass_time(self) -> None:
        self.world.pass_time(self.rng.choice([BEAT, BEAT, 2 * BEAT, SESSION]), *self.awake.values())

    def start(self) -> None:
        free = [name for name in WORKERS if name not in self.awake and name not in self.asleep]
        if free or self.rng.random() < 0.1:
            name = self.rng.choice(free or WORKERS)
            older = self.asleep.pop(name, None) or self.awake.pop(name, None)
            if older is not None:
                older.die()
            self.awake[name] = self.world.member(name).start()

    def die(self) -> None:
        for name, _ in self.some(self.awake):
            self.awake.pop(name).die()
            self.happened["died"] += 1

    def leave(self) -> None:
        for name, _ in self.some(self.awake):
            self.awake.pop(name).close()

    def sleep(self) -> None:
        for name, _ in self.some(self.awake):
            self.asleep[name] = self.awake.pop(name)
            if self.rng.random() < 0.5:
                self.world.pass_time(SESSION + 2 * BEAT, *self.awake.values())
                self.poll()

    def wake(self) -> None:
        """It goes on with what it was about to do: most often with a commit of what it had read."""
        for name, member in self.some(self.asleep):
            self.awake[name] = self.asleep.pop(name)
            member.source._last_sign = self.world.now
            self.rng.choice([self.commit_of, self.commit_of, self.poll_of])(name, member)

    def some(self, members: dict[str, Member]) -> list[tuple[str, Member]]:
        return [self.rng.choice(sorted(members.items()))] if members else []

    def check(self) -> None:
        """Nothing was written twice so far."""
        found = Counter(self.world.out())
        twice = [value for value, n in found.items() if n > 1]
        if twice:
            raise FoundError(f"written twice: {twice[:3]}")

    def finish(self) -> None:
        """One worker is left, outlives all others, and reads to the end."""
        for member in (*self.asleep.values(), *self.awake.values()):
            member.die()
        last = self.world.member("last").start()
        self.world.pass_time(SESSION + 3 * BEAT, last)
        last.poll()
        if last.mine != [Partition("in", index) for index in range(PARTITIONS)]:
            raise FoundError(f"the only worker left has {last.mine}")
        while last.poll():
            last.commit()
        last.commit()
        self.check()
        expected = [b"value %d" % n for n in range(self.published)]
        missing = set(expected) - set(self.world.out())
        if missing:
            raise FoundError(f"{len(missing)} of {self.published} are lost, such as {sorted(missing)[:3]}")
        order = {value: n for n, value in enumerate(self.world.out())}
        for index in range(PARTITIONS):
            mine = [v for b in self.world.log.read("in") if b.partition.index == index for v in b.values]
            if [order[value] for value in mine] != sorted(order[value] for value in mine):
                raise FoundError(f"partition {index} is not in its order")
        last.close()


def run_model(folder: Path, seed: int) -> Counter[str]:
    with EmbeddedLog(folder / f"model{seed}.db") as log:
        model = Model(log, random.Random(seed))
        try:
            for _ in range(STEPS):
                model.step()
                model.check()
            model.finish()
        finally:
            model.world.close()
    return model.happened


@pytest.mark.slow
def test_whatever_members_do_every_record_is_written_once(tmp_path: Path) -> None:
    happened: Counter[str] = Counter()
    for seed in range(SEEDS):
        happened += run_model(tmp_path, seed)
    assert happened["written"] > 20 * SEEDS
    assert happened["zombie refused"] > 10, "the model must meet what it is for"
    assert happened["died"] > 10


def forgets_the_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "lost", lambda *_: [])


def never_buries_the_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat.Watch, "dead", lambda *_: [])


def takes_what_another_still_has(monkeypatch: pytest.MonkeyPatch) -> None:
    original = group.rebalance

    def rebalance(connection, name) -> None:
        original(connection, name)
        connection.execute("UPDATE leases SET owner = NULL WHERE owner <> target")

    monkeypatch.setattr(group, "rebalance", rebalance)
    monkeypatch.setattr(group, "lost", lambda *_: [])


def forgets_the_offsets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "commit_offsets", lambda *_: None)


def looks_only_whether_somebody_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        group,
        "lost",
        lambda connection, member, partitions: [
            p
            for p in partitions
            if not connection.execute(
                "SELECT 1 FROM leases WHERE partition = ? AND owner IS NOT NULL", (member.leases[p].number,)
            ).fetchone()
        ],
    )


@pytest.mark.parametrize(
    "plant",
    [
        forgets_the_lease,
        never_buries_the_dead,
        takes_what_another_still_has,
        forgets_the_offsets,
        looks_only_whether_somebody_has_it,
    ],
)
def test_planted_bugs_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plant: Callable[[pytest.MonkeyPatch], None]
) -> None:
    plant(monkeypatch)
    with pytest.raises((AssertionError, FatalError)):
        for seed in range(SEEDS):
            run_model(tmp_path, seed)
