"""What all tests share: real servers for those that are marked so, and logging as it was before each test."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

pytest_plugins = ["prism_devservers.fixtures"]


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """Commands set logging up for a whole process, which here is that of all tests."""
    loggers = [logging.getLogger(name) for name in (None, "prismlib")]
    before = [(logger, logger.handlers[:], logger.level) for logger in loggers]
    yield
    for logger, handlers, level in before:
        logger.handlers[:] = handlers
        logger.setLevel(level)
