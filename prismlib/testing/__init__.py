"""For tests of plugins and of whatever drives them.

    class TestMySink(SinkConformance):
        @pytest.fixture
        def harness(self) -> SinkHarness:
            return MyHarness()

- ``SourceConformance``, ``DecoderConformance``, ``NormalizerConformance``, ``EncoderConformance``, ``SinkConformance``,
  ``TransactionalConformance``, ``LedgerConformance``, ``ClaimConformance``, ``ReaderConformance``, ``RegistryConformance``,
  ``WritableRegistryConformance``: suites that a plugin's tests inherit. Each asks for one fixture, ``harness``, whose
  protocol has the same name: ``SinkHarness`` says what it must be able to do
- ``build_stage``: a stage by its name, with the checks and errors that a user of the plugin gets
- ``batch_of``, ``documents``: input for tests of one's own
- :mod:`prismlib.testing.memory`: a broker, a source, a reader and sinks in memory
- :mod:`prismlib.testing.faults`: sources and sinks that fail on a seeded plan
- :mod:`prismlib.testing.clauses`: the numbered clauses of the interfaces

Only the suites need pytest; importing this package, the memory parts or the faults does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prismlib import lazy

if TYPE_CHECKING:
    from prismlib.testing.building import build_stage
    from prismlib.testing.claim_conformance import ClaimConformance
    from prismlib.testing.decoder_conformance import DecoderConformance, DecoderHarness, batch_of
    from prismlib.testing.encoder_conformance import EncoderConformance, EncoderHarness
    from prismlib.testing.normalizer_conformance import NormalizerConformance, NormalizerHarness
    from prismlib.testing.reader_conformance import ReaderConformance, ReaderHarness
    from prismlib.testing.registry_conformance import (
        RegistryConformance,
        RegistryHarness,
        WritableRegistryConformance,
        WritableRegistryHarness,
    )
    from prismlib.testing.sink_conformance import (
        LedgerConformance,
        SinkConformance,
        TransactionalConformance,
    )
    from prismlib.testing.sink_harness import SinkHarness, TransactionalHarness, documents
    from prismlib.testing.source_conformance import SourceConformance, SourceHarness

__all__ = [
    "ClaimConformance",
    "DecoderConformance",
    "DecoderHarness",
    "EncoderConformance",
    "EncoderHarness",
    "LedgerConformance",
    "NormalizerConformance",
    "NormalizerHarness",
    "ReaderConformance",
    "ReaderHarness",
    "RegistryConformance",
    "RegistryHarness",
    "SinkConformance",
    "SinkHarness",
    "SourceConformance",
    "SourceHarness",
    "TransactionalConformance",
    "TransactionalHarness",
    "WritableRegistryConformance",
    "WritableRegistryHarness",
    "batch_of",
    "build_stage",
    "documents",
]

_HOMES = {
    "prismlib.testing.claim_conformance": "ClaimConformance",
    "prismlib.testing.building": "build_stage",
    "prismlib.testing.decoder_conformance": "DecoderConformance DecoderHarness batch_of",
    "prismlib.testing.encoder_conformance": "EncoderConformance EncoderHarness",
    "prismlib.testing.normalizer_conformance": "NormalizerConformance NormalizerHarness",
    "prismlib.testing.reader_conformance": "ReaderConformance ReaderHarness",
    "prismlib.testing.registry_conformance": "RegistryConformance RegistryHarness WritableRegistryConformance "
    "WritableRegistryHarness",
    "prismlib.testing.sink_conformance": "LedgerConformance SinkConformance TransactionalConformance",
    "prismlib.testing.sink_harness": "SinkHarness TransactionalHarness documents",
    "prismlib.testing.source_conformance": "SourceConformance SourceHarness",
}

if not TYPE_CHECKING:  # a type checker would take any name for public
    __getattr__ = lazy.importer(__name__, lazy.home_of(_HOMES))


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
