"""How Elasticsearch behaves where this plugin builds on it: plain requests, and what the plugin makes of it.

What ``test_real_writes`` holds already is not repeated: bodies that reach their neighbours, deletes by hand, and the repair
of an index in the alias's place.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from prism_elasticsearch.answers import ALL_DELIVERED, versions_in_conflict
from prism_elasticsearch.connection import Connection, connect
from prismlib.errors import FatalError
from prismlib.records import LedgerRow
from prismlib.runtime.identity import EPOCH_SHIFT
from tests.plugins.prism_elasticsearch.node import SOURCE, Node, documents

pytestmark = pytest.mark.real


@pytest.fixture
def raw(bare_node: Node) -> Iterator[Connection]:
    """Requests of the test's own."""
    connection = connect(bare_node.config, Path())
    yield connection
    connection.close()


def bulk(raw: Connection, path: str, *lines: Any) -> tuple[int, bytes, list[tuple[str, dict[str, Any]]]]:
    """Status, body and items of a bulk request."""
    body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    answer = raw.request("POST", path, body, lines=True)
    items = [next(iter(item.items())) for item in answer.json().get("items", [])]
    return answer.status, answer.data, items


def versioned(id_: str, version: int) -> dict[str, Any]:
    return {"index": {"_id": id_, "version": version, "version_type": "external_gte"}}


def statuses(items: Sequence[tuple[str, dict[str, Any]]]) -> list[int]:
    return [result["status"] for _, result in items]


def test_a_bulk_is_answered_with_200_and_a_status_for_each_item(node: Node, raw: Connection) -> None:
    lines = [
        versioned("a", 2),
        {"n": 1},
        versioned("b", 1),
        {"measures": {"delay": "late"}},
        versioned("a", 1),
        {"n": 0},
    ]
    status, data, items = bulk(raw, f"/{node.alias}/_bulk?require_alias=true", *lines)
    assert status == 200
    assert statuses(items) == [201, 400, 409]
    assert json.loads(data)["errors"] is True
    status, data, _ = bulk(raw, f"/{node.alias}/_bulk?filter_path=errors,items.*.status,items.*.error", *lines[:2])
    assert data.startswith(ALL_DELIVERED), "how an answer without errors begins, which is then not parsed"


def test_a_conflict_names_both_versions_and_an_equal_version_is_none(node: Node, raw: Connection) -> None:
    path = f"/{node.alias}/_bulk"
    for version in (7, 7):
        assert statuses(bulk(raw, path, versioned("a", version), {"n": version})[2])[0] in {200, 201}
    (_, item), (_, delete) = bulk(
        raw, path, versioned("a", 6), {"n": 6}, {"delete": {"_id": "a", "version": 5, "version_type": "external_gte"}}
    )[2]
    assert (item["status"], delete["status"]) == (409, 409)
    assert versions_in_conflict(item["error"]["reason"]) == (7, 6)
    assert versions_in_conflict(delete["error"]["reason"]) == (7, 5)
    assert node.stored("a") == b'{"n": 7}'


def test_an_unversioned_delete_raises_the_version_and_the_very_same_document_is_refused(
    node: Node, raw: Connection
) -> None:
    path = f"/{node.alias}/_bulk"
    bulk(raw, path, versioned("a", 7), {"n": 7})
    raw.json("DELETE", f"/{node.alias}/_doc/a")
    ((_, item),) = bulk(raw, path, versioned("a", 7), {"n": 7})[2]
    assert item["status"] == 409
    assert versions_in_conflict(item["error"]["reason"]) == (8, 7), (
        "one more than what was deleted: how it is told apart"
    )
    assert node.stored("a") is None


def test_without_require_alias_a_write_to_a_missing_alias_makes_an_index_which_is_in_its_way_then(
    bare_node: Node, raw: Connection
) -> None:
    alias = bare_node.alias
    ((_, refused),) = bulk(raw, f"/{alias}/_bulk?require_alias=true", versioned("a", 1), {"n": 1})[2]
    assert (refused["status"], refused["error"]["type"]) == (404, "index_not_found_exception")
    assert raw.json("GET", f"/{alias}") is None
    sink = bare_node.sink()
    with pytest.raises(FatalError, match="prism setup"):
        sink.write(documents([b"{}"]))
    assert raw.json("GET", f"/{alias}") is None
    sink.close()

    assert statuses(bulk(raw, f"/{alias}/_bulk", versioned("a", 1), {"n": 1})[2]) == [201]
    assert list(raw.json("GET", f"/{alias}")) == [alias]
    raw.json("PUT", f"/{alias}-000001")
    add = {"actions": [{"add": {"index": f"{alias}-000001", "alias": alias}}]}
    with pytest.raises(FatalError, match="invalid_alias_name_exception"):
        raw.json("POST", "/_aliases", add)
    raw.json("POST", "/_aliases", {"actions": [{"remove_index": {"index": alias}}, *add["actions"]]})
    assert list(raw.json("GET", f"/{alias}")) == [f"{alias}-000001"]


def test_require_alias_does_not_stop_a_versioned_delete_and_the_template_of_setup_does(
    bare_node: Node, raw: Connection
) -> None:
    alias = bare_node.alias
    delete = {"delete": {"_id": "a", "version": 3, "version_type": "external_gte"}}
    ((_, made),) = bulk(raw, f"/{alias}/_bulk?require_alias=true", delete)[2]
    assert made["status"] == 404
    assert raw.json("GET", f"/{alias}") is not None, "an index was made for a delete"
    raw.json("DELETE", f"/{alias}")
    bare_node.set_up()
    raw.json("DELETE", f"/{alias}-000001")
    bulk(raw, f"/{alias}/_bulk?require_alias=true", delete)
    assert raw.json("GET", f"/{alias}") is None


def test_a_swap_of_the_alias_is_one_step_and_a_repeated_one_changes_nothing(node: Node, raw: Connection) -> None:
    """What rows of the ledger are tied to is the index that was written, and a sink notices that it is another."""
    alias = node.alias
    sink = node.sink()
    sink.open()
    raw.json("PUT", f"/{alias}-000002")
    swap = {
        "actions": [
            {"remove": {"index": f"{alias}-000001", "alias": alias, "must_exist": True}},
            {"add": {"index": f"{alias}-000002", "alias": alias, "is_write_index": True}},
        ]
    }
    assert raw.json("POST", "/_aliases", swap)["acknowledged"] is True
    assert raw.json("POST", "/_aliases", swap) is None, "404"
    assert list(raw.json("GET", f"/{alias}")) == [f"{alias}-000002"]
    with pytest.raises(FatalError, match=f"moved from {alias}-000001"):
        sink.save_ledger([LedgerRow(SOURCE, 1)])
    sink.close()


def test_an_older_row_of_the_ledger_gets_409_and_changes_nothing_but_a_higher_epoch_goes_back(
    node: Node, raw: Connection
) -> None:
    sink = node.sink()
    sink.open()
    sink.save_ledger([LedgerRow(SOURCE, 40)])
    index, row = node.config.ledger_index, f"flights-index/flights/3/{node.alias}-000001"
    ((_, item),) = bulk(raw, f"/{index}/_bulk", versioned(row, 39), {"next_offset": 39})[2]
    assert item["status"] == 409
    sink.save_ledger([LedgerRow(SOURCE, 39)])  # a zombie's: passed over
    assert sink.load_ledger([SOURCE])[SOURCE].next_offset == 40
    sink.save_ledger([LedgerRow(SOURCE, 5, ledger_epoch=1)])
    found = raw.json("POST", f"/{index}/_mget", {"ids": [row]})["docs"][0]
    assert (found["_source"]["next_offset"], found["_version"]) == (5, 1 << EPOCH_SHIFT | 5)
    sink.close()


def test_what_was_written_is_read_by_id_at_once_and_by_search_after_a_refresh(node: Node, raw: Connection) -> None:
    """So a ledger row or a claim is asked for by its id, and never searched."""
    raw.json("PUT", f"/{node.alias}-000001/_settings", {"index.refresh_interval": "-1"})
    bulk(raw, f"/{node.alias}/_bulk", versioned("a", 1), {"n": 1})
    assert node.stored("a") == b'{"n": 1}'
    count = f"/{node.alias}/_count"
    assert raw.json("GET", count)["count"] == 0
    raw.json("POST", f"/{node.alias}/_refresh")
    assert raw.json("GET", count)["count"] == 1


def test_an_index_that_is_made_again_has_another_uuid(node: Node, raw: Connection) -> None:
    def uuid() -> str:
        found: str = raw.json("GET", f"/{node.alias}-000001")[f"{node.alias}-000001"]["settings"]["index"]["uuid"]
        return found

    before = uuid()
    assert uuid() == before
    raw.json("DELETE", f"/{node.alias}-000001")
    raw.json("PUT", f"/{node.alias}-000001")
    assert uuid() != before
