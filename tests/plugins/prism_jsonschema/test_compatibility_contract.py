"""Contracts of consumers: cut out of a schema, and checked against what became of it."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prismlib.contracts import check_consumer, derive_contract
from prismlib.errors import ContractError, UnknownFieldError
from tests.plugins.prism_jsonschema.schemas import schemas

FUZZ = int(os.environ.get("PRISM_FUZZ_SCHEMAS", "0"))
RICH = settings(
    max_examples=FUZZ or 150,
    derandomize=not FUZZ,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
"""The same examples each time; others with PRISM_FUZZ_SCHEMAS."""
DRAFT = "https://json-schema.org/draft/2020-12/schema"


def derived(schema: Any, *reads: str) -> Any:
    return json.loads(derive_contract(format="jsonschema", schema=json.dumps(schema), reads=reads))


def consumer(contract: Any, new: Any) -> list[tuple[str, str]]:
    verdict = check_consumer(format="jsonschema", contract=json.dumps(contract), new=json.dumps(new))
    return [(one.rule, one.field) for one in verdict.findings if one.fails]


def table(properties: Any, *required: str, **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, **({"required": list(required)} if required else {}), **more}


TEXT = {"type": "string"}
ORDER = {
    "$schema": DRAFT,
    **table(
        {
            "id": TEXT,
            "when": {"type": "string", "format": "date-time", "description": "of sale"},
            "state": {"enum": ["open", "paid"]},
            "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}},
            "notes": {
                "type": "object",
                "additionalProperties": {"type": ["object", "null"], "properties": {"text": TEXT, "by": TEXT}},
            },
            "event": {"oneOf": [{"$ref": "#/$defs/paid"}, {"$ref": "#/$defs/sent"}, {"type": "null"}]},
            "pair": {"type": "array", "prefixItems": [table({"x": TEXT, "y": TEXT}), {"type": "integer"}]},
            "tree": {"$ref": "#/$defs/tree"},
        },
        "id",
        "lines",
        additionalProperties=False,
    ),
    "$defs": {
        "line": table({"sku": TEXT, "n": {"type": "integer", "default": 1}}, "sku", additionalProperties=False),
        "paid": table({"at": TEXT, "kind": {"const": "paid"}}, "kind"),
        "sent": table({"at": TEXT, "kind": {"const": "sent"}}, "kind"),
        "tree": table({"v": {"type": "integer"}, "kids": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}),
    },
}
PATHS = (
    "id", "when", "state", "lines", "lines.sku", "lines.n", "notes", "notes.text", "notes.by", "event", "event.at",
    "event.kind", "pair.x", "pair.y", "tree", "tree.v", "tree.kids.v", "tree.kids.kids.v",
)  # fmt: skip


def test_a_contract_has_the_properties_that_are_read_and_nothing_else():
    assert derived(ORDER, "id", "when", "lines.sku", "notes.text", "pair.x") == {
        "$schema": DRAFT,
        **table(
            {
                "id": TEXT,
                "when": {"type": "string", "format": "date-time", "description": "of sale"},
                "lines": {"type": "array", "items": table({"sku": TEXT}, "sku", title="line")},
                "notes": {
                    "type": "object",
                    "additionalProperties": {"type": ["object", "null"], "properties": {"text": TEXT}},
                },
                "pair": {"type": "array", "prefixItems": [table({"x": TEXT}), {}]},
            },
            "id",
            "lines",
        ),
    }


def test_branches_are_kept_and_called_by_their_names():
    contract = derived(ORDER, "event.at")
    assert contract["properties"]["event"]["anyOf"] == [
        table({"at": TEXT}, title="paid"),
        table({"at": TEXT}, title="sent"),
        {"type": "null"},
    ]


def test_what_contains_itself_goes_into_the_definitions():
    contract = derived(ORDER, "tree.kids")
    assert contract["$defs"] == {"tree": ORDER["$defs"]["tree"]}
    assert contract["properties"]["tree"]["properties"]["kids"]["items"] == {"$ref": "#/$defs/tree"}


def test_a_contract_needs_no_references():
    contract = derive_contract(
        format="jsonschema",
        schema=json.dumps(table({"at": {"$ref": "geo.json#/definitions/point"}, "more": TEXT})),
        reads=["at"],
        references=[
            {"name": "geo.json", "schema": json.dumps({"definitions": {"point": table({"x": {"$ref": "n.json"}})}})},
            {"name": "n.json", "schema": json.dumps({"type": "number"})},
        ],
    )
    assert json.loads(contract) == {
        **table({"at": {"$ref": "#/definitions/point"}}),
        "definitions": {"point": table({"x": {"$ref": "#/definitions/n"}}), "n": {"type": "number"}},
    }


@pytest.mark.parametrize(("path", "hint"), [("lines.skU", "did you mean 'sku'"), ("gone", "no property 'gone'")])
def test_a_path_that_names_nothing_is_refused(path, hint):
    with pytest.raises(UnknownFieldError, match=hint) as caught:
        derived(ORDER, path)
    assert caught.value.path == path


@RICH
@given(reads=st.sets(st.sampled_from([*PATHS, "*"]), min_size=1))
def test_a_contract_is_kept_by_the_schema_that_it_is_cut_from(reads):
    contract = derived(ORDER, *reads)
    jsonschema.Draft202012Validator.check_schema(contract)
    assert consumer(contract, ORDER) == []


def paths_of(schema: Any, root: Any, depth: int = 3) -> set[str]:
    """Dotted paths that a schema has, through whatever stands between."""
    if not isinstance(schema, dict) or depth == 0:
        return set()
    found = set()
    for name, one in schema.get("properties", {}).items():
        found |= {name, *(f"{name}.{inner}" for inner in paths_of(one, root, depth - 1))}
    silent = [one for key in ("allOf", "anyOf", "oneOf", "prefixItems") for one in schema.get(key, ())]
    silent += [schema[key] for key in ("items", "then", "else") if key in schema]
    if "$ref" in schema:
        silent.append(root["$defs"]["one"])
    return found.union(*(paths_of(one, root, depth - 1) for one in silent))


@RICH
@given(data=st.data(), schema=schemas())
def test_any_contract_is_kept_by_the_schema_that_it_is_cut_from(data, schema):
    known = sorted(paths_of(schema, schema))
    reads = data.draw(st.sets(st.sampled_from(known), min_size=1, max_size=3)) if known else {"*"}
    try:
        contract = derived(schema, *reads)
    except (
        ContractError
    ):  # no schema, such as a definition that refers to itself alone; or no such path behind an array
        return
    jsonschema.Draft202012Validator.check_schema(contract)
    assert consumer(contract, schema) == []


def removed(around: Any, name: str) -> None:
    del around["properties"][name]
    around["required"] = [one for one in around.get("required", ()) if one != name]


def renamed(around: Any, name: str) -> None:
    around["properties"][f"{name}_new"] = around["properties"][name]
    removed(around, name)


def nullable(around: Any, name: str) -> None:
    around["properties"][name] = {"anyOf": [{"type": "boolean"}, {"type": "null"}, around["properties"][name]]}


def optional(around: Any, name: str) -> None:
    around["required"] = [one for one in around.get("required", ()) if one != name]


def other_type(around: Any, name: str) -> None:
    around["properties"][name] = {"type": "boolean"}


def other_default(around: Any, name: str) -> None:
    around["properties"][name] = {**around["properties"][name], "default": "other"}


def other_format(around: Any, name: str) -> None:
    around["properties"][name] = {**around["properties"][name], "format": "uuid"}


HOLDERS = {
    "id": ("", "id"), "when": ("", "when"), "state": ("", "state"), "lines.sku": ("line", "sku"),
    "lines.n": ("line", "n"), "event.at": ("paid", "at"), "event.kind": ("sent", "kind"), "tree.v": ("tree", "v"),
}  # fmt: skip
CHANGES = [removed, renamed, nullable, optional, other_type, other_default, other_format]


@pytest.mark.parametrize("change", CHANGES)
@RICH
@given(path=st.sampled_from(sorted(HOLDERS)), reads=st.sets(st.sampled_from(sorted(HOLDERS)), min_size=1))
def test_a_change_fails_the_consumers_that_read_the_property_and_no_others(
    change: Callable[[Any, str], None], path: str, reads: set[str]
) -> None:
    definition, name = HOLDERS[path]
    new = copy.deepcopy(ORDER)
    around = new["$defs"][definition] if definition else new
    if change is optional and name not in around.get("required", ()):
        return
    change(around, name)
    assert bool(consumer(derived(ORDER, *reads), new)) == (path in reads)


def test_what_is_not_read_changes_freely():
    new = copy.deepcopy(ORDER)
    new.pop("additionalProperties")
    new["properties"]["lines"]["minItems"] = 1
    new["$defs"]["line"]["properties"]["gift"] = {"type": "boolean"}
    new["maxProperties"] = 20
    assert consumer(derived(ORDER, "id", "lines.sku", "event.at"), new) == []
    assert consumer(derived(ORDER, "*"), new) == []


def test_a_property_that_might_still_come_by_chance_is_no_longer_written():
    new = copy.deepcopy(ORDER)
    new["additionalProperties"] = True
    removed(new, "when")
    assert consumer(derived(ORDER, "when"), new) == [("JSN003", "when"), ("JSN029", "when")]
