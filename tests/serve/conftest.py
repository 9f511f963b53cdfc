"""One server for a whole module: subjects of different tests have different names."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.serving import Served


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("served")) as server:
        yield server


@pytest.fixture
def subject() -> str:
    return f"s-{uuid.uuid4().hex[:12]}"
