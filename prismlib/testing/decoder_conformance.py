"""Conformance of decoders. Needs pytest.

class TestMyDecoder(DecoderConformance):
    @pytest.fixture
    def harness(self) -> DecoderHarness:
        return MyHarness()
"""

from __future__ import annotations

import copy
import random
import tracemalloc
from collections.abc import Sequence
from functools import partial
from typing import Protocol

import pytest

from prismlib.errors import RecordError, SchemaDriftError
from prismlib.records import Decoded, Partition, RecordBatch, Row
from prismlib.stages.decoder import Decoder
from prismlib.testing.clauses import proves, require
from prismlib.testing.equality import same
from prismlib.testing.source_conformance import within

MOST_MEMORY = 64 << 20
"""Bytes that decoding a few hundred small values may take."""

_MEETINGS = 20
_BALLAST = 1 << 20


class DecoderHarness(Protocol):
    """What a plugin author supplies. One harness serves one test.

    Attributes:
        patience: seconds after which a decoder is taken to hang; generous.
    """

    patience: float

    def make_decoder(self) -> Decoder:
        """A decoder that reads every field."""
        ...

    def valid(self) -> Sequence[tuple[bytes, Row]]:
        """Two or more different values that can be decoded, each with the row expected."""
        ...

    def corrupt(self) -> Sequence[bytes]:
        """One or more values that cannot be decoded and are no schema drift."""
        ...

    def drifting(self) -> bytes | None:
        """A value that the route's reader schema cannot read, or None where the format knows no drift."""
        ...


class DecoderConformance:
    """Every clause of :class:`prismlib.stages.Decoder`."""

    @proves("DEC-01")
    def test_dec_01_rows_are_aligned_with_the_batch(self, harness: DecoderHarness) -> None:
        values: list[bytes | None] = [value for value, _ in harness.valid()]
        for batch in (batch_of(values[:1]), batch_of([*values, None, *harness.corrupt(), *values])):
            decoded = harness.make_decoder().decode(batch)
            require(decoded.stop is None, f"values without drift were stopped at: {decoded.stop}")
            require(len(decoded.rows) == len(batch), f"a batch of {len(batch)} records became {len(decoded.rows)} rows")
            stray = [row for row in decoded.errors if not 0 <= row < len(batch)]
            require(not stray, f"errors name rows {stray} of a batch of {len(batch)} records")

    @proves("DEC-02")
    def test_dec_02_a_corrupt_value_is_an_error_and_its_neighbours_are_rows(self, harness: DecoderHarness) -> None:
        pairs = harness.valid()
        for corrupt in harness.corrupt():
            values = [pairs[0][0], corrupt, pairs[1][0]]
            decoded = harness.make_decoder().decode(batch_of(values))
            require(list(decoded.errors) == [1], f"row 1 of 3 is corrupt, and errors name {list(decoded.errors)}")
            require(isinstance(decoded.errors[1], RecordError), f"the error is a {type(decoded.errors[1]).__name__}")
            expected = [pairs[0][1], None, pairs[1][1]]
            require(same(list(decoded.rows), expected), f"expected the rows {expected}, got {list(decoded.rows)}")

    @proves("DEC-03")
    def test_dec_03_a_tombstone_is_no_error(self, harness: DecoderHarness) -> None:
        pairs = harness.valid()
        decoded = harness.make_decoder().decode(batch_of([pairs[0][0], None, pairs[1][0], None]))
        expected = [pairs[0][1], None, pairs[1][1], None]
        require(not decoded.errors, f"tombstones were reported: {dict(decoded.errors)}")
        require(same(list(decoded.rows), expected), f"expected the rows {expected}, got {list(decoded.rows)}")

    @proves("DEC-04")
    def test_dec_04_every_byte_string_is_a_row_or_an_error(self, harness: DecoderHarness) -> None:
        decoder = harness.make_decoder()
        for values in _hostile([value for value, _ in harness.valid()]):
            rest = values
            while rest:
                decoded = self._decode_in_bounds(harness, decoder, rest)
                end = len(rest) if decoded.stop is None else decoded.stop[0]
                for row in range(end):
                    require(
                        (decoded.rows[row] is None) == (row in decoded.errors),
                        f"the value {rest[row]!r} is a row and an error, or neither",
                    )
                # Noise may look like another schema; what follows has to be looked at all the same.
                rest = rest[end + 1 :]
        self._meet_drift_again_and_again(harness, decoder)

    def _meet_drift_again_and_again(self, harness: DecoderHarness, decoder: Decoder) -> None:
        """As a route does that waits for a schema. An error that is kept and raised anew holds on to every batch."""
        drifting = harness.drifting()
        if drifting is None:
            return
        tracemalloc.start()
        try:
            for _ in range(_MEETINGS):
                decoder.decode(batch_of([drifting, bytes(_BALLAST)]))
            left = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
        require(left < _MEETINGS * _BALLAST // 2, f"of {_MEETINGS} batches that drift stopped, {left} bytes are left")

    def _decode_in_bounds(self, harness: DecoderHarness, decoder: Decoder, values: Sequence[bytes]) -> Decoded:
        tracemalloc.start()
        try:
            decoded = within(harness.patience, partial(decoder.decode, batch_of(values)), f"decode of {values[:3]}")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        require(peak < MOST_MEMORY, f"{len(values)} small values took {peak} bytes of memory")
        return decoded

    @proves("DEC-05")
    def test_dec_05_the_batch_is_not_changed(self, harness: DecoderHarness) -> None:
        batch = batch_of([*[value for value, _ in harness.valid()], None, *harness.corrupt()])
        before = copy.deepcopy(batch)
        harness.make_decoder().decode(batch)
        require(batch == before, f"the batch was {before} and is {batch}")

    @proves("DEC-06")
    def test_dec_06_bytes_after_the_record_are_an_error(self, harness: DecoderHarness) -> None:
        for value, row in harness.valid():
            if isinstance(row, bytes):
                pytest.skip("the rows are the payload itself, which has no end to find")
            decoded = harness.make_decoder().decode(batch_of([value, value + b"\x00"]))
            require(list(decoded.errors) == [1], f"a zero byte after {value!r} was ignored: {decoded.rows[-1]!r}")

    @proves("DEC-07")
    def test_dec_07_drift_stops_after_the_rows_before_it(self, harness: DecoderHarness) -> None:
        drifting = harness.drifting()
        if drifting is None:
            pytest.skip("the format knows no drift")
        pairs = harness.valid()
        decoded = harness.make_decoder().decode(batch_of([pairs[0][0], None, drifting, pairs[1][0]]))
        require(
            decoded.stop is not None and decoded.stop[0] == 2 and isinstance(decoded.stop[1], SchemaDriftError),
            f"row 2 cannot be read, and stop is {decoded.stop}",
        )
        expected = [pairs[0][1], None]
        require(
            same(list(decoded.rows), expected), f"expected the rows before it, {expected}, got {list(decoded.rows)}"
        )
        require(not decoded.errors, f"drift is no error of a record: {dict(decoded.errors)}")

    @proves("DEC-08")
    def test_dec_08_the_same_batch_gives_the_same_answer(self, harness: DecoderHarness) -> None:
        decoder = harness.make_decoder()
        batch = batch_of([*[value for value, _ in harness.valid()], *harness.corrupt(), None])
        first = _comparable(decoder.decode(batch))
        decoder.decode(batch_of([*harness.corrupt(), *[value for value, _ in harness.valid()][::-1]]))
        for _ in range(2):
            again = _comparable(decoder.decode(batch))
            require(first == again, f"the first answer was {first}, a later one {again}")


def batch_of(values: Sequence[bytes | None]) -> RecordBatch:
    """A batch of one partition with these values."""
    return RecordBatch(
        Partition("conformance", 0),
        list(range(100, 100 + len(values))),
        [1_700_000_000_000] * len(values),
        [b"%d" % number for number in range(len(values))],
        list(values),
        [None] * len(values),
    )


def _hostile(valid: Sequence[bytes]) -> list[list[bytes]]:
    """Truncations, changed bytes and noise, the same in every run."""
    dice = random.Random(20_240_229)  # noqa: S311 - repeatable, not secret
    sample = [value[:200] for value in valid[:5]]
    cut = [value[:length] for value in sample for length in range(len(value))]
    changed: list[bytes] = []
    for value in sample:
        for _ in range(100 if value else 0):
            spoiled = bytearray(value)
            spoiled[dice.randrange(len(spoiled))] = dice.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF, dice.randrange(256)))
            changed.append(bytes(spoiled))
    noise = [dice.randbytes(dice.randrange(40)) for _ in range(200)]
    nested = [b"[" * 5_000, b'{"a":' * 5_000, b"\x0b" * 5_000, b"\xff" * 11]
    return [
        cut[:400],
        changed,
        noise,
        *[[one] for one in nested],
        *[[value[:6] + one] for value in sample for one in nested],
    ]


def _comparable(decoded: Decoded) -> tuple[object, ...]:
    errors = {row: (type(error), error.reason, error.code, error.field) for row, error in decoded.errors.items()}
    stop = None if decoded.stop is None else (decoded.stop[0], str(decoded.stop[1]))
    return list(decoded.rows), errors, stop
