"""Our registry, endpoint by endpoint: what it answers, and with which error codes."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest

from tests.serving import Served, record


def body(schema: Any, **more: Any) -> dict[str, Any]:
    return {"schema": json.dumps(schema), **more}


def code(answer: tuple[int, Any]) -> int:
    status, found = answer
    number: int = found["error_code"]
    assert found["message"]
    assert status == (number if number < 1000 else number // 100)
    return number


def test_a_schema_is_found_by_subject_version_id_and_guid(server: Served, subject: str) -> None:
    name = f"A{subject[2:]}"
    first = server.register(subject, record("a", name=name))
    second = server.register(subject, record("a", "b?", name=name))
    status, latest = server.ask("GET", f"/subjects/{subject}/versions/latest")
    assert status == 200
    assert (latest["subject"], latest["version"], latest["id"]) == (subject, 2, second)
    assert "schemaType" not in latest
    assert server.ask("GET", f"/subjects/{subject}/versions/-1") == (200, latest)
    assert server.ask("GET", f"/subjects/{subject}/versions") == (200, [1, 2])
    assert server.ask("GET", f"/schemas/ids/{second}")[1]["schema"] == latest["schema"]
    assert server.ask("GET", f"/schemas/ids/{first}/schema") == (200, record("a", name=name))
    assert server.ask("GET", f"/schemas/ids/{first}/subjects") == (200, [subject])
    assert server.ask("GET", f"/schemas/ids/{first}/versions") == (200, [{"subject": subject, "version": 1}])
    assert server.ask("GET", f"/schemas/guids/{latest['guid']}")[1]["schema"] == latest["schema"]
    assert server.ask("GET", f"/schemas/guids/{latest['guid']}/ids") == (200, [{"context": ".", "id": second}])
    assert server.ask("GET", f"/schemas/ids/{first}?fetchMaxId=True")[1]["maxId"] >= second
    assert server.ask("GET", f"/subjects?subjectPrefix={subject}") == (200, [subject])
    assert (
        server.ask("POST", f"/subjects/{subject}?normalize=False&deleted=False", body(record("a", name=name)))[1][
            "version"
        ]
        == 1
    )


def test_the_same_schema_has_one_id_everywhere_and_no_second_version(server: Served, subject: str) -> None:
    schema = record("a", name=f"S{subject[2:]}")
    first = server.register(subject, schema)
    assert server.register(f"{subject}-2", json.dumps(schema, indent=4)) == first
    assert server.register(subject, schema) == first
    assert server.ask("GET", f"/subjects/{subject}/versions") == (200, [1])
    assert server.ask("GET", f"/schemas/ids/{first}/subjects")[1] == [subject, f"{subject}-2"]


def test_an_incompatible_schema_is_refused_with_the_reason(server: Served, subject: str) -> None:
    server.register(subject, record("a"))
    status, found = server.ask("POST", f"/subjects/{subject}/versions", body(record("a", "b")))
    assert (status, found["error_code"]) == (409, 409)
    assert "AVR003 /fields/b: field 'b'" in found["message"]
    status, found = server.ask(
        "POST", f"/compatibility/subjects/{subject}/versions/latest?verbose=True", body(record("a", "b"))
    )
    assert (status, found["is_compatible"]) == (200, False)
    assert "AVR003" in found["messages"][0]
    for path in ("/versions", "/versions/latest", "/versions/1"):
        asked = f"/compatibility/subjects/{subject}{path}"
        assert server.ask("POST", asked, body(record("a", "b?"))) == (200, {"is_compatible": True})
    assert server.ask("POST", f"/compatibility/subjects/{subject}-new/versions/latest", body(record("a")))[0] == 200
    assert code(server.ask("POST", f"/compatibility/subjects/{subject}/versions/7", body(record("a")))) == 40402
    assert server.ask("GET", f"/subjects/{subject}/versions") == (200, [1])


def test_levels(server: Served, subject: str) -> None:
    assert server.ask("GET", "/config") == (200, {"compatibilityLevel": "BACKWARD"})
    assert code(server.ask("GET", f"/config/{subject}")) == 40408
    assert server.ask("GET", f"/config/{subject}?defaultToGlobal=true") == (200, {"compatibilityLevel": "BACKWARD"})
    server.register(subject, record("a"))
    assert server.ask("PUT", f"/config/{subject}", {"compatibility": "NONE"}) == (200, {"compatibility": "NONE"})
    assert server.ask("GET", f"/config/{subject}") == (200, {"compatibilityLevel": "NONE"})
    server.register(subject, record("z"))
    server.ask("PUT", f"/config/{subject}", {"compatibility": "FORWARD_TRANSITIVE"})
    assert server.ask("POST", f"/subjects/{subject}/versions", body(record("z", "a", "n")))[0] == 200
    assert code(server.ask("POST", f"/subjects/{subject}/versions", body(record("q")))) == 409
    assert code(server.ask("PUT", f"/config/{subject}", {"compatibility": "SOMETIMES"})) == 42203
    assert code(server.ask("PUT", f"/config/{subject}", {"compatibility": "NONE", "compatibilityGroup": "x"})) == 42201
    assert server.ask("DELETE", f"/config/{subject}")[0] == 200
    assert code(server.ask("GET", f"/config/{subject}")) == 40408


def test_an_earlier_break_counts_against_every_later_version(server: Served, subject: str) -> None:
    server.ask("PUT", f"/config/{subject}", {"compatibility": "NONE"})
    server.register(subject, record("a"))
    server.register(subject, record("b"))
    server.ask("PUT", f"/config/{subject}", {"compatibility": "BACKWARD_TRANSITIVE"})
    assert code(server.ask("POST", f"/subjects/{subject}/versions", body(record("b", "c?")))) == 409
    server.ask("PUT", f"/config/{subject}", {"compatibility": "BACKWARD"})
    server.register(subject, record("b", "c?"))


def test_what_is_not_there(server: Served, subject: str) -> None:
    assert code(server.ask("GET", f"/subjects/{subject}/versions")) == 40401
    assert code(server.ask("GET", f"/subjects/{subject}/versions/1")) == 40401
    assert code(server.ask("POST", f"/subjects/{subject}", body(record("a")))) == 40401
    server.register(subject, record("a"))
    assert code(server.ask("GET", f"/subjects/{subject}/versions/2")) == 40402
    assert code(server.ask("GET", f"/subjects/{subject}/versions/0")) == 42202
    assert code(server.ask("GET", f"/subjects/{subject}/versions/newest")) == 42202
    assert code(server.ask("POST", f"/subjects/{subject}", body(record("q")))) == 40403
    assert code(server.ask("GET", "/schemas/ids/2000000000")) == 40403
    assert code(server.ask("GET", f"/schemas/ids/{10**30}")) == 40403
    assert code(server.ask("GET", "/schemas/guids/no-guid")) == 40403
    assert code(server.ask("GET", "/associations/resources/-/t?resourceType=topic&associationType=value")) == 404
    assert server.ask("GET", "/schemas/types") == (200, ["AVRO", "JSON", "PROTOBUF"])
    assert server.ask("GET", "/contexts") == (200, ["."])
    assert server.ask("GET", "/") == (200, {})


def test_deletion_is_soft_and_then_permanent(server: Served, subject: str) -> None:
    name = f"D{subject[2:]}"
    fields = (["a"], ["a", "b?"], ["a", "c?"])
    ids = [server.register(subject, record(*one, name=name)) for one in fields]
    assert code(server.ask("DELETE", f"/subjects/{subject}/versions/2?permanent=true")) == 40407
    assert server.ask("DELETE", f"/subjects/{subject}/versions/2") == (200, 2)
    assert code(server.ask("DELETE", f"/subjects/{subject}/versions/2")) == 40406
    assert server.ask("GET", f"/subjects/{subject}/versions") == (200, [1, 3])
    assert server.ask("GET", f"/subjects/{subject}/versions?deleted=true") == (200, [1, 2, 3])
    assert code(server.ask("GET", f"/subjects/{subject}/versions/2")) == 40402
    assert server.ask("GET", f"/subjects/{subject}/versions/2?deleted=true")[1]["deleted"] is True
    assert server.ask("GET", f"/schemas/ids/{ids[1]}")[0] == 200  # records that were written with it stay readable
    assert server.ask("DELETE", f"/subjects/{subject}/versions/2?permanent=true") == (200, 2)
    assert code(server.ask("GET", f"/schemas/ids/{ids[1]}")) == 40403
    assert code(server.ask("DELETE", f"/subjects/{subject}?permanent=true")) == 40405
    assert server.ask("DELETE", f"/subjects/{subject}") == (200, [1, 3])
    assert code(server.ask("DELETE", f"/subjects/{subject}")) == 40404
    assert server.ask("GET", f"/subjects?deletedOnly=true&subjectPrefix={subject}") == (200, [subject])
    # A number is never given twice, as long as it is known.
    server.register(subject, record("a", name=name))
    assert server.ask("GET", f"/subjects/{subject}/versions") == (200, [4])
    server.ask("DELETE", f"/subjects/{subject}")
    assert server.ask("DELETE", f"/subjects/{subject}?permanent=true") == (200, [1, 3, 4])
    assert code(server.ask("DELETE", f"/subjects/{subject}")) == 40401


def test_references(server: Served, subject: str) -> None:
    inner, outer = f"{subject}-inner", f"{subject}-outer"
    server.register(inner, record("a", name="Inner"))
    schema = {"type": "record", "name": "Outer", "fields": [{"name": "i", "type": "Inner"}]}
    reference = {"name": "Inner", "subject": inner, "version": 1}
    number = server.register(outer, schema, references=[reference])
    assert server.ask("GET", f"/schemas/ids/{number}")[1]["references"] == [reference]
    assert server.ask("GET", f"/subjects/{inner}/versions/1/referencedby") == (200, [number])
    assert code(server.ask("DELETE", f"/subjects/{inner}/versions/1")) == 42206
    assert code(server.ask("DELETE", f"/subjects/{inner}")) == 42206
    assert code(server.ask("POST", f"/subjects/{outer}/versions", body(schema))) == 42201
    assert (
        code(server.ask("POST", f"/subjects/{outer}/versions", body(schema, references=[{**reference, "version": 9}])))
        == 42201
    )
    server.ask("DELETE", f"/subjects/{outer}")
    assert server.ask("DELETE", f"/subjects/{inner}") == (200, [1])
    assert code(server.ask("DELETE", f"/subjects/{inner}?permanent=true")) == 42206  # the outer one is still read by id
    assert server.ask("DELETE", f"/subjects/{outer}?permanent=true")[0] == 200
    assert server.ask("DELETE", f"/subjects/{inner}?permanent=true") == (200, [1])


def test_modes_and_imports(server: Served, subject: str) -> None:
    assert server.ask("GET", "/mode") == (200, {"mode": "READWRITE"})
    assert code(server.ask("GET", f"/mode/{subject}")) == 40409
    assert code(server.ask("PUT", f"/mode/{subject}", {"mode": "WRITEONLY"})) == 42204
    given = body(record("imported", name=f"I{subject[2:]}"), id=500_000, version=7)
    assert code(server.ask("POST", f"/subjects/{subject}/versions", given)) == 42205
    server.ask("PUT", f"/mode/{subject}", {"mode": "IMPORT"})
    for _ in (1, 2):
        assert server.ask("POST", f"/subjects/{subject}/versions", given)[1]["id"] == 500_000
    assert code(server.ask("POST", f"/subjects/{subject}/versions", body(record("x"), id=500_000, version=8))) == 42207
    assert code(server.ask("POST", f"/subjects/{subject}/versions", body(record("x"), id=500_001, version=7))) == 42207
    assert code(server.ask("POST", f"/subjects/{subject}/versions", {**given, "id": 500_002})) == 42207
    server.ask("PUT", f"/mode/{subject}", {"mode": "READONLY"})
    assert code(server.ask("POST", f"/subjects/{subject}/versions", body(record("x")))) == 42205
    assert code(server.ask("DELETE", f"/subjects/{subject}")) == 42205
    assert server.ask("DELETE", f"/mode/{subject}") == (200, {"mode": "READONLY"})
    # Ids go on after the imported ones.
    assert server.register(f"{subject}-2", record("fresh", name=f"F{subject[2:]}")) > 500_000


def test_metadata_count_and_are_found(server: Served, subject: str) -> None:
    plain = server.register(subject, record("a", name=f"M{subject[2:]}"))
    named = server.register(subject, record("a", name=f"M{subject[2:]}"), metadata={"properties": {"owner": "x"}})
    assert named != plain
    assert server.register(subject, record("a", name=f"M{subject[2:]}")) == named  # the newest that says the same
    found = server.ask("GET", f"/subjects/{subject}/metadata?key=owner&value=x")[1]
    assert (found["version"], found["metadata"]) == (2, {"properties": {"owner": "x"}})
    assert code(server.ask("GET", f"/subjects/{subject}/metadata?key=owner&value=y")) == 40403
    assert (
        code(server.ask("POST", f"/subjects/{subject}/versions", body(record("a"), ruleSet={"domainRules": [{}]})))
        == 42201
    )


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"schema": "record R"}, "not valid JSON"),
        ({"schema": '{"type": "record", "name": "R"}'}, "fields"),
        ({"schema": '"string"', "schemaType": "XML"}, "AVRO, PROTOBUF, JSON"),
        ({"schema": '"\ud800"'}, "unicode"),
        ({"schema": json.dumps({"type": "record", "name": "R", "doc": "\ud800", "fields": []})}, "not usable"),
        ({"schema": "[" * 100_000}, ""),
        ({"schema": ""}, "at least 1"),
        ({"schemaType": "AVRO"}, "required"),
    ],
)
def test_what_is_no_schema_is_refused(server: Served, subject: str, schema: Any, reason: str) -> None:
    status, found = server.ask("POST", f"/subjects/{subject}/versions", schema)
    assert (status, found["error_code"]) == (422, 42201)
    assert reason in found["message"]
    assert "Traceback" not in found["message"]


@pytest.mark.parametrize(
    "name", ["a/b", "../../etc/passwd", "..", "a b", "ä€", "%2F", "a'; DROP TABLE versions; --", "a%00b?c#d&e"]
)
def test_any_name_is_a_name_and_no_path(server: Served, name: str, subject: str) -> None:
    quoted = f"{quote(name, safe='')}-{subject}"
    number = server.register(quoted, record("a"))
    assert server.ask("GET", f"/subjects/{quoted}/versions/latest")[1]["subject"] == f"{name}-{subject}"
    assert f"{name}-{subject}" in server.ask("GET", f"/schemas/ids/{number}/subjects")[1]


@pytest.mark.parametrize("name", ["%00", "a%0Ab", "x" * 600, "%FF", ":.other:a", "__GLOBAL"])
def test_names_that_no_subject_has(server: Served, name: str) -> None:
    assert code(server.ask("POST", f"/subjects/{name}/versions", body(record("a")))) == 42208


def test_parallel_registrations_give_no_id_and_no_version_twice(server: Served, subject: str) -> None:
    together = threading.Barrier(8)

    def register(worker: int) -> list[int]:
        together.wait(10)
        found = []
        for turn in range(6):
            # Half of them are the same for all workers.
            field = f"f{turn}?" if turn % 2 else f"f{turn}_{worker}?"
            for _ in range(100):
                status, answer = server.ask(
                    "POST", f"/subjects/{subject}/versions", body(record("a", field, name=f"P{subject[2:]}"))
                )
                if status != 503:
                    break
            assert status == 200, answer
            found.append(answer["id"])
        return found

    with ThreadPoolExecutor(8) as threads:
        ids = list(threads.map(register, range(8)))
    versions = server.ask("GET", f"/subjects/{subject}/versions")[1]
    assert versions == list(range(1, 3 * 8 + 3 + 1))
    by_version = [server.ask("GET", f"/subjects/{subject}/versions/{v}")[1]["id"] for v in versions]
    assert len(set(by_version)) == len(versions)
    assert set(by_version) == {one for of_worker in ids for one in of_worker}
    assert all(len({of_worker[turn] for of_worker in ids}) == 1 for turn in (1, 3, 5))


def contract(owner: str, reads: list[str], *fields: str) -> dict[str, Any]:
    properties = {"prism.owner": owner, "prism.contact": f"{owner}@example.org", "prism.reads": json.dumps(reads)}
    return body(record(*fields), metadata={"properties": properties})


def test_what_would_break_a_consumer_is_refused_and_names_it(server: Served, subject: str) -> None:
    server.register(subject, record("a?", "b?"))
    assert (
        server.ask("POST", f"/subjects/{subject}.readers.billing/versions", contract("finance", ["b"], "b"))[0] == 200
    )
    usage = {"consumer": "billing", "subject": subject, "version": 1, "fields": ["b"], "at": 0}
    assert server.ask("POST", "/prism/usage", usage) == (200, {})
    server.register(subject, record("a?", "b?", "c?"))
    status, found = server.ask("POST", f"/subjects/{subject}/versions", body(record("a?")))
    assert status == 409
    assert "breaks consumer billing, which reads b: finance, finance@example.org (last read " in found["message"]
    server.register(subject, record("b?"))  # nobody reads a
    # Another level does not matter: a consumer breaks all the same.
    server.ask("PUT", f"/config/{subject}", {"compatibility": "NONE"})
    assert code(server.ask("POST", f"/subjects/{subject}/versions", body(record("a?")))) == 409
    assert server.ask("POST", f"/compatibility/subjects/{subject}/versions/latest", body(record("a?"))) == (
        200,
        {"is_compatible": False},
    )
    server.ask("DELETE", f"/subjects/{subject}.readers.billing")
    server.register(subject, record("a?"))


def test_contracts_owe_nothing_to_their_earlier_versions(server: Served, subject: str) -> None:
    name = f"{subject}.readers.billing"
    for fields in (["a"], ["b"]):
        assert server.ask("POST", f"/subjects/{name}/versions", contract("finance", fields, *fields))[0] == 200
    assert server.ask("GET", f"/config/{name}") == (200, {"compatibilityLevel": "NONE"})
    broken = body(record("a"), metadata={"properties": {"prism.reads": "not JSON"}})
    assert code(server.ask("POST", f"/subjects/{name}/versions", broken)) == 42201


def test_usage_keeps_the_newest_of_each_consumer_and_version(server: Served, subject: str) -> None:
    server.register(subject, record("a?"))
    for at, fields in ((2000, ["a", "b"]), (1000, ["old"])):
        server.ask(
            "POST", "/prism/usage", {"consumer": "c", "subject": subject, "version": 1, "fields": fields, "at": at}
        )
    found = {"consumer": "c", "subject": subject, "version": 1, "fields": ["a", "b"], "at": 2000}
    assert server.ask("GET", f"/prism/usage/{subject}") == (200, [found])
    assert code(server.ask("POST", "/prism/usage", {**found, "version": 9})) == 40402
    server.ask("POST", "/prism/usage", {**found, "at": 2**52})  # a clock that runs ahead
    assert server.ask("GET", f"/prism/usage/{subject}")[1][0]["at"] < 2**43
