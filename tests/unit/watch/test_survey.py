"""What is asked of stores, and that one that does not answer hides nothing that another knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from prismlib.config.pipeline import PipelineConfig, pipeline_from
from prismlib.errors import ConfigError, FatalError, PrismError, RetryableError, UnreachableError
from prismlib.plugin.hookspecs import Retention
from prismlib.records import LedgerNote, LedgerRow, Partition
from prismlib.stages import Committed, Horizon
from prismlib.watch.status import Letters
from prismlib.watch.survey import survey

P = Partition("in", 0)
ROW = LedgerRow(P, 7)
NOTE = LedgerNote("paused", 1, "w", "why", P, first=7)


class Stores:
    """Group, ledger and reader in one; what it is told to raises when it is asked."""

    atomic = False

    def __init__(self, dead: int = 0, **raises: PrismError) -> None:
        self.dead = dead
        self.raises = raises
        self.closed = 0

    def _answer(self, name: str, answer: Any) -> Any:
        if name in self.raises:
            raise self.raises[name]
        return answer

    def open(self) -> None:
        self._answer("open", None)

    def close(self) -> None:
        self.closed += 1

    def members(self) -> Any:
        return self._answer("members", ["worker 1"])

    def partitions(self, streams: Any) -> Any:
        streams = [streams] if isinstance(streams, str) else streams
        return [Partition(name, 0) for name in streams if self._answer(f"partitions of {name}", name) != "gone"]

    def committed(self, partitions: Any) -> Any:
        return {p: Committed(5) for p in partitions}

    def horizons(self, partitions: Any) -> Any:
        return {p: Horizon(2, 2 + self.dead if p.stream == "dead" else 9, "") for p in partitions}

    def timestamps(self, offsets: Any) -> Any:
        return dict.fromkeys(offsets, 1_000)

    def load_ledger(self, partitions: Any) -> Any:
        return self._answer("load_ledger", {P: ROW})

    def load_notes(self) -> Any:
        return self._answer("load_notes", [NOTE])

    def retention(self, streams: Any) -> Any:
        return self._answer("retention", dict.fromkeys(streams, Retention(1)))

    def offsets_retention_ms(self) -> Any:
        return self._answer("offsets_retention_ms", 60_000)

    def read(self, starts: Any) -> Any:
        return self._answer("read", iter(()))


def config(dead: str = "dead") -> PipelineConfig:
    return pipeline_from(
        {
            "name": "shop",
            "owner": "o",
            "contact": "c",
            "start": "earliest",
            "source": {"type": "tape"},
            "route": [{"topic": "in", "decode": {"type": "plain"}}],
            "sink": {"type": "shelf"},
            "dead_letters": {"topic": dead},
        },
        Path("shop.toml"),
    )


def ask(stores: Any, dead: str = "dead", ledger: Any = None, reader: Any = None) -> Any:
    return survey(config(dead), stores, ledger or stores, lambda: reader or stores)


def test_everything_is_asked_for() -> None:
    stores = Stores()
    facts = ask(stores)
    assert (facts.pipeline, facts.notes, facts.members, facts.ledger, facts.unknown) == (
        "shop",
        [NOTE],
        ["worker 1"],
        True,
        [],
    )
    assert [(one.partition, one.row, one.committed) for one in facts.standings] == [(P, ROW, 5)]
    assert (facts.retention, facts.offsets_retention_ms) == ({"in": Retention(1)}, 60_000)
    assert facts.letters == Letters("dead", 0, 0)
    assert stores.closed == 0, "no dead letters, so nothing reads them"


@pytest.mark.parametrize(
    ("raises", "unknown"),
    [
        (
            {"open": UnreachableError("it is away")},
            "the ledger does not answer, so this is what the broker alone knows: it",
        ),
        ({"load_notes": RetryableError("it is away")}, "the ledger does not answer, so this is what the broker alone"),
    ],
)
def test_a_ledger_that_is_away_hides_no_broker(raises: dict[str, PrismError], unknown: str) -> None:
    facts = ask(Stores(), ledger=Stores(**raises))
    assert (facts.ledger, facts.notes, facts.standings[0].row, facts.standings[0].committed) == (False, (), None, 5)
    assert facts.unknown[0].startswith(unknown)


def test_what_may_not_be_asked_is_said() -> None:
    no = FatalError("it does not say")
    facts = ask(Stores(retention=no, offsets_retention_ms=no, **{"partitions of dead": no}))
    assert (facts.retention, facts.offsets_retention_ms, facts.letters) == ({}, "unknown", Letters("dead", None, -1))
    assert facts.unknown == [
        "when records are deleted is not known: it does not say",
        "when offsets are forgotten is not known: it does not say",
        "dead letters cannot be counted: it does not say",
    ]


def test_dead_letters_that_cannot_be_read_have_a_size() -> None:
    reader = Stores(read=RetryableError("a transaction is open"))
    facts = ask(Stores(dead=3), reader=reader)
    assert facts.letters == Letters("dead", None, 3)
    assert facts.unknown == ["dead letters cannot be counted: a transaction is open"]
    assert reader.closed == 1
    facts = ask(Stores(), dead="gone")
    assert facts.letters == Letters("gone", None, -1)
    assert "the dead letter topic gone does not exist; create it with `prism setup" in facts.unknown[0]


@pytest.mark.parametrize(
    ("stores", "ledger"),
    [
        (Stores(members=RetryableError("away")), None),
        (Stores(retention=RetryableError("away")), None),
        (Stores(), Stores(open=ConfigError("there is no ledger"))),
        (Stores(), Stores(load_ledger=FatalError("damaged"))),
    ],
)
def test_the_rest_is_an_error(stores: Any, ledger: Any) -> None:
    with pytest.raises(PrismError, match=r"away|no ledger|damaged"):
        ask(stores, ledger=ledger)
