"""Pytest plugin: real servers as session fixtures, and their logs in the report of a failed test.

``pytest_plugins = ["prism_devservers.fixtures"]``. Tests that are marked ``real`` or use one of the fixtures are skipped
where there is no Java, unless ``PRISM_REQUIRE_REAL=1`` makes that a failure.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from typing import Final, TypeVar

import pytest

from prism_devservers.elasticsearch import Elasticsearch
from prism_devservers.java import java
from prism_devservers.kafka import Kafka
from prism_devservers.object_store import ObjectStore
from prism_devservers.registry import SchemaRegistry
from prism_devservers.server import Server, running_servers
from prismlib.errors import ConfigError, PrismError

_LOG_LINES: Final = 40
AnyServer = TypeVar("AnyServer", bound=Server)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker, for projects that do not."""
    config.addinivalue_line("markers", "real: needs real servers; skipped without Java unless PRISM_REQUIRE_REAL=1")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, or fail, what cannot run here."""
    if item.get_closest_marker("real") is not None:
        _require_java()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the end of each running server's log to the report of a failure."""
    report = yield
    if report.failed:
        for server in running_servers():
            report.sections.append((f"log of {server.name}, {server.log}", server.tail(_LOG_LINES)))
    return report


@pytest.fixture(scope="session")
def kafka() -> Iterator[Kafka]:
    """One broker for the whole session: use topics and groups of your own."""
    yield from _running(Kafka)


@pytest.fixture(scope="session")
def elasticsearch() -> Iterator[Elasticsearch]:
    """One node for the whole session: use indices and aliases of your own."""
    yield from _running(Elasticsearch)


@pytest.fixture(scope="session")
def schema_registry() -> Iterator[SchemaRegistry]:
    """One registry for the whole session: use subjects of your own."""
    yield from _running(SchemaRegistry)


@pytest.fixture(scope="session")
def object_store() -> Iterator[ObjectStore]:
    """One object store for the whole session: use buckets of your own."""
    yield from _running(ObjectStore)


def _running(kind: type[AnyServer]) -> Iterator[AnyServer]:
    _require_java()
    try:
        server = kind()
        server.__enter__()
    except PrismError as error:
        pytest.fail("\n".join([str(error), *getattr(error, "__notes__", ())]), pytrace=False)
    try:
        yield server
    finally:
        server.close()


def _require_java() -> None:
    try:
        java()
    except ConfigError as error:
        if os.environ.get("PRISM_REQUIRE_REAL") == "1":
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))
