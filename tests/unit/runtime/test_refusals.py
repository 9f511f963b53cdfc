"""What a refusal says."""

from __future__ import annotations

import pytest

from prismlib.records import Loss, Partition
from prismlib.runtime.guard import Refusal, Refused
from prismlib.runtime.refusals import refuse
from prismlib.runtime.settings import RunnerSettings
from prismlib.stages import Horizon


@pytest.mark.parametrize(
    ("from_ms", "to_ms", "said"),
    [
        (1_740_795_249_000, 1_740_906_000_000, "between 2025-03-01T02:14:09Z and 2025-03-02T09:00:00Z"),
        (-1, 10**18, "before 1000000000000000000 ms"),
        (10**18, -1, "after 1000000000000000000 ms"),
    ],
)
def test_a_time_that_no_calendar_has_is_said_as_its_producer_wrote_it(from_ms: int, to_ms: int, said: str) -> None:
    partition = Partition("in", 3)
    loss = Loss(partition, 4, 9, from_ms, to_ms)
    refusal = Refusal(partition, (Refused.LOST,), Horizon(9, 20, "id"), loss, 4)
    assert f"written {said}, are gone" in str(refuse(RunnerSettings("p"), [refusal]))
