from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from prism_embedded import EmbeddedLog
from tests.plugins.prism_embedded.members import World
from tests.plugins.prism_embedded.site import Site


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EmbeddedLog]:
    with EmbeddedLog(tmp_path) as made:
        yield made


@pytest.fixture
def world(log: EmbeddedLog) -> Iterator[World]:
    made = World(log)
    yield made
    made.close()


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Site:
    return Site(tmp_path, capsys)


@pytest.fixture
def to_topic(site: Site) -> Path:
    return site.pipeline("one", "in", 'topic = "out"\nencode = { type = "json", wire = "bare" }')


@pytest.fixture
def to_alias(site: Site) -> Path:
    return site.pipeline("two", "out", 'alias = "things"')
