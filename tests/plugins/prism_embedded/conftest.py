from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from prism_embedded import EmbeddedLog
from tests.plugins.prism_embedded.members import World


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EmbeddedLog]:
    with EmbeddedLog(tmp_path) as made:
        yield made


@pytest.fixture
def world(log: EmbeddedLog) -> Iterator[World]:
    made = World(log)
    yield made
    made.close()
