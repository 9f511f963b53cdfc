"""Conformance of normalizers. Needs pytest.

class TestMyNormalizer(NormalizerConformance):
    @pytest.fixture
    def harness(self) -> NormalizerHarness:
        return MyHarness()
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import pytest

from prismlib.errors import RecordError
from prismlib.records import Normalized, Row
from prismlib.stages.normalizer import FieldSet, Normalizer
from prismlib.testing.clauses import proves, require
from prismlib.testing.decoder_conformance import batch_of
from prismlib.testing.equality import same


class NormalizerHarness(Protocol):
    """What a plugin author supplies. One harness serves one test."""

    def make_normalizer(self) -> Normalizer:
        """A normalizer, ready to use."""
        ...

    def valid(self) -> Sequence[tuple[Row, dict[str, Any] | bytes]]:
        """Two or more different rows, each with the event expected. Rows hold more fields than are read, if they can."""
        ...

    def invalid(self) -> Sequence[Row]:
        """Rows that cannot be normalized; empty when there are none."""
        ...


class NormalizerConformance:
    """Every clause of :class:`prismlib.stages.Normalizer`."""

    @proves("NRM-01")
    def test_nrm_01_bodies_and_ids_are_aligned_with_the_rows(self, harness: NormalizerHarness) -> None:
        rows: list[Row | None] = [row for row, _ in harness.valid()]
        for given in (rows[:1], [*rows, None, *harness.invalid(), *rows]):
            answer = _normalize(harness.make_normalizer(), given)
            require(len(answer.bodies) == len(given), f"{len(given)} rows became {len(answer.bodies)} bodies")
            require(
                answer.ids is None or len(answer.ids) == len(given),
                f"{len(given)} rows have {len(answer.ids or ())} ids",
            )
            stray = [row for row in answer.errors if not 0 <= row < len(given)]
            require(not stray, f"errors name rows {stray} of {len(given)}")

    @proves("NRM-02")
    def test_nrm_02_a_bad_row_is_an_error_and_its_neighbours_are_events(self, harness: NormalizerHarness) -> None:
        if not harness.invalid():
            pytest.skip("the normalizer takes every row")
        pairs = harness.valid()
        for bad in harness.invalid():
            answer = _normalize(harness.make_normalizer(), [pairs[0][0], bad, pairs[1][0]])
            require(list(answer.errors) == [1], f"row 1 of 3 is bad, and errors name {list(answer.errors)}")
            require(isinstance(answer.errors[1], RecordError), f"the error is a {type(answer.errors[1]).__name__}")
            expected = [pairs[0][1], None, pairs[1][1]]
            require(same(list(answer.bodies), expected), f"expected {expected}, got {list(answer.bodies)}")

    @proves("NRM-03")
    def test_nrm_03_a_missing_row_stays_missing(self, harness: NormalizerHarness) -> None:
        pairs = harness.valid()
        answer = _normalize(harness.make_normalizer(), [None, pairs[0][0], None, pairs[1][0]])
        expected = [None, pairs[0][1], None, pairs[1][1]]
        require(not answer.errors, f"rows that are None were reported: {dict(answer.errors)}")
        require(same(list(answer.bodies), expected), f"expected {expected}, got {list(answer.bodies)}")

    @proves("NRM-04")
    def test_nrm_04_rows_are_not_changed_and_bodies_share_nothing(self, harness: NormalizerHarness) -> None:
        given: list[Row | None] = [*[row for row, _ in harness.valid()], None, *harness.invalid()]
        rows = [copy.deepcopy(row) for row in (*given, *given)]
        batch = batch_of([None if row is None else b"value" for row in rows])
        rows_before, batch_before = copy.deepcopy(rows), copy.deepcopy(batch)
        answer = harness.make_normalizer().normalize(batch, rows)
        require(rows == rows_before, f"the rows were {rows_before} and are {rows}")
        require(batch == batch_before, f"the batch was {batch_before} and is {batch}")
        places: dict[int, Any] = {}
        for body in answer.bodies:
            for one in _containers(body):
                require(id(one) not in places, f"two places in bodies hold the very same {one!r}")
                places[id(one)] = one

    @proves("NRM-05")
    def test_nrm_05_it_reads_only_what_it_says(self, harness: NormalizerHarness) -> None:
        normalizer = harness.make_normalizer()
        if "*" in normalizer.reads:
            pytest.skip("the normalizer reads everything")
        for row, expected in harness.valid():
            if isinstance(row, bytes):
                pytest.skip("the rows are the payload itself")
            answer = _normalize(normalizer, [project(row, normalizer.reads)])
            require(
                not answer.errors and same(list(answer.bodies), [expected]),
                f"with only {sorted(normalizer.reads)} in the row, {expected!r} became "
                f"{dict(answer.errors) or list(answer.bodies)}",
            )

    @proves("NRM-06")
    def test_nrm_06_the_same_rows_give_the_same_events(self, harness: NormalizerHarness) -> None:
        normalizer = harness.make_normalizer()
        rows: list[Row | None] = [*[row for row, _ in harness.valid()], *harness.invalid()]
        first = _comparable(_normalize(normalizer, rows))
        _normalize(normalizer, rows[::-1])
        for one in (normalizer, harness.make_normalizer()):
            again = _comparable(_normalize(one, rows))
            require(first == again, f"the first answer was {first}, a later one {again}")


def project(row: dict[str, Any], reads: FieldSet) -> dict[str, Any]:
    """The row with only the fields in ``reads``; arrays and maps are passed through silently."""
    projected = _project(row, [tuple(path.split(".")) for path in reads])
    return projected if isinstance(projected, dict) else {}


def _project(value: Any, paths: Sequence[tuple[str, ...]]) -> Any:
    if () in paths:
        return value
    if isinstance(value, list):
        return [_project(one, paths) for one in value]
    if not isinstance(value, dict):
        return value
    heads = {path[0] for path in paths}
    if value and heads.isdisjoint(value):
        # A map whose values are records: its keys are data, so the path goes on inside every value.
        inside = {key: _project(one, paths) for key, one in value.items() if isinstance(one, dict | list)}
        return inside if any(inside.values()) else {}
    return {
        key: _project(one, [path[1:] for path in paths if path[0] == key]) for key, one in value.items() if key in heads
    }


def _normalize(normalizer: Normalizer, rows: Sequence[Row | None]) -> Normalized:
    return normalizer.normalize(batch_of([None if row is None else b"value" for row in rows]), rows)


def _containers(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield value
        for one in value.values():
            yield from _containers(one)
    elif isinstance(value, list | set | bytearray):
        yield value
        if isinstance(value, list):
            for one in value:
                yield from _containers(one)


def _comparable(answer: Normalized) -> tuple[object, ...]:
    errors = {row: (type(error), error.reason, error.code, error.field) for row, error in answer.errors.items()}
    return copy.deepcopy(list(answer.bodies)), None if answer.ids is None else list(answer.ids), errors
