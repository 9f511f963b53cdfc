"""The suites that every registry passes, with a real registry, and our own, behind a front that can go away."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import urllib3

from prism_confluent_registry.registry import ConfluentRegistry
from prismlib.testing.registry_conformance import RegistryConformance, Release, WritableRegistryConformance
from tests.http_server import HttpServer, Reply, Seen
from tests.plugins.prism_confluent_registry.client import connect


class RealHarness:
    def __init__(self, url: str, front: HttpServer) -> None:
        self._url = url
        self._front = front
        self._run = uuid.uuid4().hex[:12]
        self._away = False
        self._pool = urllib3.PoolManager()
        front.reply = self._forward

    def make_registry(self) -> ConfluentRegistry:
        return connect(self._front.url, timeout="30s")

    def subject(self, name: str) -> str:
        return f"{self._run}-{name}"

    def release(self, release: Release) -> None:
        references = [{"name": r.name, "subject": r.subject, "version": r.version} for r in release.references]
        body = {"schema": release.text, "references": references}
        answer = self._pool.request("POST", f"{self._url}/subjects/{release.subject}/versions", json=body)
        assert answer.status == 200, answer.data

    @contextmanager
    def away(self) -> Iterator[None]:
        self._away = True
        yield
        self._away = False

    def keep_backward(self, subject: str) -> bool:
        answer = self._pool.request("PUT", f"{self._url}/config/{subject}", json={"compatibility": "BACKWARD"})
        assert answer.status == 200, answer.data
        return True

    def _forward(self, seen: Seen) -> Reply:
        if self._away:  # so that nobody waits for the time limit
            return Reply(503, headers={"retry-after": "3600"})
        kept = {name: seen.headers[name] for name in ("accept", "content-type") if name in seen.headers}
        answer = self._pool.request(seen.method, self._url + seen.path, body=seen.body or None, headers=kept)
        return Reply(answer.status, answer.data)


class TestConfluentRegistry(RegistryConformance, WritableRegistryConformance):
    @pytest.fixture
    def harness(self, url: str) -> Iterator[RealHarness]:
        with HttpServer(lambda _: Reply(200)) as front:
            yield RealHarness(url, front)
