"""Every clause has one test, and that test finds out a plugin that breaks the clause."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from prismlib.testing.claim_conformance import ClaimConformance
from prismlib.testing.clauses import clauses, render_specification
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
from tests.kit.broken import BROKEN as BROKEN_STAGES
from tests.kit.broken_registries import BROKEN_REGISTRIES

SUITES = (
    SourceConformance,
    DecoderConformance,
    NormalizerConformance,
    EncoderConformance,
    SinkConformance,
    TransactionalConformance,
    LedgerConformance,
    ClaimConformance,
    RegistryConformance,
    WritableRegistryConformance,
    ReaderConformance,
)
BROKEN = [*BROKEN_STAGES, *BROKEN_REGISTRIES]
SPECIFICATION = Path(__file__).parents[2] / "docs" / "reference" / "component-specification.md"


def suite_tests(prefix):
    return [(suite, name) for suite in SUITES for name in vars(suite) if name.startswith(prefix)]


@pytest.mark.parametrize("broken", BROKEN, ids=lambda one: f"{one.clause}-{one.part.__name__}")
def test_a_broken_part_fails_the_test_of_its_clause(broken):
    [(suite, name)] = suite_tests(clauses()[broken.clause].test_prefix)
    with pytest.raises(AssertionError) as raised:
        try:
            getattr(suite(), name)(broken.harness(broken.part))
        except pytest.skip.Exception as skipped:
            pytest.fail(f"{name} was skipped: {skipped}")
    assert str(raised.value).startswith(f"{broken.clause} ({clauses()[broken.clause].text})")
    assert broken.says in str(raised.value)


@pytest.mark.parametrize("clause", clauses().values(), ids=lambda one: one.id)
def test_a_clause_has_exactly_one_test_and_a_broken_part(clause):
    assert len(suite_tests(clause.test_prefix)) == 1
    assert any(one.clause == clause.id for one in BROKEN)


def test_no_test_is_named_after_a_clause_that_does_not_exist():
    prefixes = Counter(one.test_prefix for one in clauses().values())
    named = {name for suite in SUITES for name in vars(suite) if name.startswith("test_")}
    numbered = {name for name in named if name.split("_")[2].isdigit()}
    assert {name for name in numbered if not name.startswith(tuple(prefixes))} == set()
    assert len(numbered) == len(prefixes)


def test_clauses_are_read_whole():
    found = clauses()
    assert found["SRC-01"].text.endswith("columns of equal length")
    assert found["TXN-03"].interface == "Sink"
    assert Counter(one[:3] for one in found) == {
        "SRC": 12, "DEC": 8, "NRM": 6, "ENC": 5, "SNK": 10, "TXN": 5, "LED": 5, "CLM": 2, "RDR": 9, "REG": 7, "REW": 4
    }  # fmt: skip


def test_the_specification_page_is_up_to_date():
    assert SPECIFICATION.read_text() == render_specification(), (
        "write it anew: python -m prismlib.testing.clauses > docs/reference/component-specification.md"
    )


def test_the_specification_page_holds_every_clause_in_the_words_of_its_docstring():
    rows = {line.split(" | ")[0]: line for line in SPECIFICATION.read_text().splitlines() if line.startswith("| `")}
    for clause in clauses().values():
        assert clause.text.replace("``", "`") in rows[f"| `{clause.id}`"]


def test_only_the_suites_need_pytest():
    script = (
        "import sys; sys.modules['pytest'] = None\n"
        "import prismlib.testing.memory, prismlib.testing.faults, prismlib.testing.clauses\n"
        "try: import prismlib.testing.sink_conformance\n"
        "except ImportError: print('needs pytest')"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "needs pytest"
