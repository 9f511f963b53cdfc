"""Runners for code that embeds a pipeline: stages of its own, in threads of its own."""

from __future__ import annotations

import json
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import prismlib
from prismlib.testing.memory import MemoryBroker, MemoryLog, MemorySink, MemorySource, MemoryTransactionalSink
from tests.http_server import HttpServer, Reply

TABLES: dict[str, Any] = {
    "name": "p",
    "owner": "o",
    "contact": "c",
    "start": "earliest",
    "route": [{"topic": "orders", "decode": {"type": "json", "wire": "bare"}}],
}


def order(row: dict[str, Any]) -> dict[str, Any]:
    return {"id": row["id"], "cents": round(row["total"] * 100)}


def normalizer() -> prismlib.PythonNormalizer:
    return prismlib.PythonNormalizer(order, reads=["id", "total"])


class Shop:
    """A broker with a topic of orders, and what a runner needs to read it."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self.broker.create_topic("orders")
        self.broker.create_topic("p.dead-letters")
        self.sink = MemorySink()

    def sell(self, *totals: float | str) -> None:
        for number, total in enumerate(totals):
            self.broker.append("orders", None, json.dumps({"id": f"o{number}", "total": total}).encode())

    def stages(self, **changes: Any) -> dict[str, Any]:
        given: dict[str, Any] = {
            "source": MemorySource(self.broker, "p", ["orders"], "1"),
            "sink": self.sink,
            "dead_letters": MemoryLog(self.broker, "p.dead-letters"),
            "normalizers": {"orders": normalizer()},
        }
        return {name: stage for name, stage in (given | changes).items() if stage is not None}

    def runner(self, tables: dict[str, Any] = TABLES, **changes: Any) -> prismlib.Runner:
        return prismlib.build_runner(prismlib.pipeline_from(tables), **self.stages(**changes))

    def bodies(self) -> list[bytes]:
        return [body for _, body in self.sink.store.documents.values()]


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def wait_until(question: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not question():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_pipeline_of_nothing_but_code_runs(shop: Shop) -> None:
    shop.sell(1.5, "much", 2)
    runner = shop.runner(until_idle=0.2)
    assert runner.state == "built"
    runner.run()
    assert runner.state == "stopped"
    assert runner.error is None
    assert shop.bodies() == [b'{"id":"o0","cents":150}', b'{"id":"o2","cents":200}']
    (letter,) = shop.broker.records("p.dead-letters")
    assert letter.value == b'{"id": "o1", "total": "much"}'
    assert (runner.counters.read, runner.counters.delivered, runner.counters.dead_letters) == (3, 2, 1)


def test_a_runner_that_watches_goes_on_with_a_changed_mapping_and_with_what_code_gave(
    shop: Shop, tmp_path: Path
) -> None:
    pipeline, mapping = tmp_path / "p.toml", tmp_path / "m.toml"
    route = '[[route]]\ntopic = "orders"\ndecode = { type = "json", wire = "bare" }\nnormalize = "m.toml"\n'
    pipeline.write_text(f'name = "p"\nowner = "o"\ncontact = "c"\nstart = "earliest"\n{route}')
    mapping.write_text('[event]\nid = "id"\n')
    stages = shop.stages(normalizers=None)
    runner = prismlib.build_runner(prismlib.load_pipeline(pipeline), watch=True, **stages)
    with runner.in_background():
        shop.sell(1)
        wait_until(lambda: len(shop.bodies()) == 1)
        mapping.write_text('[event]\nid = "id"\ntotal = "total"\n')
        wait_until(lambda: runner.counters.reloads == 1)
        shop.sell(2)
        wait_until(lambda: len(shop.bodies()) == 2)
        runner.reload()
        wait_until(lambda: runner.counters.reloads == 2)
    assert shop.bodies() == [b'{"id":"o0"}', b'{"id":"o0","total":2}']


def test_a_runner_runs_once(shop: Shop) -> None:
    runner = shop.runner(until_idle=0.1)
    runner.run()
    for again in (runner.run, runner.in_background().__enter__):
        with pytest.raises(prismlib.PrismError, match="this runner of p has run already; build another one"):
            again()
    assert runner.state == "stopped"


def test_tables_that_code_replaces_are_not_looked_at(shop: Shop) -> None:
    shop.sell(1)
    route = {"topic": "orders", "decode": {"type": "json", "wire": "bare"}, "normalize": "nowhere.toml"}
    elsewhere = {"type": "no-such", "url": "x", "encode": {"type": "no-such"}, "commit_interval": "10ms"}
    tables = {**TABLES, "source": {"type": "no-such"}, "route": [route], "sink": elsewhere}

    class Upper:
        def encode(self, bodies: Sequence[Any]) -> prismlib.Encoded:
            return prismlib.Encoded([None if body is None else json.dumps(body).upper().encode() for body in bodies])

    shop.runner(tables, encoder=Upper(), until_idle=0.2).run()
    assert shop.bodies() == [b'{"ID": "O0", "CENTS": 100}']


def test_what_the_sink_table_says_to_the_core_goes_on_applying(shop: Shop) -> None:
    tables = {**TABLES, "sink": {"encode": {"type": "json", "wire": "bear"}}}
    with pytest.raises(prismlib.ConfigError, match=r"<pipeline>: \[sink\]: encode: 'wire': must be"):
        shop.runner(tables)


def test_a_decoder_of_ones_own_needs_no_table(shop: Shop) -> None:
    class Reverse:
        def decode(self, batch: prismlib.RecordBatch) -> prismlib.Decoded:
            return prismlib.Decoded([{"id": value[::-1].decode(), "total": 1} for value in batch.values if value])

    shop.broker.append("orders", None, b"abc")
    tables = {**TABLES, "route": [{"topic": "orders"}]}
    shop.runner(tables, decoders={"orders": Reverse()}, until_idle=0.2).run()
    assert shop.bodies() == [b'{"id":"cba","cents":100}']


@pytest.mark.parametrize(
    ("tables", "changes", "says"),
    [
        ({}, {"source": None}, r"<pipeline>: the table \[source\] is missing; add it, or .* prismlib.build_runner"),
        ({}, {"sink": None}, r"<pipeline>: the table \[sink\] with its key 'type' is missing; add it, or"),
        (
            {"route": [{"topic": "orders"}]},
            {},
            r"<pipeline>: \[\[route\]\] orders: the key 'decode' is missing; add it",
        ),
        ({"sink": {"url": "x"}}, {}, "'sink': the key 'type' is missing; it names the stage that 'url' is a key of"),
        ({}, {"dead_letters": None}, "the sink given has no transactions, .* give dead_letters too"),
        ({}, {"normalizers": {"orders": order}}, r"given for 'orders' is a function; write PythonNormalizer\(function"),
        ({}, {"normalizers": {"oders": normalizer()}}, "given for 'oders': <pipeline> has no route for .* 'orders'"),
        ({}, {"worker": "../1"}, "worker '../1': letters"),
        ({}, {"accept_recreated": ["x"]}, "accept_recreated: <pipeline> has no route for the topic 'x'"),
    ],
)
def test_what_is_missing_or_wrong_is_one_sentence(
    shop: Shop, tables: dict[str, Any], changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(prismlib.ConfigError, match=says):
        shop.runner(TABLES | tables, **changes)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sink": object()}, "<pipeline>: the sink given has no method open, write, flush, close"),
        ({"dead_letters": object()}, "the dead letters given has no method open"),
        ({"normalizers": {"orders": object()}}, "the normalizer given for 'orders' has no method normalize"),
    ],
)
def test_a_stage_without_its_methods_is_refused(shop: Shop, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(prismlib.StageContractError, match=says):
        shop.runner(**changes)


def test_a_sink_without_a_policy_and_a_normalizer_without_reads_are_refused(shop: Shop) -> None:
    class Hole:
        open = write = flush = close = normalize = print

    with pytest.raises(prismlib.StageContractError, match="the sink given has no `policy` of type WritePolicy"):
        shop.runner(sink=Hole())
    with pytest.raises(prismlib.StageContractError, match="must say in `reads` which fields it reads"):
        shop.runner(normalizers={"orders": Hole()})


def test_a_transactional_sink_takes_dead_letters_itself(shop: Shop) -> None:
    shop.broker.create_topic("out")
    sink = MemoryTransactionalSink(shop.broker, "out")
    with pytest.raises(
        prismlib.ConfigError, match="takes dead letters in its own transactions; leave dead_letters out"
    ):
        shop.runner(sink=sink)
    shop.sell(1, "much")
    shop.runner(sink=sink, dead_letters=None, until_idle=0.2).run()
    assert [record.value for record in shop.broker.records("out")] == [b'{"id":"o0","cents":100}']
    assert len(shop.broker.records("p.dead-letters")) == 1


def test_secrets_of_tables_are_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_SECRET", "s3cret")
    pipeline = prismlib.pipeline_from({**TABLES, "sink": {"type": "x", "token": {"env": "SHOP_SECRET"}}})
    token = pipeline.sink.settings["token"]
    assert isinstance(token, prismlib.Secret)
    assert token.reveal() == "s3cret"
    monkeypatch.delenv("SHOP_SECRET")
    with pytest.raises(prismlib.ConfigError, match=r"<pipeline>: sink\.token: the environment variable SHOP_SECRET"):
        prismlib.pipeline_from({**TABLES, "sink": {"type": "x", "token": {"env": "SHOP_SECRET"}}})


def test_a_file_is_loaded_by_the_text_of_its_path(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text('name = "p"\nowner = "o"\ncontact = "c"\nstart = "latest"\n[[route]]\ntopic = "t"\n')
    assert prismlib.load_pipeline(str(path)).topics == ("t",)


# --- in a thread -------------------------------------------------------------------------------------------------------


def test_in_the_background_it_works_until_the_block_ends_and_commits(shop: Shop) -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    root = logging.getLogger().handlers[:], logging.getLogger("prismlib").handlers[:]
    runner = shop.runner()
    with runner.in_background() as entered:
        assert entered is runner
        assert runner.state == "running"
        shop.sell(1, 2)
        wait_until(lambda: len(shop.bodies()) == 2)
    assert runner.state == "stopped"
    assert shop.broker.committed("p") == {prismlib.Partition("orders", 0): 2}
    assert handlers == [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    assert root == (logging.getLogger().handlers, logging.getLogger("prismlib").handlers)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("prism-")]


def test_stopping_shows_until_what_is_open_is_done(shop: Shop) -> None:
    entered, go_on = threading.Event(), threading.Event()

    class Slow(MemorySink):
        def write(self, documents: prismlib.Documents) -> prismlib.WriteResult:
            entered.set()
            assert go_on.wait(30)
            return super().write(documents)

    shop.sink = Slow(shop.sink.store)
    shop.sell(1)
    runner = shop.runner()
    with runner.in_background():
        assert entered.wait(30)
        runner.stop()
        assert runner.state == "stopping"
        go_on.set()
    assert runner.state == "stopped"
    assert len(shop.bodies()) == 1


class Broken(MemorySink):
    def write(self, documents: prismlib.Documents) -> prismlib.WriteResult:
        raise prismlib.FatalError("the disk is gone")


def test_a_failure_in_the_background_is_loud(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    shop.sell(1)
    runner = shop.runner(sink=Broken())
    with pytest.raises(prismlib.FatalError, match="the disk is gone"), runner.in_background():
        wait_until(lambda: runner.state == "failed")
        assert str(runner.error) == "the disk is gone"
        wait_until(lambda: any(record.levelname == "CRITICAL" for record in caplog.records))
        (record,) = [record for record in caplog.records if record.levelname == "CRITICAL"]
        assert record.exc_info is not None
        assert record.exc_info[1] is runner.error
        assert vars(record)["pipeline"] == "p"
    assert runner.state == "failed"


def test_a_failure_is_raised_although_the_block_failed_too(shop: Shop) -> None:
    shop.sell(1)
    runner = shop.runner(sink=Broken())
    with pytest.raises(prismlib.FatalError, match="the disk is gone") as caught, runner.in_background():
        wait_until(lambda: runner.state == "failed")
        raise KeyError("the service's own")
    assert isinstance(caught.value.__context__, KeyError)


def test_an_error_of_the_block_comes_out_when_the_runner_is_sound(shop: Shop) -> None:
    runner = shop.runner()
    with pytest.raises(KeyError), runner.in_background():
        raise KeyError("the service's own")
    assert runner.state == "stopped"


def test_two_runners_share_a_process(shop: Shop) -> None:
    other = Shop()
    shop.sell(1)
    other.sell(2, 3)
    with shop.runner().in_background(), other.runner().in_background():
        wait_until(lambda: len(shop.bodies()) == 1 and len(other.bodies()) == 2)
    assert other.bodies() == [b'{"id":"o0","cents":200}', b'{"id":"o1","cents":300}']


@pytest.fixture
def alerted(tmp_path: Path) -> Iterator[tuple[prismlib.PipelineConfig, HttpServer]]:
    with HttpServer(lambda _: Reply(200)) as server:
        (tmp_path / "prism.toml").write_text(f'[alerts]\nto = ["json://localhost:{server.port}/hush"]\n')
        yield prismlib.pipeline_from(TABLES, tmp_path / "p.toml"), server


def work(pipeline: prismlib.PipelineConfig, stages: dict[str, Any]) -> None:
    with prismlib.open_alerts(pipeline) as tell:
        prismlib.build_runner(pipeline, **stages, tell=tell).run()


def test_addresses_are_told_of_a_runner_that_fails(
    shop: Shop, alerted: tuple[prismlib.PipelineConfig, HttpServer], caplog: pytest.LogCaptureFixture
) -> None:
    pipeline, server = alerted
    shop.sell(*["none"] * 2000)
    with pytest.raises(prismlib.TooManyRejectedError):
        work(pipeline, shop.stages())
    assert [seen.json()["title"] for seen in server.seen] == [
        "Prism: p can reach you here",
        "Prism: p stopped: topic orders",
    ]
    assert "Run next: prism dead-letters list PIPELINE.toml" in server.seen[1].json()["message"]
    assert "hush" not in caplog.text


def test_addresses_that_nobody_uses_are_a_warning(
    shop: Shop, alerted: tuple[prismlib.PipelineConfig, HttpServer], caplog: pytest.LogCaptureFixture
) -> None:
    pipeline, server = alerted
    prismlib.build_runner(pipeline, **shop.stages(), until_idle=0.2).run()
    assert "nobody will be told: build_runner was given no tell" in caplog.text
    assert server.seen == []
