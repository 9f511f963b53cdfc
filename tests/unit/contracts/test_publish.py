"""Copying schemas from one registry into another: order, numbers and what cannot be copied."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prismlib.contracts.directory import DirectoryRegistry
from prismlib.contracts.publish import publish
from prismlib.contracts.registry import Reference, resolve_references
from prismlib.errors import (
    ConfigError,
    ContractError,
    IncompatibleSchemaError,
    RegistryUnavailableError,
    SchemaNotFoundError,
    SchemaParseError,
)
from tests.kit.registries import PlainRegistry, Schemas


def record(name: str, *fields: str) -> str:
    return json.dumps({"type": "record", "name": name, "fields": [{"name": one, "type": "int"} for one in fields]})


class World:
    def __init__(self) -> None:
        self.source, self.target = Schemas(), Schemas()

    def publish(self, *subjects: str) -> list[tuple[str, int]]:
        published = publish(PlainRegistry(self.source), PlainRegistry(self.target), subjects)
        return [(one.subject, one.version) for one in published]


@pytest.fixture
def world() -> World:
    return World()


def test_versions_come_in_order_and_what_they_import_before_them(world: World) -> None:
    for text in (record("Geo", "a"), record("Geo", "a", "b")):
        world.source.add("geo", text)
    world.source.add("flights", record("Flight"), [Reference("Geo", "geo", 2)])
    world.source.add("flights", record("Flight", "a"), [Reference("Geo", "geo", 1)])
    world.source.add("weather", record("Weather"), [Reference("Flight", "flights", 1)])
    world.source.add("others", record("Other"))
    assert world.publish("weather", "flights") == [
        ("geo", 1),
        ("geo", 2),
        ("flights", 1),
        ("weather", 1),
        ("flights", 2),
    ]
    assert "others" not in world.target.versions
    for subject in ("geo", "flights", "weather"):
        copies, originals = world.target.versions[subject], world.source.versions[subject]
        assert [(one.text, one.references) for one in copies] == [(one.text, one.references) for one in originals]


def test_again_changes_nothing_and_after_a_failure_it_goes_on(world: World) -> None:
    for number in (1, 2, 3):
        world.source.add("s", record("S", *(f"f{n}" for n in range(number))))

    class FailsOnce(PlainRegistry):
        calls = 0

        def register(self, *arguments: object) -> object:
            self.calls += 1
            if self.calls == 3:
                raise RegistryUnavailableError("away")
            return super().register(*arguments)

    target = FailsOnce(world.target)
    with pytest.raises(RegistryUnavailableError):
        publish(PlainRegistry(world.source), target, ["s"])
    assert len(world.target.versions["s"]) == 2
    first = publish(PlainRegistry(world.source), target, ["s"])
    assert publish(PlainRegistry(world.source), target, ["s"]) == first
    assert [one.version for one in world.target.versions["s"]] == [1, 2, 3]


def test_references_name_the_versions_of_the_target(world: World) -> None:
    world.target.add("geo", record("Geo", "older"))
    world.target.add("geo", record("Geo", "a", "b"))
    world.source.add("geo", record("Geo", "a", "b"))
    world.source.add("geo", record("Geo", "a", "b", "c"))
    for number in (1, 2):
        world.source.add("s", record("S", *"xy"[:number]), [Reference("Geo", "geo", number)])
    assert world.publish("s") == [("geo", 2), ("s", 1), ("geo", 3), ("s", 2)]
    copies = PlainRegistry(world.target)
    assert [one.references for one in world.target.versions["s"]] == [
        (Reference("Geo", "geo", 2),),
        (Reference("Geo", "geo", 3),),
    ]
    for number in (1, 2):
        wanted = PlainRegistry(world.source).version("s", number)
        assert resolve_references(copies, copies.version("s", number)) == resolve_references(
            PlainRegistry(world.source), wanted
        )


def test_a_schema_that_comes_back_later_is_refused(world: World) -> None:
    """The target would take it for its version 1, and go on serving version 2 as the latest."""
    for text in (record("S", "a"), record("S", "a", "b"), record("S", "a")):
        world.source.add("s", text)
    with pytest.raises(
        ContractError, match=r"subject s version 3: .* has this one as version 1, before version 2, which must"
    ):
        world.publish("s")


def test_the_order_of_the_target_must_be_that_of_the_source(world: World) -> None:
    world.target.add("s", record("S", "b"))
    world.target.add("s", record("S", "a"))
    world.source.add("s", record("S", "a"))
    world.source.add("s", record("S", "b"))
    with pytest.raises(ContractError, match=r"subject s version 2: .* as version 1, before version 2"):
        world.publish("s")


def test_a_circle_is_refused_before_it_is_begun(world: World) -> None:
    world.source.add("a", record("A"), [Reference("B", "b", 1)])
    world.source.add("b", record("B"), [Reference("A", "a", 1)])
    circle = "a version 1, which needs b version 1, which needs a version 1; a version needs what it imports"
    with pytest.raises(ContractError, match=circle):
        world.publish("a")
    assert world.target.versions == {}


def test_what_is_not_released_is_named(world: World) -> None:
    world.source.add("a", record("A"), [Reference("B", "b", 1)])
    for subject in ("a", "nobody"):
        with pytest.raises(SchemaNotFoundError):
            world.publish(subject)


def test_a_folder_takes_no_schemas(world: World, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^DirectoryRegistry\(.*\) takes no schemas; name a registry over HTTP"):
        publish(PlainRegistry(world.source), DirectoryRegistry(tmp_path), [])


def test_a_refusal_names_the_version(world: World) -> None:
    world.source.add("s", record("S", "a"))
    world.source.add("s", record("S", "a", "b"))
    world.target.backward.add("s")
    with pytest.raises(IncompatibleSchemaError, match="subject s version 2: no default"):
        world.publish("s")
    world.source.add("t", "nonsense")
    with pytest.raises(SchemaParseError, match="subject t version 1: no schema"):
        world.publish("t")
