"""Random letters, retries, crashes between any two steps and retries at once, against an oracle.

Whatever happens, each record is delivered once, its history is complete, and nothing is left open at the end.
"""

from __future__ import annotations

import random
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest

from prismlib.errors import FencedError, RetryableError
from prismlib.runtime.letters import Selection
from tests.unit.runtime.letters_world import Killed, LettersWorld, Steps

FATES = {"ok": "", "text": "decode", "field": "normalize", "shape": "encode", "refused": "write", "noise": "drop"}
SEEDS = range(120)


class _Impatient:
    def __init__(self, first: float, longest: float) -> None:
        pass

    def next(self, retry_after: float | None = None) -> float:
        return 0.0

    def reset(self) -> None:
        pass


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prismlib.runtime.retry.Backoff", _Impatient)


class Model:
    def __init__(self, seed: int, *, transactional: bool) -> None:
        self.rng = random.Random(seed)
        self.world = LettersWorld(
            transactional=transactional, buffers=self.rng.random() < 0.7, partitions=self.rng.choice([1, 2])
        )
        self.world.stage.bad = {fate: stage for fate, stage in FATES.items() if stage}
        self.dropped: set[bytes] = set()
        origins = [(p, n) for n in range(self.rng.randrange(1, 25)) for p in range(2)]
        self.rng.shuffle(origins)
        self.values: set[bytes] = set()
        for number, origin in enumerate(origins):
            fate = self.rng.choice(list(FATES))
            unique = origin[0] * 1000 + origin[1]
            self.values.add(b"=%s:%d" % (fate.encode(), unique))
            key = self.rng.choice([None, b"a", b"b%d" % number])
            for _ in range(self.rng.choice([1, 1, 1, 2])):  # at least once beside sinks without transactions
                self.world.letter((origin[0], unique), fate, key=key, stage=self.rng.choice(["decode", "write"]))

    def trouble(self) -> Steps:
        """Something at a random step: a kill, another retry, or servers that fail before or after they did it."""
        rng, at = self.rng, self.rng.randrange(60)
        what = rng.choice(["kill", "other", "others", "flaky", "nothing"])

        def step(number: int, name: str) -> None:
            if what == "flaky" and rng.random() < 0.05 and name not in {"open", "after open", "after begin", "close"}:
                if name == "after close" or (name == "after write" and not self.world.transactional):
                    return
                raise RetryableError("the servers are away")
            if what == "others" and rng.random() < 0.03:
                self.world.retry(limit=rng.choice([None, 2])).run()
            if number != at:
                return
            if what == "kill":
                raise Killed
            if what == "other":
                self.world.retry().run()

        return Steps(step, reclaims=rng.random() < 0.5)

    def one_retry(self) -> None:
        stage = self.world.stage
        if self.rng.random() < 0.5 and stage.bad:
            del stage.bad[self.rng.choice(list(stage.bad))]  # somebody mends the mapping
        selection = Selection(reason=self.rng.choice([None, None, *FATES]))
        retry = self.world.retry(self.trouble(), selection=selection, limit=self.rng.choice([None, None, 3]))
        retry._letters = self.rng.choice([1, 2, 1000])
        with suppress(FencedError):
            try:
                retry.run()
            except Killed:
                if self.rng.random() < 0.5:
                    return  # its transaction stays open until the next retry fences it
                self.world.broker.expire_transaction("out-_retry")
        self.check_so_far()

    def check_so_far(self) -> None:
        for value, count in self.world.delivered().items():
            assert count == 1, f"{value!r} was delivered {count} times"
        for letter in self.world.open_letters():
            attempts = letter.attempts
            assert [one.attempt for one in attempts] == list(range(1, len(attempts) + 1)), "the history has gaps"
            assert all(one.stage and one.code and one.reason for one in attempts)
            assert letter.record_headers == [("h", b"1")]

    def finish(self) -> None:
        self.world.stage.bad = {"noise": "drop"}
        report = self.world.retry().run()
        assert report.counts["failed"] == report.counts["left"] == 0
        self.check_so_far()
        assert self.world.open_letters() == []
        delivered = self.world.delivered()
        noise = {value for value in self.values if value.startswith(b"=noise")}
        assert {value for value in self.values if not value.startswith(b"=noise")} <= delivered.keys() <= self.values
        dropped = Counter(mark["prism.mark"] for mark in self.world.marks())[b"dropped"]
        assert dropped >= len(noise - delivered.keys()), "what the mapping filters is marked too"
        again: Any = self.world.retry().run()
        assert again.total == 0


@pytest.mark.parametrize("transactional", [True, False], ids=["transactional", "versioned"])
@pytest.mark.parametrize("seed", SEEDS)
def test_each_record_is_delivered_once_whatever_happens(seed: int, *, transactional: bool) -> None:
    model = Model(seed, transactional=transactional)
    for _ in range(model.rng.randrange(1, 6)):
        model.one_retry()
    model.finish()
