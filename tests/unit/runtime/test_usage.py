"""What workers tell the registry: once a version, from a thread of its own, whatever the registry does."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from prismlib.contracts.registry import RegisteredSchema, ReportsUsage
from prismlib.contracts.usage import Usage
from prismlib.errors import RegistryUnavailableError, SchemaNotFoundError
from prismlib.runtime import usage
from prismlib.runtime.usage import UsageReports

READS = {"orders": ("orders-value", frozenset({"id", "total"}))}


class Registry:
    """Two versions of one subject, and one schema that another subject has too."""

    def __init__(self) -> None:
        self.told: list[Usage] = []
        self.wants = True
        self.away = False
        self.heard = threading.Event()

    def by_id(self, schema_id: int) -> RegisteredSchema:
        if schema_id == 9:
            return RegisteredSchema(9, "returns-value", 1, "avro", "{}")
        return self.version("orders-value", schema_id)

    def latest(self, subject: str) -> RegisteredSchema:
        return self.version(subject, 3)

    def version(self, subject: str, version: int) -> RegisteredSchema:
        if version not in (1, 2, 3):
            raise SchemaNotFoundError("no such version")
        return RegisteredSchema(9 if version == 3 else version, subject, version, "avro", "{}")

    def versions(self, subject: str) -> Sequence[int]:
        return [1, 2, 3] if subject == "orders-value" else [1]

    def subjects(self) -> Sequence[str]:
        return ["orders-value", "returns-value"]

    def report_usage(self, told: Usage) -> bool:
        self.heard.set()
        if self.away:
            raise RegistryUnavailableError("away")
        self.told.append(told)
        return self.wants

    def usage(self, subject: str) -> Sequence[Usage]:
        return [one for one in self.told if one.subject == subject]


@pytest.fixture
def registry() -> Registry:
    found = Registry()
    assert isinstance(found, ReportsUsage)
    return found


def told(registry: Registry) -> list[tuple[str, str, int, tuple[str, ...]]]:
    return [(one.consumer, one.subject, one.version, one.fields) for one in registry.told]


def test_each_version_that_was_seen_is_told_once_by_the_end(registry: Registry) -> None:
    reports = UsageReports(registry, "shop", READS)
    reports.start()
    for schema_id in (1, 2, 2, 1, None):
        reports.saw("orders", schema_id)
    reports.saw("elsewhere", 1)
    reports.close()
    reports.close()
    assert told(registry) == [
        ("shop", "orders-value", 1, ("id", "total")),
        ("shop", "orders-value", 2, ("id", "total")),
    ]
    assert all(one.at_ms > 1_700_000_000_000 for one in registry.told)


def test_a_schema_that_another_subject_has_too_is_told_under_the_subject_that_is_read(registry: Registry) -> None:
    reports = UsageReports(registry, "shop", READS)
    reports.start()
    reports.saw("orders", 9)
    reports.saw("orders", 77)  # a garbage id, which nobody knows
    reports.close()
    assert [one.version for one in registry.told] == [3]


def test_what_was_seen_before_the_routes_changed_is_told_as_it_was_read(registry: Registry) -> None:
    reports = UsageReports(registry, "shop", READS)
    reports.start()
    reports.saw("orders", 1)
    reports.reads = {"orders": ("orders-value", frozenset({"id"}))}
    reports.saw("orders", 1)
    reports.saw("orders", 2)
    reports.reads = {}
    reports.saw("orders", 2)
    reports.close()
    assert told(registry) == [
        ("shop", "orders-value", 1, ("id", "total")),
        ("shop", "orders-value", 1, ("id",)),
        ("shop", "orders-value", 2, ("id",)),
    ]


def test_what_is_seen_is_told_again_after_the_interval(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "FIRST", 0.01)
    monkeypatch.setattr(usage, "INTERVAL", 0.01)
    reports = UsageReports(registry, "shop", READS)
    reports.start()
    for _ in range(2):
        registry.heard.clear()
        reports.saw("orders", 1)
        assert registry.heard.wait(10)
    reports.close()
    assert [one.version for one in registry.told] == [1, 1]


def test_a_registry_that_is_away_costs_the_report_alone(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(usage, "FIRST", 0.01)
    monkeypatch.setattr(usage, "INTERVAL", 0.01)
    registry.away = True
    reports = UsageReports(registry, "shop", READS)
    reports.start()
    reports.saw("orders", 1)
    assert registry.heard.wait(10)
    registry.away = False
    reports.saw("orders", 2)
    reports.close()
    assert [one.version for one in registry.told][-1] == 2
    assert "the registry was not told what is read" in caplog.text


def test_a_registry_that_does_not_want_to_know_is_left_alone(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "FIRST", 0.01)
    registry.wants = False
    reports = UsageReports(registry, "shop", READS)
    reports.start()
    reports.saw("orders", 1)
    assert registry.heard.wait(10)
    reports.saw("orders", 2)
    reports.close()
    assert [one.version for one in registry.told] == [1]
