"""Changed files of a running worker: what is built again, what needs a restart, and what is told when a file is wrong."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from prismlib.config.pipeline import PipelineConfig, load_pipeline, pipeline_from
from prismlib.errors import PrismError, RegistryUnavailableError
from prismlib.mapping import PythonNormalizer
from prismlib.plugin.manager import load_plugins
from prismlib.records import Partition, RecordBatch
from prismlib.runtime import reload
from prismlib.runtime.assemble import assemble
from prismlib.runtime.given import NOTHING, GivenStages
from prismlib.runtime.inputs import Inputs
from prismlib.runtime.notices import Notice
from prismlib.runtime.reload import NewRoutes, Reloader
from prismlib.runtime.route import Destination, prepare
from tests.unit.cli.conftest import Site

PIPELINE = """
name = "p"
owner = "o"
contact = "c"
start = "earliest"
[source]
type = "tape"
servers = "memory"
[[route]]
topic = "words"
decode = { type = "plain" }
normalize = "m.toml"
[sink]
type = "shelf"
encode = { type = "compact" }
"""
MAPPING = '[event]\nword = "word"\nversion = { const = %d }\n'


class Shop:
    """A worker's reloader, looked through by hand."""

    def __init__(self, site: Site, given: GivenStages = NOTHING) -> None:
        self.site = site
        self.mapping = site.folder / "m.toml"
        self.given = given
        self.notices: list[Notice] = []

    def write(self, mapping: str, pipeline: str = PIPELINE) -> None:
        self.mapping.write_text(mapping)
        self.site.path.write_text(pipeline)

    def watch(self, config: PipelineConfig | None = None) -> Reloader:
        config = config or load_pipeline(self.site.path)
        made = assemble(config, load_plugins(), worker="1", registry=None, given=self.given, watch=True)
        assert made.reloader is not None
        made.reloader._tell = self.notices.append
        return made.reloader


@pytest.fixture
def shop(site: Site) -> Shop:
    made = Shop(site)
    made.write(MAPPING % 1)
    return made


def settled(reloader: Reloader) -> NewRoutes | None:
    """What two looks bring, since a change counts when it holds still."""
    reloader.look()
    reloader.look()
    return reloader.take()


def event(routes: NewRoutes | None, topic: str = "words") -> Any:
    """What the routes make of one record."""
    assert routes is not None
    batch = RecordBatch(
        partition=Partition(topic, 0),
        offsets=[0],
        keys=[b"k"],
        values=[b'{"word": "a"}'],
        headers=[None],
        timestamps_ms=[1],
    )
    prepared = prepare(routes.routes[topic], batch, Destination("out", versioned=False, key_fixes_partition=False), 0)
    assert not prepared.letters
    body = prepared.documents.bodies[0]
    assert body is not None
    return json.loads(body)


def test_nothing_is_built_while_nothing_changes(shop: Shop, memory: ModuleType) -> None:
    reloader = shop.watch()
    before = len(memory.CONTEXTS)
    os.utime(shop.mapping)
    assert [settled(reloader) for _ in range(3)] == [None, None, None]
    assert len(memory.CONTEXTS) == before


def test_a_changed_mapping_makes_new_routes_once(shop: Shop) -> None:
    reloader = shop.watch()
    shop.write(MAPPING % 2)
    new = settled(reloader)
    assert event(new) == {"word": "a", "version": 2}
    assert new is not None
    assert new.changed == (str(shop.mapping),)
    assert settled(reloader) is None


def test_a_file_that_is_still_being_written_is_left_alone(shop: Shop) -> None:
    reloader = shop.watch()
    for cut in range(5, len(MAPPING), 7):
        shop.mapping.write_text((MAPPING % 2)[:cut])
        reloader.look()
        assert reloader.take() is None
    shop.write(MAPPING % 2)
    assert event(settled(reloader))["version"] == 2
    assert shop.notices == []


def test_a_file_that_is_replaced_by_another_is_a_change(shop: Shop) -> None:
    reloader = shop.watch()
    temporary = shop.site.folder / "m.toml~"
    temporary.write_text(MAPPING % 2)
    temporary.replace(shop.mapping)
    assert event(settled(reloader))["version"] == 2


def test_a_link_that_is_turned_to_another_folder_is_a_change(shop: Shop) -> None:
    """As Kubernetes does with a ConfigMap."""
    for n in (1, 2):
        (shop.site.folder / f"data{n}").mkdir()
        (shop.site.folder / f"data{n}" / "m.toml").write_text(MAPPING % n)
    link = shop.site.folder / "..data"
    link.symlink_to("data1")
    shop.mapping.unlink()
    shop.mapping.symlink_to(Path("..data") / "m.toml")
    reloader = shop.watch()
    (shop.site.folder / "..new").symlink_to("data2")
    (shop.site.folder / "..new").replace(link)
    assert event(settled(reloader))["version"] == 2


def test_a_change_between_reading_and_looking_is_not_missed(shop: Shop) -> None:
    config = load_pipeline(shop.site.path)
    shop.site.path.write_text(PIPELINE.replace('start = "earliest"', 'start = "earliest"\non_drift = "stop"'))
    reloader = shop.watch(config)
    shop.write(MAPPING % 2, shop.site.path.read_text())
    new = settled(reloader)
    assert new is not None
    assert (new.on_drift, event(new)["version"]) == ("stop", 2)


def test_a_wrong_file_keeps_the_old_routes_and_is_told_once_until_it_is_right(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    reloader = shop.watch()
    shop.write('[event]\nword = { from = "word", cst = "int" }\n')
    assert [settled(reloader) for _ in range(3)] == [None, None, None]
    (line,) = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert line.message == "changed files cannot be used, the worker goes on with what it read before"
    assert "m.toml: event.word: unknown key 'cst'" in line.__dict__["reason"]
    (notice,) = shop.notices
    assert (notice.kind, notice.subject) == ("reload-failed", str(shop.site.path))
    assert line.__dict__["reason"] in notice.what
    assert notice.command == f"prism check {shop.site.path}"
    shop.write(MAPPING % 3)
    assert event(settled(reloader))["version"] == 3
    assert [n.kind for n in shop.notices] == ["reload-failed"]


def test_a_file_that_is_back_as_it_was_is_right_again(shop: Shop) -> None:
    reloader = shop.watch()
    shop.write("[event")
    assert settled(reloader) is None
    shop.write(MAPPING % 1)
    assert event(settled(reloader))["version"] == 1
    assert [n.kind for n in shop.notices] == ["reload-failed"]


def test_a_deleted_mapping_keeps_the_old_route_until_it_is_back(shop: Shop) -> None:
    reloader = shop.watch()
    shop.mapping.unlink()
    assert settled(reloader) is None
    assert f"m.toml: no such file in {shop.site.folder}" in shop.notices[0].what
    shop.write(MAPPING % 2)
    assert event(settled(reloader))["version"] == 2


def test_a_deleted_pipeline_file_keeps_the_old_routes_until_it_is_back(shop: Shop) -> None:
    reloader = shop.watch()
    shop.site.path.unlink()
    assert settled(reloader) is None
    assert f"{shop.site.path}: no such file" in shop.notices[0].what
    shop.write(MAPPING % 2)
    assert event(settled(reloader))["version"] == 2


def test_several_changes_are_taken_as_a_whole_or_not_at_all(shop: Shop) -> None:
    """The file names a mapping that is not there yet, and the other change waits for it."""
    reloader = shop.watch()
    other = PIPELINE.replace("m.toml", "n.toml").replace('start = "earliest"', 'start = "earliest"\non_drift = "stop"')
    shop.write(MAPPING % 2, other)
    assert settled(reloader) is None
    (shop.site.folder / "n.toml").write_text("[event]\nword = ")
    assert settled(reloader) is None
    (shop.site.folder / "n.toml").write_text(MAPPING % 7)
    new = settled(reloader)
    assert new is not None
    assert (new.on_drift, event(new)["version"]) == ("stop", 7)
    shop.mapping.write_text(MAPPING % 8)
    assert settled(reloader) is None, "nobody uses this file any more"


RESTARTS = [
    ('name = "p"', 'name = "q"', "name"),
    ('start = "earliest"', 'start = "latest"', "start"),
    ('start = "earliest"', 'start = "earliest"\nkey_fixes_partition = true', "key_fixes_partition"),
    ('servers = "memory"', 'servers = "signal"', "[source] servers"),
    ('servers = "memory"', 'servers = "memory"\nbatch = 3', "[source] batch"),
    ('type = "shelf"', 'type = "tape"\nservers = "memory"\ntopic = "out"', "[sink] servers, [sink] topic, [sink] type"),
    ('type = "shelf"', 'type = "shelf"\ncommit_interval = "7s"', "[sink] commit_interval"),
    ("[sink]", '[dead_letters]\ntopic = "bad"\n[sink]', "[dead_letters]"),
    ("[sink]", '[[route]]\ntopic = "more"\ndecode = { type = "plain" }\n[sink]', "the topics of [[route]]"),
]


@pytest.mark.parametrize(("old", "new", "key"), RESTARTS, ids=[f"{key} {i}" for i, (_, _, key) in enumerate(RESTARTS)])
def test_what_only_a_restart_can_change_is_named_and_nothing_of_the_change_is_taken(
    shop: Shop, caplog: pytest.LogCaptureFixture, old: str, new: str, key: str
) -> None:
    reloader = shop.watch()
    assert PIPELINE.count(old) == 1
    shop.write(MAPPING % 2, PIPELINE.replace(old, new))
    assert [settled(reloader) for _ in range(2)] == [None, None]
    (line,) = caplog.records
    assert line.message == "a change needs a restart, the worker goes on with everything as it was"
    assert line.__dict__["reason"] == f"{shop.site.path}: only a restart can change {key}"
    assert shop.notices == []
    shop.write(MAPPING % 2)
    assert event(settled(reloader))["version"] == 2


def test_a_renewed_secret_does_not_keep_a_mapping_from_being_mended(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shop.site.folder / "secret").write_text("memory")
    with_secret = PIPELINE.replace('servers = "memory"', 'servers = { file = "secret" }')
    shop.write(MAPPING % 1, with_secret.replace('type = "tape"', 'type = "tape"\nbatch = 10'))
    monkeypatch.setenv("PRISM_SOURCE_SERVERS", "memory")  # what the stage itself is given must be plain text
    reloader = shop.watch()
    (shop.site.folder / "secret").write_text("renewed")
    shop.mapping.write_text(MAPPING % 2)
    assert event(settled(reloader))["version"] == 2


def test_owner_and_contact_and_encoder_may_change(shop: Shop) -> None:
    reloader = shop.watch()
    changed = PIPELINE.replace('owner = "o"', 'owner = "new"').replace('contact = "c"', 'contact = "new"')
    shop.write(MAPPING % 1, changed)
    new = settled(reloader)
    assert new is not None
    assert new.changed == (str(shop.site.path),)
    shop.write(MAPPING % 1, changed.replace('type = "compact"', 'type = "compact", unheard = 1'))
    assert settled(reloader) is None
    assert "unheard" in shop.notices[0].what


def test_who_asks_gets_new_routes_although_nothing_changed_and_without_waiting(shop: Shop) -> None:
    reloader = shop.watch()
    reloader.look(asked=True)
    new = reloader.take()
    assert event(new)["version"] == 1
    assert new is not None
    assert new.changed == ()
    shop.write("[event")
    for _ in range(2):
        reloader.look(asked=True)
    assert [n.kind for n in shop.notices] == ["reload-failed"] * 2, "who asks is answered every time"


FUNCTION = '[event]\nword = { python = "%s:%s", reads = ["word"] }\nversion = { const = 1 }\n'


def test_a_changed_python_module_needs_a_restart_and_says_so(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    module = shop.site.folder / "site_functions.py"
    module.write_text("def one(row):\n    return 1\n")
    shop.write(FUNCTION % ("site_functions", "one"))
    reloader = shop.watch()
    module.write_text("def one(row):\n    return 1\n\ndef two(row):\n    return 2\n")
    shop.mapping.write_text(FUNCTION % ("site_functions", "two"))
    assert settled(reloader) is None
    (line,) = caplog.records
    assert line.__dict__["reason"] == f"{shop.site.path}: only a restart can change {module}"
    module.write_text("def one(row):\n    return 1\n")
    shop.mapping.write_text(FUNCTION % ("site_functions", "one") + "more = { const = 2 }\n")
    assert event(settled(reloader)) == {"word": 1, "version": 1, "more": 2}


def test_a_python_module_that_could_not_be_imported_is_tried_again_when_it_changes(shop: Shop) -> None:
    reloader = shop.watch()
    shop.write(FUNCTION % ("site_young", "one"))
    assert settled(reloader) is None
    assert "there is no Python module 'site_young'" in shop.notices[0].what
    module = shop.site.folder / "site_young.py"
    module.write_text("def one(row:\n")
    assert settled(reloader) is None
    assert "importing 'site_young' failed" in shop.notices[1].what
    module.write_text("def one(row):\n    return 1\n")
    assert event(settled(reloader))["word"] == 1
    module.write_text("def one(row):\n    return 2\n")
    assert settled(reloader) is None, "it is imported now"
    assert len(shop.notices) == 2


def test_what_code_gives_stays_and_its_mappings_are_looked_at_without_a_file(site: Site) -> None:
    function = PythonNormalizer(lambda row: {"word": row["word"] * 2}, ["word"])
    shop = Shop(site, GivenStages(normalizers={"more": function}))
    shop.write(MAPPING % 1)
    tables = {
        "name": "p",
        "owner": "o",
        "contact": "c",
        "start": "earliest",
        "source": {"type": "tape", "servers": "memory"},
        "route": [
            {"topic": "words", "decode": {"type": "plain"}, "normalize": "m.toml"},
            {"topic": "more", "decode": {"type": "plain"}},
        ],
        "sink": {"type": "shelf", "encode": {"type": "compact"}},
    }
    reloader = shop.watch(pipeline_from(tables, shop.site.folder / "made-in-code.toml"))
    shop.mapping.write_text(MAPPING % 2)
    new = settled(reloader)
    assert event(new)["version"] == 2
    assert event(new, "more") == {"word": "aa"}
    assert new is not None
    assert new.routes["more"].normalizer is function


def test_what_fails_for_another_reason_than_a_file_is_tried_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry is away, or has a schema later than the mapping that reads it."""
    clock = [1_000.0]
    monkeypatch.setattr(reload.time, "monotonic", lambda: clock[0])
    reloader = shop.watch()
    build = reloader._factory.build
    away = True

    def asks(config: PipelineConfig, inputs: Inputs) -> Any:
        routes = build(config, inputs)
        if away:
            raise RegistryUnavailableError("the registry is away")
        return routes

    monkeypatch.setattr(reloader._factory, "build", asks)
    shop.write(MAPPING % 2)
    assert settled(reloader) is None
    clock[0] += 60.0
    assert settled(reloader) is None
    assert [n.kind for n in shop.notices] == ["reload-failed"]
    away = False
    assert settled(reloader) is None, "it waits"
    clock[0] += 60.0
    assert event(settled(reloader))["version"] == 2
    clock[0] += 1_000.0
    assert settled(reloader) is None


def test_an_error_of_our_own_is_told_and_the_next_change_is_noticed(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reloader = shop.watch()
    build = reloader._factory.build
    monkeypatch.setattr(reloader._factory, "build", lambda *_: 1 // 0)
    shop.write(MAPPING % 2)
    assert settled(reloader) is None
    assert "internal error, please report it: ZeroDivisionError" in shop.notices[0].what
    assert caplog.records[0].exc_info
    monkeypatch.setattr(reloader._factory, "build", build)
    shop.write(MAPPING % 3)
    assert event(settled(reloader))["version"] == 3


def test_a_runner_that_does_not_watch_says_so_when_it_is_asked(shop: Shop) -> None:
    runner = assemble(load_pipeline(shop.site.path), load_plugins(), worker="1", registry=None).runner()
    with pytest.raises(PrismError, match="does not watch its files; build it with watch=True"):
        runner.reload()


def test_the_thread_ends_with_the_worker_and_may_be_asked_from_anywhere(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reload, "LOOK_SECONDS", 600.0)
    reloader = shop.watch()
    taken: Callable[[], NewRoutes | None] = reloader.take
    reloader.start(shop.notices.append)
    thread = reloader._thread
    assert thread is not None
    for _ in range(3):
        reloader.ask()
    for _ in range(200):
        if (new := taken()) is not None:
            break
        thread.join(0.05)
    assert event(new)["version"] == 1
    reloader.close()
    reloader.close()
    assert not thread.is_alive()
