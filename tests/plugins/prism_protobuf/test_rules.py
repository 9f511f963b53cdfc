"""The rules, by cases that are data: ``tests/rules/protobuf``. A case names every finding, silent ones none of its rule.

Texts without a syntax are of proto3 and package ``p``. ``newer`` is the newer side, the reader where it is not said;
contracts take the writer for that. ``confluent_says`` is the verdict of Confluent's Schema Registry 8.5, as it was seen or
as its published examples have it (``diff-schema-examples.json`` of confluentinc/schema-registry), in words of our own.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from prism_protobuf.compatibility.format import ProtobufFormat
from prism_protobuf.compatibility.rules import CHECKS, RULES
from prismlib.contracts.format import SchemaText
from prismlib.contracts.rules import EVERYWHERE, Difference

FORMAT = ProtobufFormat()
FOLDER = Path(__file__).parents[2] / "rules" / "protobuf"
MODULES = Path(__file__).parents[3] / "plugins" / "prism_protobuf" / "compatibility" / "rules"
HEAD = 'syntax = "proto3";\npackage p;\n'
CASES = [
    pytest.param(path.stem, case, id=f"{path.stem}: {case['description']}")
    for path in sorted(FOLDER.glob("*.json"))
    for case in json.loads(path.read_text(encoding="utf-8"))
]


def text(case: dict[str, Any], side: str) -> SchemaText:
    body: str = case[side]
    whole = body if body.startswith(("syntax", "edition")) else HEAD + body
    return SchemaText(whole, case.get("references", {}).get(side, {}), side)


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    """All at once, which is a hundred times faster; the tests find them in the cache."""
    FORMAT.parse_all([text(case.values[1], side) for case in CASES for side in ("reader", "writer")])


def described(one: Difference) -> dict[str, str]:
    found = {"rule": one.rule, "path": one.path, "field": one.field, "message": one.message}
    return found | {"newer": one.newer} if one.newer else found


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_case(rule: str, case: dict[str, Any]) -> None:
    newer = case.get("newer", "reader")
    reader, writer = FORMAT.parse(text(case, "reader")), FORMAT.parse(text(case, "writer"))
    found = FORMAT.can_read(reader=reader, writer=writer)
    assert [described(one) for one in found] == case["findings"]
    sides = {policy: "writer" if policy == "consumer" else newer for policy in EVERYWHERE}
    assert case["compatible"] == {
        policy: not any(policy in RULES[one.rule].fails and one.newer in (None, side) for one in found)
        for policy, side in sides.items()
    }
    if case["description"].startswith("silent: "):
        assert rule.partition("-")[0] not in {one.rule for one in found if one.newer in (None, newer)}


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_cases_that_fire_and_that_are_silent(rule: str) -> None:
    cases = json.loads((FOLDER / f"{rule}-{RULES[rule].name}.json").read_text(encoding="utf-8"))
    fires = [not case["description"].startswith("silent: ") for case in cases]
    assert Counter(fires).keys() == {True, False}
    assert all(
        rule in {one["rule"] for one in case["findings"]} for case, fired in zip(cases, fires, strict=True) if fired
    )


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_its_page(rule: str) -> None:
    """A module of its own, named after the rule, whose docstring has all sections."""
    source = (MODULES / f"{RULES[rule].name.replace('-', '_')}.py").read_text(encoding="utf-8")
    page = source.split('"""')[1]
    assert re.findall(r"\n\n(\w+): ", page) == ["Why", "Example", "Instead", "Confluent"]
    assert re.match(r"[A-Z].*\.\n", page)
    assert f'"{rule}"' in source
    assert RULES[rule].instead.endswith(".")


def test_the_table_is_complete() -> None:
    modules = {path.stem for path in MODULES.glob("*.py")} - {"__init__"}
    assert modules == {rule.name.replace("-", "_") for rule in RULES.values()}
    assert list(RULES) == [f"PRO{number:03}" for number in range(1, len(RULES) + 1)]
    assert {rule.id for checks in CHECKS.values() for rule, _ in checks} == set(RULES)


def test_verdicts_are_those_of_confluent_unless_a_page_says_why() -> None:
    cases = [case.values[1] for case in CASES if "confluent_says" in case.values[1]]
    assert len(cases) > 50
    differ = [case for case in cases if case["compatible"]["confluent"] != case["confluent_says"]]
    assert [case["description"] for case in differ] == ["optional string to required"]
    deviating = [(*case.values,) for case in CASES if "deviates" in case.values[1]]
    for _, case in deviating:
        assert not case["compatible"]["confluent"], "only what is unsafe deviates"
        rules = {one["rule"] for one in case["findings"] if "confluent" in RULES[one["rule"]].fails}
        for rule in rules:
            page = (
                (MODULES / f"{RULES[rule].name.replace('-', '_')}.py")
                .read_text(encoding="utf-8")
                .split("Confluent:")[1]
            )
            assert re.search(r"deviates|goes\s+further", page.split('"""')[0])
