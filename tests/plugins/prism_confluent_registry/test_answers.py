"""What is asked over HTTP, what is kept, and what each answer means."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import prism_confluent_registry.registry
from prism_confluent_registry.registry import ConfluentRegistry
from prismlib.contracts.registry import Reference, RegisteredSchema, Registry, WritableRegistry, resolve_references
from prismlib.errors import (
    ContractError,
    IncompatibleSchemaError,
    RegistryUnavailableError,
    SchemaNotFoundError,
    SchemaParseError,
)
from tests.http_server import Answer, HttpServer, Reply, Seen
from tests.plugins.prism_confluent_registry.client import connect, says

MISSING = says(404, 40403, "Schema not found")


class Pages:
    """A server whose pages are given by method and path; everything else is not found."""

    def __init__(self, server: HttpServer) -> None:
        self.pages: dict[str, Answer] = {}
        self._server = server
        server.reply = self._reply

    def _reply(self, seen: Seen) -> Answer:
        return self.pages.get(f"{seen.method} {seen.path}", MISSING)

    def __setitem__(self, key: str, answer: Any) -> None:
        self.pages[key] = answer if isinstance(answer, Reply) else Reply(200, answer)

    @property
    def asked(self) -> list[str]:
        return [f"{seen.method} {seen.path}" for seen in self._server.seen]

    @property
    def sent(self) -> list[Seen]:
        return self._server.seen

    def forget(self) -> None:
        self._server.seen.clear()


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with HttpServer(lambda _: MISSING) as server:
        yield server


@pytest.fixture
def pages(server: HttpServer) -> Pages:
    return Pages(server)


@pytest.fixture
def registry(server: HttpServer) -> ConfluentRegistry:
    return connect(server.url)


def released(subject: str, version: int, schema_id: int, **more: Any) -> dict[str, Any]:
    return {"subject": subject, "version": version, "id": schema_id, "schema": '"int"', **more}


def test_it_is_a_registry_that_can_be_written(registry: ConfluentRegistry) -> None:
    asked: Registry = registry
    assert isinstance(asked, WritableRegistry)


def test_an_id_is_asked_once_and_names_its_first_subject(pages: Pages, registry: ConfluentRegistry) -> None:
    pages["GET /schemas/ids/7"] = {"schema": '"int"'}
    pages["GET /schemas/ids/7/versions"] = [
        {"subject": "b", "version": 1},
        {"subject": "a", "version": 3},
        {"subject": "a", "version": 2},
    ]
    found = registry.by_id(7)
    assert found == RegisteredSchema(7, "a", 2, "avro", '"int"')
    assert registry.by_id(7) is found
    assert pages.asked == ["GET /schemas/ids/7", "GET /schemas/ids/7/versions"]
    assert pages.sent[0].headers["accept"] == "application/vnd.schemaregistry.v1+json, application/json"


@pytest.mark.parametrize("answer", [says(404, 404, "HTTP 404 Not Found"), Reply(404, b"<html>"), says(405, 405)])
def test_a_registry_that_cannot_name_the_subjects_of_an_id_is_asked_once_too(
    pages: Pages, registry: ConfluentRegistry, answer: Reply
) -> None:
    pages["GET /schemas/ids/7"] = {"schema": "syntax = ...", "schemaType": "PROTOBUF"}
    pages["GET /schemas/ids/7/versions"] = answer
    assert registry.by_id(7) == RegisteredSchema(7, "", 0, "protobuf", "syntax = ...")
    registry.by_id(7)
    assert len(pages.asked) == 2


def test_a_schema_is_answered_although_its_subjects_cannot_be_asked_for_now(
    pages: Pages, registry: ConfluentRegistry
) -> None:
    pages["GET /schemas/ids/7"] = {"schema": '"int"'}
    pages["GET /schemas/ids/7/versions"] = Reply(403)
    assert registry.by_id(7) == RegisteredSchema(7, "", 0, "avro", '"int"')
    pages["GET /schemas/ids/7/versions"] = [{"subject": "a", "version": 1}]
    assert registry.by_id(7).subject == "a"


def test_a_version_is_asked_once_and_the_latest_anew(pages: Pages, registry: ConfluentRegistry) -> None:
    pages["GET /subjects/s/versions/1"] = released("s", 1, 5)
    pages["GET /subjects/s/versions/latest"] = released("s", 2, 6)
    pages["GET /subjects/s/versions"] = [2, 1]
    for _ in range(2):
        assert registry.version("s", 1).id == 5
        assert registry.latest("s").version == 2
        assert registry.version("s", 2).id == 6, "known since it was the latest"
        assert registry.versions("s") == [1, 2]
    asked = pages.asked
    assert asked.count("GET /subjects/s/versions/1") == 1
    assert asked.count("GET /subjects/s/versions/latest") == asked.count("GET /subjects/s/versions") == 2
    assert "GET /subjects/s/versions/2" not in asked


def test_what_was_not_found_is_asked_anew(pages: Pages, registry: ConfluentRegistry) -> None:
    with pytest.raises(SchemaNotFoundError, match="Schema not found"):
        registry.by_id(7)
    pages["GET /schemas/ids/7"] = {"schema": '"int"'}
    assert registry.by_id(7).text == '"int"'


def test_what_is_kept_is_bounded_by_number_and_by_size(
    pages: Pages, registry: ConfluentRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2, 3):
        pages[f"GET /subjects/s/versions/{number}"] = released("s", number, number, schema='"int"' + " " * 95)
    monkeypatch.setattr(prism_confluent_registry.registry, "KEPT_SCHEMAS", 2)
    for number in (1, 2, 1, 3, 1):
        registry.version("s", number)
    assert [path[-1] for path in pages.asked] == ["1", "2", "3"], "the one that was not asked for longest is forgotten"
    pages.forget()
    monkeypatch.setattr(prism_confluent_registry.registry, "KEPT_CHARACTERS", 150)
    for number in (2, 2, 3):
        registry.version("s", number)
    assert [path[-1] for path in pages.asked] == ["2", "3"]


def test_references_are_resolved_through_the_registry(pages: Pages, registry: ConfluentRegistry) -> None:
    inner = [{"name": "a.proto", "subject": "a", "version": 1}]
    outer = [{"name": "b.proto", "subject": "b", "version": 2}]
    pages["GET /subjects/a/versions/1"] = released("a", 1, 1, schema="// a", schemaType="PROTOBUF")
    pages["GET /subjects/b/versions/2"] = released("b", 2, 2, schema="// b", schemaType="PROTOBUF", references=inner)
    pages["GET /schemas/ids/3"] = {"schema": "// c", "schemaType": "PROTOBUF", "references": outer}
    found = registry.by_id(3)
    assert found.references == (Reference("b.proto", "b", 2),)
    assert resolve_references(registry, found) == {"a.proto": "// a", "b.proto": "// b"}


@pytest.mark.parametrize("name", ["a/b", "ü ?#%", ":.context:s", "..x", "a+b"])
def test_a_subject_is_one_segment_of_the_path(pages: Pages, registry: ConfluentRegistry, name: str) -> None:
    with pytest.raises(SchemaNotFoundError):
        registry.versions(name)
    (path,) = pages.asked
    assert path.count("/") == 3
    assert "?" not in path
    assert "#" not in path


@pytest.mark.parametrize("name", ["", ".", "..", "\ud800"])
def test_what_cannot_be_a_subject_is_not_asked_for(pages: Pages, registry: ConfluentRegistry, name: str) -> None:
    for ask in (registry.latest, registry.versions, lambda subject: registry.version(subject, 1)):
        with pytest.raises(SchemaNotFoundError, match="cannot be the name of a subject"):
            ask(name)
    assert pages.asked == []


def test_numbers_that_no_registry_gives_are_not_asked_for(pages: Pages, registry: ConfluentRegistry) -> None:
    """A record of garbage can name any id, and registries answer some of them with an error of their own."""
    for number in (-1, 2**31, 2**32 - 1):
        with pytest.raises(SchemaNotFoundError):
            registry.by_id(number)
    for number in (0, -1, 2**31):
        with pytest.raises(SchemaNotFoundError):
            registry.version("s", number)
    assert pages.asked == []


def test_subjects_are_sorted_and_a_subject_without_versions_is_not_found(
    pages: Pages, registry: ConfluentRegistry
) -> None:
    pages["GET /subjects"] = ["b", "a"]
    pages["GET /subjects/a/versions"] = []
    assert registry.subjects() == ["a", "b"]
    with pytest.raises(SchemaNotFoundError, match="'a' has no released version"):
        registry.versions("a")


OUR_OWN: dict[str, Callable[[ConfluentRegistry], object]] = {
    "GET /subjects": lambda registry: registry.subjects(),
    "GET /subjects/s/versions": lambda registry: registry.versions("s"),
    "GET /subjects/s/versions/latest": lambda registry: registry.latest("s"),
    "GET /subjects/s/versions/1": lambda registry: registry.version("s", 1),
    "GET /schemas/ids/7": lambda registry: registry.by_id(7),
}


@pytest.mark.parametrize("page", OUR_OWN)
@pytest.mark.parametrize(
    "body",
    [
        None,
        1,
        "text",
        [1, "a", None],
        [{}],
        {},
        {"schema": 1},
        {"schema": '"int"', "references": "x"},
        {"message": "hi"},
    ],
)
def test_json_of_somebody_else_is_not_taken_for_an_answer(
    pages: Pages, registry: ConfluentRegistry, page: str, body: Any
) -> None:
    pages[page] = body
    with pytest.raises(RegistryUnavailableError, match="as no Confluent-compatible schema registry does"):
        OUR_OWN[page](registry)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"id": 2**31}, "id must be a number"),
        ({"id": True}, "id must be a number"),
        ({"version": 0}, "version must be a number"),
        ({"schema": None}, "schema must be text"),
        ({"references": [{"name": "a", "subject": "b"}]}, "version must be a number"),
        ({"version": 2}, "it is version 2"),
    ],
)
def test_an_unfit_part_of_an_answer_is_named(
    pages: Pages, registry: ConfluentRegistry, more: dict[str, Any], said: str
) -> None:
    pages["GET /subjects/s/versions/1"] = released("s", 1, 5) | more
    with pytest.raises(RegistryUnavailableError, match=said):
        registry.version("s", 1)


def test_a_schema_type_that_is_none_of_ours_is_named(pages: Pages, registry: ConfluentRegistry) -> None:
    pages["GET /schemas/ids/7"] = {"schema": "<xsd/>", "schemaType": "XSD"}
    with pytest.raises(SchemaParseError, match="'XSD'; known are AVRO, PROTOBUF, JSON"):
        registry.by_id(7)


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (says(404, 40401), SchemaNotFoundError, "said the registry"),
        (says(404, 40406), SchemaNotFoundError, "said the registry"),
        (says(404, 404), RegistryUnavailableError, "not in the words of a schema registry; check the path in url"),
        (Reply(404, b"<html>gone</html>"), RegistryUnavailableError, "that no proxy answers in its place"),
        (Reply(404, ["odd"]), RegistryUnavailableError, "check the path"),
        (says(422, 42202), RegistryUnavailableError, "status 422, error 42202: said the registry"),
        (Reply(400, b""), RegistryUnavailableError, "status 400: no reason given"),
        (says(400, 400, "a\n\x1b[31m" + "b" * 999), RegistryUnavailableError, r"status 400: a \[31mb{290,299}$"),
    ],
)
def test_an_error_is_classed_by_its_code(
    pages: Pages, registry: ConfluentRegistry, answer: Reply, error: type[ContractError], said: str
) -> None:
    pages["GET /subjects/s/versions/latest"] = answer
    with pytest.raises(ContractError, match=said) as caught:
        registry.latest("s")
    assert type(caught.value) is error


def test_registering_reads_back_what_the_registry_made_of_it(pages: Pages, registry: ConfluentRegistry) -> None:
    pages["POST /subjects/s/versions"] = {"id": 9}
    pages["POST /subjects/s"] = {"subject": "s", "version": 4, "id": 9, "schema": "no type here"}
    pages["GET /subjects/s/versions/4"] = released("s", 4, 9, schema="{ }", schemaType="JSON")
    reference = Reference("other.json", "other", 2)
    assert registry.register("s", "jsonschema", "{}", [reference]) == RegisteredSchema(9, "s", 4, "jsonschema", "{ }")
    register, look_up, _ = pages.sent
    assert register.headers["content-type"] == "application/vnd.schemaregistry.v1+json"
    assert (
        register.json()
        == look_up.json()
        == {
            "schema": "{}",
            "schemaType": "JSON",
            "references": [{"name": "other.json", "subject": "other", "version": 2}],
        }
    )
    pages.forget()
    assert registry.version("s", 4).id == 9
    assert pages.asked == []


def test_the_type_of_an_avro_schema_is_left_out(pages: Pages, registry: ConfluentRegistry) -> None:
    pages["POST /subjects/s/versions"] = Reply(400)
    with pytest.raises(RegistryUnavailableError):
        registry.register("s", "avro", '"int"')
    assert pages.sent[0].json() == {"schema": '"int"'}


def test_a_new_version_that_one_server_does_not_know_yet_is_waited_for(
    server: HttpServer, registry: ConfluentRegistry
) -> None:
    unknown = iter([MISSING, MISSING])

    def reply(seen: Seen) -> Answer:
        if seen.path.endswith("/versions"):
            return Reply(200, {"id": 9})
        return next(unknown, Reply(200, {"version": 1})) if seen.method == "POST" else Reply(200, released("s", 1, 9))

    server.reply = reply
    assert registry.register("s", "avro", '"int"').version == 1


def test_another_id_than_registering_gave_is_not_believed(pages: Pages, registry: ConfluentRegistry) -> None:
    pages["POST /subjects/s/versions"] = {"id": 9}
    pages["POST /subjects/s"] = {"version": 4}
    pages["GET /subjects/s/versions/4"] = released("s", 4, 8)
    with pytest.raises(RegistryUnavailableError, match="the id is 8, and registering it gave 9"):
        registry.register("s", "avro", '"int"')


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (
            says(409, 409, "field x"),
            IncompatibleSchemaError,
            r"refuses the schema for the subject 's': status 409: field x",
        ),
        (Reply(409, b"conflict"), RegistryUnavailableError, "status 409"),
        (says(422, 42201, "no type"), SchemaParseError, "status 422, error 42201: no type"),
        (says(404, 40401, "no such reference"), SchemaParseError, "no such reference"),
        (says(422, 42205, "read only"), RegistryUnavailableError, "error 42205: read only"),
        (says(404, 404), RegistryUnavailableError, "check the path in url"),
    ],
)
def test_a_refused_schema_is_classed_by_its_code(
    pages: Pages, registry: ConfluentRegistry, answer: Reply, error: type[ContractError], said: str
) -> None:
    pages["POST /subjects/s/versions"] = answer
    with pytest.raises(ContractError, match=said) as caught:
        registry.register("s", "avro", '"int"')
    assert type(caught.value) is error


def test_text_that_json_cannot_carry_is_no_schema(registry: ConfluentRegistry) -> None:
    with pytest.raises(SchemaParseError, match="no Unicode"):
        registry.register("s", "avro", json.loads('"\\ud800"'))
