from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.harness import Project

_numbers = itertools.count(1)


@pytest.fixture
def project(kafka: Any, elasticsearch: Any, tmp_path: Path) -> Iterator[Project]:
    """A project of its own on the shared servers."""
    name = f"shop{next(_numbers)}"
    return Project(tmp_path, kafka.bootstrap, elasticsearch.url, name)


@pytest.fixture
def make_project(tmp_path: Path) -> Callable[[Any, Any], Project]:
    """A project on servers that the test starts itself."""

    def make(kafka: Any, elasticsearch: Any) -> Project:
        return Project(tmp_path, kafka.bootstrap, elasticsearch.url, f"shop{next(_numbers)}")

    return make
