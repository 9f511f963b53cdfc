"""The rules, by cases that are data: ``tests/rules/jsonschema``. A case names every finding; silent ones lack the file's rule.

Many follow cases that Confluent publishes (``diff-schema-examples.json`` and its neighbours); where a verdict differs from
Confluent's, the case says why under ``deviates``.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from prism_jsonschema.compatibility.format import JsonSchemaFormat
from prism_jsonschema.compatibility.rules import CHECKS, RULES
from prismlib.contracts.format import SchemaText
from prismlib.contracts.rules import EVERYWHERE

FORMAT = JsonSchemaFormat()
FOLDER = Path(__file__).parents[2] / "rules" / "jsonschema"
MODULES = Path(__file__).parents[3] / "plugins" / "prism_jsonschema" / "compatibility" / "rules"
CASES = [
    pytest.param(path.stem, case, id=f"{path.stem}: {case['description']}")
    for path in sorted(FOLDER.glob("*.json"))
    for case in json.loads(path.read_text(encoding="utf-8"))
]


def module(rule: str) -> Path:
    return MODULES / f"{rule.lower()}_{RULES[rule].name.replace('-', '_')}.py"


def parsed(case: dict[str, Any], side: str) -> Any:
    references = {name: json.dumps(one) for name, one in case.get("references", {}).get(side, {}).items()}
    return FORMAT.parse(SchemaText(json.dumps(case[side]), references, side))


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_case(rule: str, case: dict[str, Any]) -> None:
    found = FORMAT.can_read(reader=parsed(case, "reader"), writer=parsed(case, "writer"))
    assert [{"rule": one.rule, "path": one.path, "field": one.field, "message": one.message} for one in found] == case[
        "findings"
    ]
    verdict = {policy: not any(policy in RULES[one.rule].fails for one in found) for policy in EVERYWHERE}
    assert verdict == case["compatible"]
    if case["description"].startswith("silent: "):
        assert rule.partition("-")[0] not in {one.rule for one in found}


@pytest.mark.parametrize("case", [param.values[1] for param in CASES])
def test_every_schema_reads_what_it_writes(case: dict[str, Any]) -> None:
    for side in ("reader", "writer"):
        assert FORMAT.can_read(reader=parsed(case, side), writer=parsed(case, side)) == []


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_cases_that_fire_and_that_are_silent(rule: str) -> None:
    cases = json.loads((FOLDER / f"{rule}-{RULES[rule].name}.json").read_text(encoding="utf-8"))
    assert Counter(rule in {one["rule"] for one in case["findings"]} for case in cases).keys() == {True, False}


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_its_page(rule: str) -> None:
    """A module of its own, named after the rule, whose docstring has all sections."""
    text = module(rule).read_text(encoding="utf-8")
    page = text.split('"""')[1]
    assert re.findall(r"^(\w+): ", page, re.MULTILINE) == ["Why", "Example", "Instead", "Confluent"]
    assert re.match(r"[A-Z].*\.\n\n", page)
    assert f'"{rule}"' in text


def test_the_table_is_complete() -> None:
    assert {path.name for path in MODULES.glob("*.py")} - {"__init__.py"} == {module(rule).name for rule in RULES}
    assert list(RULES) == [f"JSN{number:03}" for number in range(1, len(RULES) + 1)]
    assert {rule.id for checks in CHECKS.values() for rule, _ in checks} == set(RULES)


def test_deviations_from_confluent_are_said_on_the_page() -> None:
    """A case that fails here and not there says why, and so does the page of the rule that it belongs to."""
    deviating = [param.values for param in CASES if "deviates" in param.values[1]]
    assert len(deviating) > 8
    for name, case in deviating:
        assert not case["compatible"]["confluent"]
        page = module(name.partition("-")[0]).read_text(encoding="utf-8").split("\nConfluent: ")[1].split('"""')[0]
        assert "although" in page or "instead of answer" in " ".join(page.split()), name
