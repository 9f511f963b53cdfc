"""The registries that one suite runs against: a real one of others, and our own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.serving import Served


@pytest.fixture(scope="module")
def prism_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("registry"), "--only", "registry") as server:
        yield server


@pytest.fixture(
    params=[pytest.param("schema_registry", marks=pytest.mark.real), "prism_registry"], ids=["apicurio", "prism"]
)
def url(request: pytest.FixtureRequest) -> str:
    address: str = request.getfixturevalue(request.param).url
    return address
