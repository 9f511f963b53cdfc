from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from prism_elasticsearch import templates
from prism_elasticsearch.administration import ElasticsearchAdministration
from prism_elasticsearch.connection import connect
from prism_elasticsearch.generations import look_up
from prismlib.config.model import Secret
from prismlib.errors import ConfigError, FatalError
from prismlib.records import LedgerRow, Partition
from tests.http_server import Reply, Seen
from tests.plugins.prism_elasticsearch.fault_proxy import FaultProxy
from tests.plugins.prism_elasticsearch.node import Node, documents

pytestmark = pytest.mark.real


def administration(node: Node, url: str | None = None, **more: Any) -> ElasticsearchAdministration:
    config = node.configured(url or node.url, **more)
    return ElasticsearchAdministration(connect(config, Path()), config)


@pytest.fixture
def admin(bare_node: Node) -> Iterator[ElasticsearchAdministration]:
    made = administration(bare_node)
    yield made
    made.close()


def states(admin: ElasticsearchAdministration) -> list[tuple[bool, bool]]:
    return [(step.exists, bool(step.problem)) for step in admin.plan()]


def test_setup_creates_what_is_missing_and_nothing_twice(bare_node: Node, admin: ElasticsearchAdministration) -> None:
    before = admin.plan()
    assert [step.what for step in before] == [
        f"index template {bare_node.alias} for {bare_node.alias}-*",
        f"index {bare_node.alias}-000001 behind the alias {bare_node.alias}",
        f"ledger index {bare_node.config.ledger_index}",
    ]
    assert states(admin) == [(False, False)] * 3
    assert [check.state for check in admin.preflight()] == ["ok", "wrong", "wrong", "wrong"]
    for _ in range(2):  # another setup may have been faster
        for step in before:
            step.apply()
    assert states(admin) == [(True, False)] * 3
    assert {check.state for check in admin.preflight()} == {"ok"}
    sink = bare_node.sink()
    sink.open()
    sink.close()


def test_standard_events_are_mapped_for_statistics(node: Node) -> None:
    sink = node.sink(origin_topic=True)
    event = {
        "id": "UA1",
        "kind": "departure",
        "time": "2013-01-01T10:00:00Z",
        "airport": "EWR",
        "measures": {"delay": 3, "taxi": 2.5},
        "attributes": {"carrier": "UA", "cancelled": False, "stops": 1, "day": "2013-01-01"},
    }
    assert not sink.write(documents([json.dumps(event).encode()])).rejected
    found = node.connection.json("GET", f"/{node.alias}-000001/_mapping")
    fields = found[f"{node.alias}-000001"]["mappings"]["properties"]

    def kinds(of: dict[str, Any]) -> dict[str, str]:
        return {name: about["type"] for name, about in of["properties"].items()}

    assert {name: fields[name]["type"] for name in ("id", "kind", "time", "airport")} == {
        "id": "keyword",
        "kind": "keyword",
        "time": "date",
        "airport": "keyword",
    }
    assert kinds(fields["measures"]) == {"delay": "double", "taxi": "double"}
    assert set(kinds(fields["attributes"]).values()) == {"keyword"}
    assert kinds(fields["_origin"]) == {"p": "integer", "o": "long", "t": "keyword"}
    sink.close()


def test_no_program_can_create_an_index_in_the_place_of_the_alias(
    bare_node: Node, admin: ElasticsearchAdministration
) -> None:
    admin.plan()[0].apply()
    assert bare_node.connection.json("POST", f"/{bare_node.alias}/_doc", {"a": 1}) is None
    assert bare_node.connection.json("GET", f"/{bare_node.alias}") is None


def test_an_index_in_the_place_of_the_alias_is_a_problem_and_its_repair_works(
    bare_node: Node, admin: ElasticsearchAdministration
) -> None:
    bare_node.connection.json("POST", f"/{bare_node.alias}/_doc", {"a": 1})
    problem = admin.plan()[1].problem
    assert "is an index and not an alias" in problem
    assert [check.state for check in admin.preflight()][1] == "wrong"
    sink = bare_node.sink()
    with pytest.raises(ConfigError, match="remove_index"):
        sink.open()
    sink.close()
    repair = problem[problem.index("{") : problem.rindex("}") + 1]
    bare_node.connection.json("PUT", f"/{bare_node.alias}-000001")
    bare_node.connection.json("POST", "/_aliases", json.loads(repair))
    assert (admin.plan()[1].exists, admin.plan()[1].problem) == (True, "")


def test_an_alias_with_two_indices_is_a_problem(node: Node) -> None:
    node.connection.json("PUT", f"/{node.alias}-000002", {"aliases": {node.alias: {}}})
    admin = administration(node)
    assert "points to 2 indices" in admin.plan()[1].problem
    assert "points to 2 indices" in [check.detail for check in admin.preflight()][1]
    admin.close()


def test_an_index_without_its_alias_is_a_problem(bare_node: Node, admin: ElasticsearchAdministration) -> None:
    bare_node.connection.json("PUT", f"/{bare_node.alias}-000001")
    assert "exists without the alias" in admin.plan()[1].problem


def test_a_changed_template_is_noticed_and_set_right(node: Node) -> None:
    admin = administration(node, number_of_shards=2)
    assert [step.exists for step in admin.plan()] == [False, True, True]
    assert "warning" in {check.state for check in admin.preflight()}
    admin.plan()[0].apply()
    assert [step.exists for step in admin.plan()] == [True, True, True]
    admin.close()


def test_a_template_of_somebody_else_is_left_alone(bare_node: Node, admin: ElasticsearchAdministration) -> None:
    foreign = {"index_patterns": [f"{bare_node.alias}-*"], "priority": 900}
    bare_node.connection.json("PUT", f"/_index_template/{bare_node.alias}", foreign)
    assert "did not make" in admin.plan()[0].problem
    assert "wrong" in {check.state for check in admin.preflight()}


def test_an_index_that_is_no_ledger_is_not_taken_for_one(bare_node: Node, admin: ElasticsearchAdministration) -> None:
    bare_node.connection.json("PUT", f"/{bare_node.config.ledger_index}", {})
    assert "is not a ledger" in admin.plan()[2].problem


def test_a_ledger_of_an_older_version_gets_the_new_fields_and_keeps_its_rows(
    node: Node, admin: ElasticsearchAdministration
) -> None:
    """As the first version of Prism made it: without schema, mapping and notes."""
    name, partition = node.config.ledger_index, Partition("flights", 3)
    node.connection.json("DELETE", f"/{name}")
    wanted = templates.ledger(node.config)["template"]["mappings"]
    new = {"schema_id", "mapping", "note", "kind", "at_ms", "who", "what", "first", "end"}
    old = {field: kind for field, kind in wanted["properties"].items() if field not in new}
    node.connection.json("DELETE", f"/_index_template/{name}")
    node.connection.json("PUT", f"/{name}", {"mappings": {"dynamic": "strict", "properties": old}})
    sink = node.sink()
    sink.open()
    assert sink.load_notes() == []
    generation = look_up(node.connection, node.alias).write_index
    assert generation is not None
    row = {"pipeline": "flights-index", "topic": "flights", "partition": 3, "generation": generation.index}
    row |= {"index_uuid": generation.uuid, "topic_id": "id", "next_offset": 7, "timestamp_ms": 8, "epoch": 1}
    row |= {"ledger_epoch": 0, "written_ms": 9}
    path = f"/{name}/_doc/flights-index%2Fflights%2F3%2F{generation.index}?version=7&version_type=external_gte"
    node.connection.json("PUT", path, row)
    assert sink.load_ledger([partition]) == {partition: LedgerRow(partition, 7, 1, "id", 8, 0, 9)}
    newer = LedgerRow(partition, 8, 1, "id", 8, 0, 9, 4711, "ab12")
    with pytest.raises(FatalError, match=r"`prism setup PIPELINE\.toml --yes` adds the fields"):
        sink.save_ledger([newer])
    assert [check.state for check in admin.preflight()][-1] == "wrong"
    assert [(step.exists, step.problem) for step in admin.plan()] == [(True, ""), (True, ""), (False, "")]
    admin.plan()[2].apply()
    assert states(admin) == [(True, False)] * 3
    assert sink.load_ledger([partition])[partition].next_offset == 7
    sink.save_ledger([newer])
    assert sink.load_ledger([partition]) == {partition: newer}
    sink.close()


def test_an_index_with_another_mapping_is_a_warning(bare_node: Node, admin: ElasticsearchAdministration) -> None:
    aliases = {bare_node.alias: {"is_write_index": True}}
    bare_node.connection.json("PUT", f"/{bare_node.alias}-000001", {"aliases": aliases})
    (check,) = [check for check in admin.preflight() if check.what.startswith("mapping")]
    assert check.state == "warning"
    assert "time is not mapped instead of date" in check.detail


@pytest.mark.parametrize(("has", "state"), [(True, "ok"), (False, "wrong")])
def test_rights_are_asked_for_where_there_are_credentials(node: Node, has: bool, state: str) -> None:  # noqa: FBT001
    rights = {"index": {node.alias: {"write": has, "read": True}}}

    def reply(seen: Seen) -> Reply | None:
        return Reply(200, json.dumps(rights).encode()) if "_has_privileges" in seen.path else None

    with FaultProxy(node.url) as proxy:
        proxy.reply = reply
        admin = administration(node, proxy.url, api_key=Secret("a-key"))
        check = admin.preflight()[-1]
        assert check.state == state
        assert has or f"write on {node.alias}" in check.detail
        admin.close()
