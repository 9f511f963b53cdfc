"""What factories are told, and how stages are fitted together."""

from __future__ import annotations

from types import ModuleType

import pytest

from prismlib.config.pipeline import load_pipeline
from prismlib.errors import ConfigError, PluginNotFoundError, StageContractError
from prismlib.plugin.manager import load_plugins
from prismlib.runtime.assemble import Assembled, administrations, assemble
from prismlib.runtime.given import GivenStages
from prismlib.runtime.resolve import resolve
from prismlib.testing.memory import MemoryBroker, MemoryLog, MemoryTransactionalSink
from tests.unit.cli.conftest import Site


def assembled(site: Site, worker: str = "1") -> Assembled:
    return assemble(load_pipeline(site.path), load_plugins(), worker=worker, registry=None)


def test_the_runner_is_told_what_the_file_says(site: Site) -> None:
    site.edit('start = "earliest"', 'start = 2025-03-01T06:00:00Z\non_drift = "stop"\nkey_fixes_partition = true')
    site.edit('type = "shelf"', 'type = "shelf"\ncommit_interval = "250ms"')
    settings = assembled(site, worker="w").settings
    assert (settings.pipeline, settings.worker, settings.start) == ("p", "w", 1_740_808_800_000)
    assert (settings.on_drift, settings.key_fixes_partition, settings.commit_interval) == ("stop", True, 0.25)
    assert settings.dead_letter_topic == "p.dead-letters"


def test_a_decoder_is_told_what_its_normalizer_reads_and_nothing_for_a_pass_through(
    site: Site, memory: ModuleType
) -> None:
    site.edit("[sink]", 'normalize = { type = "upper" }\n[[route]]\ntopic = "raw"\ndecode = { type = "plain" }\n[sink]')
    site.edit('type = "shelf"', 'type = "shelf"\nencode = { type = "compact" }')
    routes = assembled(site).routes
    told = [(context.topics, context.reads) for kind, context in memory.CONTEXTS if kind == "decoder"]
    assert told == [(("words",), frozenset({"word"})), (("raw",), frozenset())]
    assert routes["words"].normalizer is not None
    assert routes["raw"].normalizer is None
    assert routes["words"].encoder is routes["raw"].encoder
    (source,) = (context for kind, context in memory.CONTEXTS if kind == "source")
    assert (source.topics, source.role, source.base) == (("words", "raw"), "source", site.folder)


def test_a_pass_through_to_a_document_store_needs_no_encoder(site: Site) -> None:
    assert assembled(site).routes["words"].encoder is None


def test_events_for_a_document_store_are_plain_json_by_default(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRISM_PLUGINS", "tape,jsonschema")
    site.edit("[sink]", 'normalize = { type = "upper" }\n[sink]')
    encoder = assembled(site).routes["words"].encoder
    assert encoder is not None
    assert encoder.encode([{"word": "A"}]).values == [b'{"word":"A"}']


def test_dead_letters_stand_beside_a_sink_without_transactions_only(site: Site) -> None:
    dead_letters = assembled(site).dead_letters
    assert isinstance(dead_letters, MemoryLog)
    assert dead_letters.policy.stream == "p.dead-letters"
    site.edit('type = "shelf"', 'type = "tape"\ntopic = "out"')
    assert assembled(site).dead_letters is None


def test_a_sink_of_the_sources_type_inherits_what_it_does_not_say(site: Site) -> None:
    site.edit('type = "shelf"', 'type = "tape"\ntopic = "out"')
    resolved = resolve(load_pipeline(site.path), load_plugins())
    assert resolved.sink.settings.model_dump() == {"servers": "memory", "topic": "out"}
    site.edit('topic = "out"', 'topic = "out"\nservers = "others"')
    resolved = resolve(load_pipeline(site.path), load_plugins())
    assert resolved.sink.settings.model_dump() == {"servers": "others", "topic": "out"}


def test_a_transactional_sink_needs_a_source_in_a_group(site: Site) -> None:
    site.edit('type = "tape"\nservers = "memory"', 'type = "loner"')
    site.edit('type = "shelf"', 'type = "tape"\ntopic = "out"\nservers = "memory"')
    with pytest.raises(ConfigError, match="cannot take part in; choose another sink"):
        assembled(site)


def test_a_normalizer_must_say_what_it_reads(site: Site, memory: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    site.edit("[sink]", 'normalize = { type = "upper" }\n[sink]\nencode = { type = "compact" }')
    monkeypatch.setattr(memory.Upper, "reads", ["word"])
    with pytest.raises(StageContractError, match=r"'upper' of the plugin 'tape'.*must say in `reads`"):
        assembled(site)


def test_a_side_without_administration_is_left_out(site: Site) -> None:
    plugins = load_plugins()
    resolved = resolve(load_pipeline(site.path), plugins)
    assert set(administrations(resolved, plugins, registry=None)) == {"source"}


def test_all_routes_that_cannot_be_built_are_told(site: Site) -> None:
    decode = 'decode = { type = "plain", subject = "secret" }'
    site.edit('decode = { type = "plain" }', f'{decode}\n[[route]]\ntopic = "raw"\n{decode}')
    with pytest.raises(ConfigError) as caught:
        assembled(site)
    assert [line.split(": ")[1] for line in str(caught.value).splitlines()] == ["[[route]] words", "[[route]] raw"]


def test_a_source_that_keeps_no_dead_letters_needs_them_given(site: Site) -> None:
    site.edit('type = "tape"\nservers = "memory"', 'type = "loner"')
    pipeline, plugins = load_pipeline(site.path), load_plugins()
    with pytest.raises(
        PluginNotFoundError, match=r"keeps no dead letters, .* gives dead_letters to prismlib\.build_ru"
    ):
        assemble(pipeline, plugins, worker="1", registry=None)
    log = MemoryLog(MemoryBroker(), "p.dead-letters")
    given = GivenStages(dead_letters=log)
    assert assemble(pipeline, plugins, worker="1", registry=None, given=given).dead_letters is log


def test_a_sink_with_transactions_needs_a_source_in_a_group(site: Site) -> None:
    site.edit('type = "tape"\nservers = "memory"', 'type = "loner"')
    sink = MemoryTransactionalSink(MemoryBroker(), "out")
    with pytest.raises(
        ConfigError, match=r"p\.toml: the sink given commits .*, which the source of type 'loner' cannot"
    ):
        assemble(load_pipeline(site.path), load_plugins(), worker="1", registry=None, given=GivenStages(sink=sink))
