"""The in-memory parts pass the suites that real plugins pass."""

import pytest

from prismlib.testing.claim_conformance import ClaimConformance
from prismlib.testing.decoder_conformance import DecoderConformance
from prismlib.testing.encoder_conformance import EncoderConformance
from prismlib.testing.normalizer_conformance import NormalizerConformance
from prismlib.testing.reader_conformance import ReaderConformance
from prismlib.testing.registry_conformance import RegistryConformance, WritableRegistryConformance
from prismlib.testing.sink_conformance import (
    LedgerConformance,
    SinkConformance,
    TransactionalConformance,
)
from prismlib.testing.source_conformance import SourceConformance
from tests.kit.harnesses import (
    GappySourceHarness,
    JsonDecoderHarness,
    MemoryLogHarness,
    MemoryReaderHarness,
    MemorySinkHarness,
    MemorySourceHarness,
    MemoryTransactionalHarness,
    OrderEncoderHarness,
    OrderNormalizerHarness,
)
from tests.kit.registries import PlainRegistryHarness


class TestMemorySource(SourceConformance):
    @pytest.fixture(params=["eager", "cooperative"])
    def harness(self, request):
        return MemorySourceHarness(rebalance=request.param)


class TestMemorySourceWithGaps(SourceConformance):
    @pytest.fixture
    def harness(self):
        return GappySourceHarness()


class TestMemorySink(SinkConformance, LedgerConformance):
    @pytest.fixture
    def harness(self):
        return MemorySinkHarness()


class TestMemoryLog(SinkConformance):
    @pytest.fixture(params=[False, True], ids=["direct", "buffered"])
    def harness(self, request):
        return MemoryLogHarness(buffers=request.param)


class TestMemoryTransactionalSink(SinkConformance, TransactionalConformance, LedgerConformance, ClaimConformance):
    @pytest.fixture(params=[False, True], ids=["direct", "buffered"])
    def harness(self, request):
        return MemoryTransactionalHarness(buffers=request.param)


class TestMemoryReader(ReaderConformance):
    @pytest.fixture
    def harness(self):
        return MemoryReaderHarness()


class TestJsonDecoder(DecoderConformance):
    @pytest.fixture
    def harness(self):
        return JsonDecoderHarness()


class TestOrderNormalizer(NormalizerConformance):
    @pytest.fixture
    def harness(self):
        return OrderNormalizerHarness()


class TestOrderEncoder(EncoderConformance):
    @pytest.fixture
    def harness(self):
        return OrderEncoderHarness()


class TestPlainRegistry(RegistryConformance, WritableRegistryConformance):
    @pytest.fixture
    def harness(self):
        return PlainRegistryHarness()
