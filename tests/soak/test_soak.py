"""The soak, small: what ``scripts/soak`` does with a million records and 200 faults."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.soak.oracle import Tally, compare, event_id
from tests.soak.plan import KINDS, draw
from tests.soak.run import soak

RECORDS = 50_000


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_fifty_thousand_records_and_every_kind_of_fault(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1 << 32)  # another one in every run; the message of a failure names it
    outcome = soak(tmp_path / "soak", records=RECORDS, faults=len(KINDS), seed=seed, rate=1500, tell=print)
    assert not outcome.wrong, f"scripts/soak --records {RECORDS} --faults {len(KINDS)} --seed {seed}: {outcome.wrong}"
    assert outcome.acknowledged == RECORDS
    assert set(outcome.faults) == set(KINDS)
    assert outcome.poison > 0


def test_a_seed_draws_the_same_faults_and_another_one_others() -> None:
    assert draw(7, 200, 1_000_000) == draw(7, 200, 1_000_000)
    assert draw(7, 200, 1_000_000) != draw(8, 200, 1_000_000)


def test_faults_are_of_every_kind_and_spread_over_the_records() -> None:
    faults = draw(3, 200, 1_000_000)
    assert {fault.kind for fault in faults} == set(KINDS)
    assert [fault.after for fault in faults] == sorted(fault.after for fault in faults)
    assert faults[-1].after < 1_000_000


def test_the_oracle_finds_what_is_lost_doubled_and_of_nobody() -> None:
    acknowledged, found = Tally({"o": 5}), Tally({"o": 5})
    for number in (0, 1, 2):
        acknowledged.add("o", number)
    for name in ("o0000000", "o0000002", "o0000002", "o0000003", "o0000009", "x0000001", "o"):
        found.add_id(name)
    result = compare("here", acknowledged, found)
    assert (result.lost, result.double, result.strangers) == (1, 1, 3)
    assert result.examples["lost"] == [event_id("o", 1)]
    assert result.examples["double"] == [event_id("o", 2)]
    assert not result.right
