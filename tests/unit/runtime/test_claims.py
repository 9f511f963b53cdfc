"""When a worker asks whether its name is still its own."""

from __future__ import annotations

import pytest

from prismlib.errors import FencedError, RetryableError
from prismlib.runtime.claims import CLAIM_SECONDS, ClaimWatch


class Asked:
    def __init__(self) -> None:
        self.times = 0
        self.answer: Exception | None = None

    def check_claim(self) -> None:
        self.times += 1
        if self.answer is not None:
            raise self.answer


def test_it_asks_now_and_then_and_at_once_after_a_long_sleep() -> None:
    sink, now = Asked(), [100.0]
    watch = ClaimWatch(sink, lambda: now[0])
    watch.check()
    assert sink.times == 0, "opening the sink has just claimed the name"
    for _ in range(10):
        now[0] += CLAIM_SECONDS / 5
        watch.check()
    assert sink.times == 2
    now[0] += 3_600
    sink.answer = FencedError("another process")
    with pytest.raises(FencedError):
        watch.check()


def test_a_server_that_does_not_answer_is_asked_less_and_less_often_and_then_as_before() -> None:
    sink, now = Asked(), [0.0]
    watch = ClaimWatch(sink, lambda: now[0])

    def asked_within(seconds: int) -> int:
        before = sink.times
        for _ in range(seconds):
            now[0] += 1.0
            watch.check()
        return sink.times - before

    sink.answer = RetryableError("away")
    assert 6 <= asked_within(300) <= 20
    sink.answer = None
    asked_within(61)
    assert asked_within(50) == 10


def test_a_sink_without_the_capability_is_left_alone() -> None:
    now = [0.0]
    watch = ClaimWatch(object(), lambda: now[0])
    now[0] = 1_000.0
    watch.check()
