from __future__ import annotations

import math
import random

import pytest

from prismlib.runtime.retries import LONGEST_ASKED, Backoff


def test_waits_grow_to_the_longest_and_start_small_again_after_a_success() -> None:
    backoff = Backoff(first=0.1, longest=1.0, rng=random.Random(1))
    waits = [backoff.next() for _ in range(8)]
    for ceiling, wait in zip([0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0, 1.0], waits, strict=True):
        assert ceiling / 2 <= wait <= ceiling
    backoff.reset()
    assert backoff.next() <= 0.1


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [
        (7.0, 7.0, 7.0),
        (0.0, 0.05, 0.1),
        (-3600.0, 0.05, 0.1),
        (86_400.0, LONGEST_ASKED, LONGEST_ASKED),
        (math.inf, LONGEST_ASKED, LONGEST_ASKED),
        (math.nan, 0.05, 0.1),
    ],
)
def test_a_server_is_given_the_time_that_it_asks_for_within_reason(asked: float, least: float, most: float) -> None:
    assert least <= Backoff(first=0.1).next(asked) <= most
