"""What a runner tells when it ends, and that telling never makes anything worse."""

from __future__ import annotations

import pytest

from prismlib.errors import (
    ConfigError,
    DataLossError,
    FencedError,
    PrismError,
    SchemaDriftError,
    TooManyRejectedError,
    UnreachableError,
)
from prismlib.runtime.notices import Notice, careful, listed, notice_of_end
from prismlib.runtime.runner import Runner
from prismlib.testing.memory import MemoryLog, MemorySink, MemorySource
from tests.unit.runtime.test_runner import DEAD, World


def runner(world: World, told: list[Notice], **changes: object) -> Runner:
    source = MemorySource(world.broker, "p", ["in"], "1")
    return Runner(
        world.settings(**changes),
        source,
        world.routes(),
        MemorySink(world.store),
        MemoryLog(world.broker, DEAD),
        tell=told.append,
    )


def test_a_refusal_is_told_with_what_is_lost_and_what_to_run() -> None:
    world = World(partitions=1)
    world.publish(10)
    world.writing().run()
    world.publish(20)
    world.broker.delete_before("in", 0, 20)
    told: list[Notice] = []
    with pytest.raises(DataLossError) as raised:
        runner(world, told).run()
    (notice,) = told
    assert (notice.kind, notice.subject, notice.what) == ("refused", "topic in", str(raised.value))
    assert "the broker deletes the oldest of them" in notice.stake
    assert notice.command == "prism offsets show PIPELINE.toml"


def test_dead_letters_above_the_limit_are_told_with_the_command_that_shows_them() -> None:
    world = World()
    world.publish(300, "bad%d")
    told: list[Notice] = []
    with pytest.raises(TooManyRejectedError):
        runner(world, told, stop_above_of_last=100).run()
    (notice,) = told
    assert (notice.kind, notice.command) == ("stopped", "prism dead-letters list PIPELINE.toml")
    assert "dead_letters.stop_above" in notice.what


def test_an_end_that_was_asked_for_is_not_told() -> None:
    told: list[Notice] = []
    runner(World(), told).run()
    assert told == []


def test_an_interruption_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Notice] = []
    one = runner(World(), told)
    monkeypatch.setattr(MemorySource, "poll", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        one.run()
    assert told == []


def test_a_runner_in_the_background_tells_as_well() -> None:
    world = World()
    world.publish(300, "bad%d")
    told: list[Notice] = []
    with pytest.raises(TooManyRejectedError), runner(world, told, stop_above_of_last=100).in_background() as one:
        while one.state == "running":
            pass
        assert [notice.kind for notice in told] == ["stopped"]


def test_telling_that_fails_hides_neither_the_error_nor_itself(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.publish(300, "bad%d")

    def fails(_: Notice) -> None:
        raise ZeroDivisionError("a bug")

    source = MemorySource(world.broker, "p", ["in"], "1")
    one = Runner(
        world.settings(stop_above_of_last=100),
        source,
        world.routes(),
        MemorySink(),
        MemoryLog(world.broker, DEAD),
        tell=fails,
    )
    with pytest.raises(TooManyRejectedError):
        one.run()
    assert "a notice was not taken over" in caplog.text


@pytest.mark.parametrize(
    ("error", "kind", "command"),
    [
        (DataLossError("lost."), "refused", "prism offsets show PIPELINE.toml"),
        (FencedError("fenced."), "stopped", "prism check PIPELINE.toml"),
        (ConfigError("wrong."), "stopped", "prism check PIPELINE.toml"),
        (SchemaDriftError("drift."), "stopped", "prism check PIPELINE.toml"),
        (UnreachableError("away."), "stopped", "prism run PIPELINE.toml"),
        (PrismError("other."), "stopped", "prism run PIPELINE.toml"),
    ],
)
def test_each_end_has_a_next_step(error: Exception, kind: str, command: str) -> None:
    notice = notice_of_end(error, ["b", "a"])
    assert (notice.kind, notice.subject, notice.what, notice.command) == (kind, "topics a, b", str(error), command)
    assert "topics a, b" in notice.stake


def test_the_text_of_a_bug_may_hold_values_and_is_not_told() -> None:
    notice = notice_of_end(KeyError("4111-1111-1111-1111"), [])
    assert notice.what == "internal error KeyError; the log says where"
    assert "4111" not in str(notice)


def test_many_topics_are_counted() -> None:
    assert listed([f"t{number}" for number in range(9)]) == "topics t0, t1, t2 and 6 more"
    assert listed([]) == "its topics"


def test_nobody_to_tell_is_no_error() -> None:
    careful(None)(Notice("stopped", "a", "b", "c", "d"))
