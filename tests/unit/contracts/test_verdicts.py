"""The public calls: words, references, and what they raise."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from prismlib.contracts import check_compatibility, check_consumer, derive_contract
from prismlib.contracts.compatibility import MODES
from prismlib.errors import ConfigError, SchemaParseError, UnknownFieldError


def record(*fields: Any, name: str = "Order") -> str:
    named = [f if isinstance(f, dict) else {"name": f, "type": "string"} for f in fields]
    return json.dumps({"type": "record", "name": name, "fields": named})


OPTIONAL = {"name": "note", "type": ["null", "string"], "default": None}


@pytest.mark.parametrize(
    ("mode", "removed", "added"),
    [
        ("BACKWARD", True, False),
        ("BACKWARD_TRANSITIVE", True, False),
        ("FORWARD", False, True),
        ("FORWARD_TRANSITIVE", False, True),
        ("FULL", False, False),
        ("FULL_TRANSITIVE", False, False),
        ("NONE", True, True),
    ],
)
def test_modes_say_who_reads_whom(mode: str, *, removed: bool, added: bool) -> None:
    one, two = record("id"), record("id", "sku")
    assert check_compatibility(format="avro", new=one, old=[two], mode=mode).compatible is removed
    assert check_compatibility(format="avro", new=two, old=[one], mode=mode).compatible is added
    assert set(MODES) >= {mode}


def test_transitive_modes_look_at_every_version_and_the_others_at_the_last() -> None:
    old = [record("id"), record("id", OPTIONAL)]
    new = record("id", {"name": "note", "type": ["null", "string"]})
    assert check_compatibility(format="avro", new=new, old=old).compatible
    verdict = check_compatibility(format="avro", new=new, old=old, mode="BACKWARD_TRANSITIVE")
    assert not verdict.compatible
    (finding,) = [one for one in verdict.findings if one.fails]
    assert (finding.rule, finding.path, finding.version) == ("AVR003", "/fields/note", 1)
    assert finding.direction == "new reads old"


def test_a_first_version_is_compatible() -> None:
    assert check_compatibility(format="avro", new=record("id"), old=[]).compatible


def test_profiles_differ() -> None:
    def amount(scale: int) -> str:
        kind = {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": scale}
        return record({"name": "amount", "type": kind})

    questions = {"format": "avro", "new": amount(3), "old": [amount(2)]}
    assert check_compatibility(**questions).compatible
    assert not check_compatibility(**questions, profile="wire").compatible


def test_references_of_both_sides() -> None:
    money = {"name": "shop.Money", "subject": "money", "version": 1}
    one = {**money, "schema": record("amount", name="shop.Money")}
    two = {**money, "schema": record("amount", "currency", name="shop.Money"), "version": 2}
    order = record({"name": "total", "type": "shop.Money"})
    same = {"new": [one], "old": [[one]]}
    assert check_compatibility(format="avro", new=order, old=[order], references=same).compatible
    grown = {"new": [two], "old": [[one]]}
    assert not check_compatibility(format="avro", new=order, old=[order], references=grown).compatible
    with pytest.raises(SchemaParseError, match=r"shop\.Money"):
        check_compatibility(format="avro", new=order, old=[order], references={"new": [one]})
    with pytest.raises(ConfigError, match="2 lists for 1 old"):
        check_compatibility(format="avro", new=order, old=[order], references={"new": [one], "old": [[one], []]})


def test_a_contract_is_derived_needs_no_references_and_holds_for_its_own_schema() -> None:
    money = {"name": "shop.Money", "subject": "money", "version": 1}
    references = [{**money, "schema": record("amount", "currency", name="shop.Money")}]
    order = record("id", {"name": "total", "type": "shop.Money"}, "note")
    contract = derive_contract(format="avro", schema=order, reads=["id", "total.amount"], references=references)
    assert "currency" not in contract
    assert "note" not in contract
    assert contract == derive_contract(
        format="avro", schema=order, reads=["id", "total.amount"], references={"new": references}
    )
    new = {"new": references}
    assert check_consumer(format="avro", new=order, contract=contract, references=new).compatible
    without = record({"name": "total", "type": "shop.Money"}, "note")
    verdict = check_consumer(format="avro", new=without, contract=contract, references=new)
    assert [one.field for one in verdict.findings if one.fails] == ["id"]


@pytest.mark.parametrize("text", ["", "{", '{"type": "recrod"}', "null", "\ud800"])
def test_what_is_no_schema_raises(text: str) -> None:
    for call in (
        lambda: check_compatibility(format="avro", new=text, old=[record("id")]),
        lambda: check_compatibility(format="avro", new=record("id"), old=[text]),
        lambda: check_consumer(format="avro", new=text, contract=record("id")),
        lambda: check_consumer(format="avro", new=record("id"), contract=text),
        lambda: derive_contract(format="avro", schema=text, reads=["id"]),
    ):
        with pytest.raises(SchemaParseError):
            call()


def test_words_that_are_none() -> None:
    one = record("id")
    for arguments, word in (
        ({"format": "xml"}, "format: 'xml'"),
        ({"format": "avro", "mode": "BACKWARDS"}, "mode: 'BACKWARDS'"),
        ({"format": "avro", "profile": "strict"}, "profile: 'strict'"),
    ):
        with pytest.raises(ConfigError, match=word):
            check_compatibility(new=one, old=[one], **arguments)  # type: ignore[arg-type]
    with pytest.raises(UnknownFieldError):
        derive_contract(format="avro", schema=one, reads=["missing"])


def test_the_calls_import_neither_pydantic_nor_plugins_nor_metadata() -> None:
    code = (
        "import sys\nfrom prismlib.contracts import check_compatibility\n"
        f"assert check_compatibility(format='avro', new={record('id')!r}, old=[]).compatible\n"
        "late = {'pydantic', 'pluggy', 'rich', 'click', 'fastavro', 'importlib.metadata'} & set(sys.modules)\n"
        "assert not late, late"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
