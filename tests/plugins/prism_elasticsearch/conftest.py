from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.plugins.prism_elasticsearch.node import Node


def fresh(url: str) -> Iterator[Node]:
    node = Node(url, f"t{uuid.uuid4().hex[:12]}")
    yield node
    node.clear()


@pytest.fixture
def bare_node(elasticsearch: Any) -> Iterator[Node]:
    """The real node with a fresh alias name and nothing behind it."""
    yield from fresh(elasticsearch.url)


@pytest.fixture
def node(bare_node: Node) -> Node:
    """The real node after setup."""
    bare_node.set_up()
    return bare_node


@pytest.fixture(scope="module")
def shared_node(elasticsearch: Any) -> Iterator[Node]:
    """The same, once for all tests of a module that only add documents: use ids of your own."""
    for node in fresh(elasticsearch.url):
        node.set_up()
        yield node
