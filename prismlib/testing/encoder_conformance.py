"""Conformance of encoders. Needs pytest.

class TestMyEncoder(EncoderConformance):
    @pytest.fixture
    def harness(self) -> EncoderHarness:
        return MyHarness()
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Protocol

import pytest

from prismlib.errors import RecordError
from prismlib.stages.encoder import Encoder
from prismlib.testing.clauses import proves, require
from prismlib.testing.equality import same


class EncoderHarness(Protocol):
    """What a plugin author supplies. One harness serves one test."""

    def make_encoder(self) -> Encoder:
        """An encoder, ready to use."""
        ...

    def valid(self) -> Sequence[dict[str, Any]]:
        """Two or more different bodies that fit, with every field of the schema."""
        ...

    def invalid(self) -> Sequence[dict[str, Any]]:
        """Bodies that do not fit; empty when every body does."""
        ...

    def read_back(self, value: bytes) -> object:
        """The row that the decoder of the same name makes of an encoded value."""
        ...


class EncoderConformance:
    """Every clause of :class:`prismlib.stages.Encoder`."""

    @proves("ENC-01")
    def test_enc_01_values_are_aligned_with_the_bodies(self, harness: EncoderHarness) -> None:
        bodies = list(harness.valid())
        for given in (bodies[:1], [*bodies, None, *harness.invalid(), *bodies]):
            answer = harness.make_encoder().encode(given)
            require(len(answer.values) == len(given), f"{len(given)} bodies became {len(answer.values)} values")
            stray = [place for place in answer.errors if not 0 <= place < len(given)]
            require(not stray, f"errors name positions {stray} of {len(given)}")

    @proves("ENC-02")
    def test_enc_02_a_body_that_does_not_fit_is_an_error_and_its_neighbours_are_encoded(
        self, harness: EncoderHarness
    ) -> None:
        if not harness.invalid():
            pytest.skip("every body fits")
        bodies = harness.valid()
        alone = [harness.make_encoder().encode([body]).values[0] for body in bodies[:2]]
        for bad in harness.invalid():
            answer = harness.make_encoder().encode([bodies[0], bad, bodies[1]])
            require(list(answer.errors) == [1], f"body 1 of 3 does not fit, and errors name {list(answer.errors)}")
            require(isinstance(answer.errors[1], RecordError), f"the error is a {type(answer.errors[1]).__name__}")
            expected = [alone[0], None, alone[1]]
            require(list(answer.values) == expected, f"expected {expected}, got {list(answer.values)}")

    @proves("ENC-03")
    def test_enc_03_none_stays_none(self, harness: EncoderHarness) -> None:
        answer = harness.make_encoder().encode([None, harness.valid()[0], None])
        require(not answer.errors, f"bodies that are None were reported: {dict(answer.errors)}")
        missing = [value is None for value in answer.values]
        require(missing == [True, False, True], f"of None, a body and None, the values were {list(answer.values)}")

    @proves("ENC-04")
    def test_enc_04_the_decoder_reads_back_what_was_encoded(self, harness: EncoderHarness) -> None:
        bodies = harness.valid()
        for body, value in zip(bodies, harness.make_encoder().encode(bodies).values, strict=True):
            row = None if value is None else harness.read_back(value)
            require(same(row, body), f"encoded was {body}, read back {row}")

    @proves("ENC-05")
    def test_enc_05_bodies_are_not_changed(self, harness: EncoderHarness) -> None:
        bodies = [*harness.valid(), None, *harness.invalid()]
        before = copy.deepcopy(bodies)
        harness.make_encoder().encode(bodies)
        require(bodies == before, f"the bodies were {before} and are {bodies}")
