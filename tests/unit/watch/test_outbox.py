"""What is told, when, and what a service that fails makes of it. Real deliveries to servers on loopback."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from prismlib.config.model import Secret
from prismlib.runtime.notices import Notice
from prismlib.watch import line as line_module
from prismlib.watch.address import Address
from prismlib.watch.line import WAITING, Line
from prismlib.watch.message import LONGEST, Message, Writer, span
from prismlib.watch.outbox import Outbox
from tests.http_server import HttpServer, Reply, Seen
from tests.smtp_server import SmtpServer

WRITER = Writer("shop", Path("pipelines/my shop.toml"), "2", "host-a")
PAUSED = Notice(
    "paused", "orders", "schema id 7 is not known.", "The records of topic orders wait.", "prism check PIPELINE.toml"
)
RESUMED = Notice("resumed", "orders", "The schema can be read again.", "", "")
REFUSED = Notice(
    "refused", "topic orders", "records 3 to 9 are gone.", "They are lost.", "prism offsets show PIPELINE.toml"
)


class Inbox:
    """A web hook that fails as long as it is told to."""

    def __init__(self) -> None:
        self.failing = False
        self.came: list[dict[str, str]] = []

    def reply(self, seen: Seen) -> Reply:
        if self.failing:
            return Reply(503)
        self.came.append(seen.json())
        return Reply(200)

    @property
    def titles(self) -> list[str]:
        return [message["title"] for message in self.came]


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def address(inbox: Inbox) -> Iterator[Address]:
    with HttpServer(inbox.reply) as server:
        yield Address("[alerts] to[0]", "json", Secret(f"json://localhost:{server.port}/hush"))


@contextmanager
def outbox(*addresses: Address, **times: float) -> Iterator[Outbox]:
    box = Outbox([Line(address, lambda _: None) for address in addresses], WRITER, **times)
    try:
        yield box
    finally:
        box.close(0.0)


def until(true: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_text_says_what_happened_what_is_at_stake_and_what_to_run() -> None:
    message = WRITER.notice(REFUSED, 1_764_119_917.0)
    assert message.title == "Prism: shop refuses to go on: topic orders"
    assert message.body == (
        "What happened: records 3 to 9 are gone.\n"
        "At stake: They are lost.\n"
        "Run next: prism offsets show 'pipelines/my shop.toml'\n"
        "Pipeline shop, worker 2 on host-a, since 2025-11-26T01:18:37Z."
    )
    assert message.severity == "failure"


def test_a_text_that_no_service_would_take_is_cut() -> None:
    long = Notice("stopped", "a\nb", "x" * 100_000, "", "")
    message = WRITER.notice(long, 0.0)
    assert len(message.body) < LONGEST + 200
    assert "the worker's log has all of it" in message.body
    assert "\n" not in message.title


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (7260, "2 h 1 min"), (90000, "1 d 1 h")]
)
def test_spans(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_telling_does_not_wait_and_the_end_does() -> None:
    """A mail server that takes its time for each of the eight things that its client says."""
    with SmtpServer(pause=0.6) as server:
        slow = Address(
            "[alerts] to[0]",
            "mailto",
            Secret(f"mailto://127.0.0.1:{server.port}?from=a@b.org&to=c@b.org&mode=insecure"),
        )
        box = Outbox([Line(slow, lambda _: None)], WRITER)
        box.tell(REFUSED)
        assert not server.mails
        assert box.close(15.0) == 0
        assert len(server.mails) == 1


def test_the_end_is_bounded_and_says_what_was_not_delivered(caplog: pytest.LogCaptureFixture) -> None:
    with SmtpServer(pause=30.0) as server:
        hangs = Address(
            "[alerts] to[0]",
            "mailto",
            Secret(f"mailto://127.0.0.1:{server.port}?from=a@b.org&to=c@b.org&mode=insecure"),
        )
        box = Outbox([Line(hangs, lambda _: None)], WRITER)
        box.tell(REFUSED)
        began = time.monotonic()
        assert box.close(1.0) == 1
        assert time.monotonic() - began < 15.0
    (record,) = [r for r in caplog.records if "given up" in r.message]
    assert (record.alert, record.reason) == ("Prism: shop refuses to go on: topic orders", "the process ends")  # type: ignore[attr-defined]


def test_the_end_tries_again_what_waits_for_its_next_attempt(
    inbox: Inbox, address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_module, "FIRST_WAIT", 600.0)
    monkeypatch.setattr(line_module, "LONGEST_WAIT", 600.0)
    inbox.failing = True
    box = Outbox([seen := Line(address, lambda _: None)], WRITER)
    box.tell(REFUSED)
    until(lambda: seen._failing)
    inbox.failing = False
    assert box.close(10.0) == 0
    assert len(inbox.came) == 1


def test_the_end_does_not_wait_for_a_test_message_that_has_failed(inbox: Inbox, address: Address) -> None:
    inbox.failing = True
    line = Line(address, lambda _: None)
    line.put(WRITER.test(), optional=True)
    until(lambda: line._failing)
    began = time.monotonic()
    assert line.close(began + 60.0) == 0
    assert time.monotonic() - began < 30.0


def test_a_service_that_is_away_gets_everything_later_in_order(
    inbox: Inbox, address: Address, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_module, "FIRST_WAIT", 0.2)
    monkeypatch.setattr(line_module, "LONGEST_WAIT", 0.2)
    caplog.set_level(logging.INFO, "prismlib.watch")
    inbox.failing = True
    with outbox(address) as box:
        box.tell(PAUSED)
        box.tell(RESUMED)
        box.tell(REFUSED)
        time.sleep(2.5)
        assert inbox.came == []
        inbox.failing = False
        assert box.close(20.0) == 0
    assert [title.split(": ", 1)[1] for title in inbox.titles] == [
        "shop paused: orders",
        "shop resumed: orders",
        "shop refuses to go on: topic orders",
    ]
    logged = [record.message for record in caplog.records]
    assert logged == ["an alert was not delivered, and will be tried again", "alerts are delivered again"]
    assert "hush" not in caplog.text


def test_one_address_of_three_that_fails_does_not_hold_the_others_back(inbox: Inbox, address: Address) -> None:
    away = Address("[alerts] to[1]", "json", Secret("json://127.0.0.1:1"))
    other = Address("[alerts] to[2]", "json", address.secret)
    box = Outbox([Line(one, lambda _: None) for one in (address, away, other)], WRITER)
    box.tell(REFUSED)
    until(lambda: len(inbox.came) == 2)
    assert box.close(0.5) == 1


def test_a_pause_is_told_once_then_with_how_long_it_lasts_and_then_its_end(inbox: Inbox, address: Address) -> None:
    with outbox(address, repeat=4.0) as box:
        for number in range(50):
            box.tell(Notice("paused", "orders", f"probe {number}.", PAUSED.stake, PAUSED.command))
        until(lambda: len(inbox.came) == 2)
        box.tell(RESUMED)
        box.tell(RESUMED)
        until(lambda: len(inbox.came) == 3)
        time.sleep(4.5)
    assert len(inbox.came) == 3, "it is over"
    first, again, end = inbox.came
    assert (first["title"], first["message"].splitlines()[0]) == (
        "Prism: shop paused: orders",
        "What happened: probe 0.",
    )
    assert re.fullmatch(r"Prism: shop paused: orders, for [4-7] s now", again["title"])
    assert re.match(r"What happened: probe 49\.\nIt has lasted for [4-7] s, and is told again", again["message"])
    assert end["title"] == "Prism: shop resumed: orders"
    assert re.search(r"It was paused for [4-7] s\.", end["message"])
    assert "Run next" not in end["message"]


def test_a_pause_that_comes_and_goes_is_told_again_only_after_a_while_or_when_it_stays(
    inbox: Inbox, address: Address
) -> None:
    with outbox(address, calm=8.0) as box:
        began = time.monotonic()
        for _ in range(20):
            box.tell(PAUSED)
            box.tell(RESUMED)
        box.tell(PAUSED)  # and stays
        until(lambda: len(inbox.came) == 2)
        assert [message["type"] for message in inbox.came] == ["warning", "success"]
        until(lambda: len(inbox.came) == 3)
        assert time.monotonic() - began > 8.0
        assert inbox.titles[2] == "Prism: shop paused: orders"


def test_two_topics_are_two_stories(inbox: Inbox, address: Address) -> None:
    with outbox(address) as box:
        box.tell(PAUSED)
        box.tell(Notice("paused", "payments", "x.", "y.", ""))
        until(lambda: len(inbox.came) == 2)
    assert inbox.titles == ["Prism: shop paused: orders", "Prism: shop paused: payments"]


def test_the_same_wrong_file_is_told_once_and_another_mistake_again(inbox: Inbox, address: Address) -> None:
    with outbox(address) as box:
        for what in ("line 1", "line 1", "line 2", "line 1"):
            box.tell(Notice("reload-failed", "p.toml", what, "", ""))
        until(lambda: len(inbox.came) == 2)
        assert box.close(5.0) == 0
    assert len(inbox.came) == 2


def test_what_waits_is_bounded_and_a_repetition_takes_the_place_of_the_first(caplog: pytest.LogCaptureFixture) -> None:
    away = Line(Address("[alerts] to[0]", "json", Secret("json://127.0.0.1:1")), lambda _: None)
    for number in range(WAITING + 5):
        away.put(Message(str(number), "", "info"))
        away.put(Message("pause", str(number), "info"), "orders")
    assert len(away._waiting) == WAITING
    assert sum(waiting.message.title == "pause" for waiting in away._waiting) <= 1
    assert sum("given up" in record.message for record in caplog.records) >= 5
    away.close(0.0)


def test_an_address_that_fails_for_a_day_is_given_up_on(
    inbox: Inbox, address: Address, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(line_module, "TOO_OLD", 0.0)
    monkeypatch.setattr(line_module, "FIRST_WAIT", 0.1)
    inbox.failing = True
    with outbox(address) as box:
        box.tell(REFUSED)
        until(lambda: "given up" in caplog.text)
        inbox.failing = False
        box.tell(PAUSED)
        until(lambda: len(inbox.came) == 1)
    assert inbox.titles == ["Prism: shop paused: orders"]


def test_many_threads_tell_one_story_once(inbox: Inbox, address: Address) -> None:
    with outbox(address) as box:
        threads = [threading.Thread(target=box.tell, args=(PAUSED,)) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert box.close(10.0) == 0
    assert len(inbox.came) == 1


def test_without_addresses_nothing_runs() -> None:
    before: Sequence[threading.Thread] = threading.enumerate()
    with outbox() as box:
        box.tell(PAUSED)
        assert list(threading.enumerate()) == list(before)
