"""The rules, by cases that are data: ``tests/rules/avro``. A case names every finding, silent ones none that fails."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from prism_avro.compatibility.format import AvroFormat
from prism_avro.compatibility.rules import CHECKS, RULES
from prismlib.contracts.format import SchemaText
from prismlib.contracts.rules import EVERYWHERE

FORMAT = AvroFormat()
FOLDER = Path(__file__).parents[2] / "rules" / "avro"
MODULES = Path(__file__).parents[3] / "plugins" / "prism_avro" / "compatibility" / "rules"
CASES = [
    pytest.param(path.stem, case, id=f"{path.stem}: {case['description']}")
    for path in sorted(FOLDER.glob("*.json"))
    for case in json.loads(path.read_text(encoding="utf-8"))
]


def parsed(case: dict[str, Any], side: str) -> Any:
    references = {name: json.dumps(one) for name, one in case.get("references", {}).get(side, {}).items()}
    return FORMAT.parse(SchemaText(json.dumps(case[side]), references, side))


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_case(rule: str, case: dict[str, Any]) -> None:
    found = FORMAT.can_read(reader=parsed(case, "reader"), writer=parsed(case, "writer"))
    assert [{"rule": one.rule, "path": one.path, "field": one.field, "message": one.message} for one in found] == case[
        "findings"
    ]
    fails = {policy: not any(policy in RULES[one.rule].fails for one in found) for policy in EVERYWHERE}
    assert fails == case["compatible"]
    if case["description"].startswith("silent: "):
        assert rule.partition("-")[0] not in {one.rule for one in found}


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_cases_that_fire_and_that_are_silent(rule: str) -> None:
    path = FOLDER / f"{rule}-{RULES[rule].name}.json"
    cases = json.loads(path.read_text(encoding="utf-8"))
    fires = [rule in {one["rule"] for one in case["findings"]} for case in cases]
    assert Counter(fires).keys() == {True, False}


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_its_page(rule: str) -> None:
    """A module of its own, named after the rule, whose docstring has all sections."""
    text = (MODULES / f"{RULES[rule].name.replace('-', '_')}.py").read_text(encoding="utf-8")
    page = text.split('"""')[1]
    assert re.findall(r"^(\w+):$", page, re.MULTILINE) == ["What", "Why", "Example", "Instead", "Confluent"]
    assert re.match(r"[A-Z].*\.\n", page)
    assert f'"{rule}"' in text
    assert RULES[rule].instead.endswith(".")


def test_the_table_is_complete() -> None:
    modules = {path.stem for path in MODULES.glob("*.py")} - {"__init__"}
    assert modules == {rule.name.replace("-", "_") for rule in RULES.values()}
    assert list(RULES) == [f"AVR{number:03}" for number in range(1, len(RULES) + 1)]
    assert {rule.id for checks in CHECKS.values() for rule, _ in checks} == set(RULES)


def test_deviations_from_confluent_are_said_on_the_page() -> None:
    """A case that fails here and not there says why, and so does the page of its rule."""
    deviating = [param.values for param in CASES if "deviates" in param.values[1]]
    assert len(deviating) > 3
    for name, case in deviating:
        assert not case["compatible"]["confluent"]
        if name.partition("-")[0] in RULES:
            page = (MODULES / f"{name.partition('-')[2].replace('-', '_')}.py").read_text(encoding="utf-8")
            assert re.search(r"although|Java then", page.split("\nConfluent:\n")[1].split('"""')[0])
