from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.plugins.prism_kafka.broker import Broker


@pytest.fixture
def broker(kafka: Any) -> Iterator[Broker]:
    """The session's broker."""
    one = Broker(kafka.bootstrap)
    yield one
    one.close()


@pytest.fixture(scope="module")
def own_kafka(kafka: Any) -> Iterator[Any]:
    """A broker that a module may kill."""
    with type(kafka)() as server:
        yield server


@pytest.fixture
def own_broker(own_kafka: Any) -> Iterator[Broker]:
    one = Broker(own_kafka.bootstrap)
    yield one
    one.close()
