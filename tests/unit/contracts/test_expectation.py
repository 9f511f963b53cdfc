"""Which version shapes a route's rows, and what the report of a drift says."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from prismlib.contracts.drift import MOST_LISTED, Break, Place, SchemaDrift, SchemaName, difference_command, report
from prismlib.contracts.expectation import VERSIONS_TRIED, choose_reader
from prismlib.contracts.format import Change
from prismlib.contracts.registry import RegisteredSchema
from prismlib.errors import RegistryUnavailableError, SchemaNotFoundError, SchemaParseError, UnknownFieldError


class Versions:
    """A subject whose version N has the id 100 + N; ``parsed`` notes what was looked at."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.parsed: list[int] = []
        self.down = False

    def version(self, subject: str, version: int) -> RegisteredSchema:
        if self.down:
            raise RegistryUnavailableError("the registry is down")
        if not 1 <= version <= self.count:
            raise SchemaNotFoundError(f"no version {version}")
        return RegisteredSchema(100 + version, subject, version, "avro", "")

    def latest(self, subject: str) -> RegisteredSchema:
        return self.version(subject, self.count)

    def versions(self, subject: str) -> list[int]:
        return list(range(1, self.count + 1))

    def lacking(self, *numbers: int, error: type[Exception] = UnknownFieldError) -> Callable[[RegisteredSchema], str]:
        def fits(registered: RegisteredSchema) -> str:
            self.parsed.append(registered.version)
            if registered.version in numbers:
                raise error(f"version {registered.version} lacks it")
            return f"made of {registered.version}"

        return fits


READS = frozenset({"a"})
THREE = SchemaName(7, "s", 3)


@pytest.mark.parametrize(
    ("lacking", "version", "baseline", "chosen"),
    [
        ((), None, (), 5),
        ((), 2, (104,), 2),
        ((), None, (102,), 2),
        ((), None, (101, 103), 3),
        ((3,), None, (101, 103), 1),
        ((3,), None, (103,), 5),
        ((5, 4), None, (), 3),
        ((5,), None, (999,), 4),
        ((), None, (105, 101), 5),
    ],
)
def test_the_named_one_the_one_that_was_read_or_the_newest_that_has_it_all(
    lacking: tuple[int, ...], version: int | None, baseline: tuple[int, ...], chosen: int
) -> None:
    subject = Versions(5)
    found, made = choose_reader(
        subject,  # type: ignore[arg-type]  # what is asked of it
        "s",
        subject.lacking(*lacking),
        version=version,
        baseline=baseline,
        reads=READS,
    )
    assert (found.version, made) == (chosen, f"made of {chosen}")


@pytest.mark.parametrize("error", [UnknownFieldError, SchemaParseError, SchemaNotFoundError])
def test_the_error_is_that_of_the_latest_and_history_is_not_searched_without_end(error: type[Exception]) -> None:
    subject = Versions(500)
    with pytest.raises(error, match="version 500 lacks it"):
        choose_reader(subject, "s", subject.lacking(*range(501), error=error), reads=READS)  # type: ignore[arg-type]  # as above
    assert len(subject.parsed) == VERSIONS_TRIED


def test_what_reads_nothing_takes_the_latest_or_fails() -> None:
    subject = Versions(3)
    with pytest.raises(UnknownFieldError, match="version 3"):
        choose_reader(subject, "s", subject.lacking(3), baseline=(101,))  # type: ignore[arg-type]  # as above
    assert subject.parsed == [3]


def test_a_registry_that_is_away_is_no_missing_field() -> None:
    subject = Versions(3)
    subject.down = True
    with pytest.raises(RegistryUnavailableError):
        choose_reader(subject, "s", subject.lacking(), reads=READS)  # type: ignore[arg-type]  # as above


def drift(breaks: int = 1, changes: int = 1, writer: SchemaName = THREE) -> SchemaDrift:
    return SchemaDrift(
        writer,
        SchemaName(6, "s", 2),
        SchemaName(5, "s", 1),
        [Break("AVR001 type-changed", f"a.b{n}", "it is written otherwise", "Do not.") for n in range(breaks)],
        [Change("changed", f"/fields/{n}", "x" * 500, "int") for n in range(changes)],
    )


def test_a_report_names_each_change_with_its_rule_and_the_keys_that_read_it() -> None:
    place = Place(
        "orders",
        3,
        1041,
        "2026-11-26 01:02:03 UTC",
        {"a": ["m.toml: event.x"], "a.b0.c": ["m.toml: event.y"], "z": ["no"]},
    )
    lines = report(drift(), place).splitlines()
    assert (
        lines[0]
        == "topic orders, partition 3: the record at offset 1041 of 2026-11-26 01:02:03 UTC waits, and all after it"
    )
    assert lines[1:4] == [
        "  written with  s version 3 (schema id 7)",
        "  last read     s version 2 (schema id 6)",
        "  read as       s version 1 (schema id 5)",
    ]
    at = lines.index("  AVR001 type-changed: a.b0")
    assert lines[at + 1 : at + 4] == [
        "      it is written otherwise",
        "      read by m.toml: event.x",
        "      read by m.toml: event.y",
    ]
    assert any("prism schema diff s 2 3" in line for line in lines)
    assert any("version = 3" in line for line in lines)
    assert lines[-1].endswith("Do not.")


def test_a_report_stays_on_one_screen_whatever_has_changed() -> None:
    text = report(drift(breaks=200, changes=200), Place("orders", 0, 1, "", {"*": [f"k{n}" for n in range(2)]}))
    assert text.count(f"and {200 - MOST_LISTED} more") == 2
    assert len(text.splitlines()) < 80
    assert max(map(len, text.splitlines())) < 160


def test_what_to_run_is_what_there_is() -> None:
    assert difference_command(drift()) == "prism schema diff s 2 3"
    assert difference_command(drift(writer=SchemaName(9, "t", 1))) == "prism schema show t 1"
    assert difference_command(drift(writer=SchemaName(9, "", 0))) == "prism check PIPELINE.toml"
    assert str(SchemaName(9, "", 0)) == "schema id 9"
