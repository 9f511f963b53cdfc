"""All together: start, publish, hurt, wait until all has arrived, count."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import urllib3

from tests.integration.harness import Index, read_topic_each
from tests.soak.faults import Faults
from tests.soak.oracle import Found, Tally, compare, compare_letters
from tests.soak.plan import draw
from tests.soak.producers import Producers
from tests.soak.world import Ended, World

QUIET_SECONDS = 240.0  # without anything new in the index, and all is not there: given up
LOOK_SECONDS = 3.0
# What a worker may end with when servers are away while it starts, or another took its name. A supervisor starts it again.
MAY_END = re.compile(
    r"does not answer|answers 50[23]|answered within|stayed away|another process has (?:taken the place|become)"
)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is."""

    records: int
    published: int
    indexed: int
    faults: int
    all_faults: int
    ended: int


@dataclass
class Outcome:
    """What a run ended with.

    Attributes:
        wrong: what must not be; empty when all is as promised.
    """

    seed: int
    records: int
    acknowledged: int = 0
    unconfirmed: int = 0
    seconds: float = 0.0
    faults: dict[str, int] = field(default_factory=dict)
    poison: int = 0
    ended: dict[str, int] = field(default_factory=dict)
    found: list[Found] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return not self.wrong

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "faults_total": sum(self.faults.values()), "passed": self.passed}


def soak(
    folder: Path, *, records: int, faults: int, seed: int, rate: float, tell: Callable[[Progress], None]
) -> Outcome:
    """Run it. Servers, logs and ``faults.jsonl`` are in ``folder``, which is left there."""
    began = time.monotonic()
    outcome = Outcome(seed, records)
    plan = draw(seed, faults, records)
    with World(folder) as world:
        producers = Producers(world.kafka.bootstrap, world.streams, records, rate)
        doing = Faults(world, producers, plan, records, folder / "faults.jsonl")
        index = Index(world.elasticsearch.url, "soak")
        watch = Watch(producers, doing, world, index, records, len(plan), tell)
        producers.start()
        try:
            doing.run(watch)
            producers.finish()
            arrived = _await(watch, producers)
        finally:
            producers.stop()
            doing.join()
        codes = world.stop_workers()
        poison = producers.poison
        outcome.acknowledged, outcome.unconfirmed = producers.acknowledged.total, producers.unconfirmed
        outcome.faults = {kind: doing.done[kind] for kind in sorted(doing.done)}
        outcome.poison = sum(map(len, poison.values()))
        outcome.ended = dict(Counter(f"{each.worker.partition('-')[0]}: {each.sentence}" for each in world.ended))
        outcome.found = _count(world, producers)
        outcome.wrong = [
            *doing.failures,
            *([] if arrived else [f"nothing new arrived for {QUIET_SECONDS:.0f} s, and not all is there"]),
            *(f"worker {name} ended with {code} after SIGTERM" for name, code in codes.items() if code),
            *(f"{found.place}: {found.as_json()}" for found in outcome.found if not found.right),
            *_ends_that_may_not_be(world.ended),
            *_tracebacks(world.project),
        ]
    outcome.seconds = round(time.monotonic() - began, 1)
    return outcome


class Watch:
    """Tells how far it is, every few seconds."""

    def __init__(
        self,
        producers: Producers,
        faults: Faults,
        world: World,
        index: Index,
        records: int,
        all_faults: int,
        tell: Callable[[Progress], None],
    ) -> None:
        self._producers, self._faults, self._world, self._index = producers, faults, world, index
        self._records, self._all_faults, self._tell = records, all_faults, tell
        self._next = 0.0
        self.indexed = 0

    def __call__(self) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        with suppress(AssertionError, urllib3.exceptions.HTTPError):  # it is being killed or started just now
            self.indexed = self._index.count()
        self._tell(
            Progress(
                self._records,
                self._producers.published(),
                self.indexed,
                sum(self._faults.done.values()),
                self._all_faults,
                len(self._world.ended),
            )
        )
        self._next = time.monotonic() + LOOK_SECONDS


def _await(watch: Watch, producers: Producers) -> bool:
    """Wait until as many records are in the index as were acknowledged; False when they stop coming."""
    highest, since = -1, time.monotonic()
    while watch.indexed < producers.acknowledged.total:
        watch()
        if watch.indexed > highest:
            highest, since = watch.indexed, time.monotonic()
        elif time.monotonic() - since > QUIET_SECONDS:
            return False
        time.sleep(0.5)
    return True


def _count(world: World, producers: Producers) -> list[Found]:
    """What is in the topic, the index and the dead letters, by reading all of it."""
    sizes = {prefix: len(producers.acknowledged.times(prefix)) for prefix in producers.acknowledged.prefixes()}
    servers = world.kafka.bootstrap
    in_topic = Tally(sizes)
    for key, _, _ in read_topic_each(servers, "events"):
        if key is None or not key.startswith(b"poison-"):
            in_topic.add_id((key or b"without a key").decode())
    in_index = Tally(sizes)
    for event_id in Index(world.elasticsearch.url, "soak").each_event_id():
        in_index.add_id(event_id)
    into_one = {k: v for topic in world.streams for k, v in producers.poison.get(topic, {}).items()}
    into_two = producers.poison.get("events", {})
    return [
        compare("topic events", producers.acknowledged, in_topic),
        compare("index soak", producers.acknowledged, in_index),
        compare_letters(servers, "soak-1.dead-letters", into_one, copies_allowed=False),
        compare_letters(servers, "soak-2.dead-letters", into_two, copies_allowed=True),
    ]


def _ends_that_may_not_be(ended: list[Ended]) -> list[str]:
    return [
        f"worker {each.worker} ended by itself with {each.code}: {each.sentence}"
        for each in ended
        if each.code != 3 or not MAY_END.search(each.sentence)
    ]


def _tracebacks(project: Path) -> list[str]:
    logs = project.glob("pipelines/*.log")
    return [f"a traceback or internal error in {log.name}" for log in logs if _is_bad(log.read_text(errors="replace"))]


def _is_bad(log: str) -> bool:
    return "Traceback (most recent" in log or "internal error" in log
