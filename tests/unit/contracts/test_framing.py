"""The registry header: ids in front of payloads, and what is remembered of ids that nobody knows."""

from collections.abc import Callable

import pytest

from prismlib.contracts.framing import (
    REMEMBERED_UNKNOWN_IDS,
    UNKNOWN_ID_SECONDS,
    WriterSchemas,
    framed_id,
    header,
)
from prismlib.contracts.registry import FormatName, RegisteredSchema
from prismlib.errors import (
    ConfigError,
    DecodeError,
    RegistryUnavailableError,
    SchemaDriftError,
    SchemaNotFoundError,
    SchemaParseError,
)


class Registry:
    """Knows what is in ``released``, notes each id that it is asked for, and can be ``broken``."""

    def __init__(self) -> None:
        self.released: dict[int, RegisteredSchema] = {}
        self.asked: list[int] = []
        self.broken: Exception | None = None

    def release(self, schema_id: int, fmt: FormatName = "avro") -> RegisteredSchema:
        self.released[schema_id] = RegisteredSchema(schema_id, "orders-value", 3, fmt, "")
        return self.released[schema_id]

    def by_id(self, schema_id: int) -> RegisteredSchema:
        self.asked.append(schema_id)
        if self.broken is not None:
            raise self.broken
        if schema_id not in self.released:
            raise SchemaNotFoundError("no such id")
        return self.released[schema_id]


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.mark.parametrize("schema_id", [0, 1, 256, 2**31 - 1])
def test_an_id_is_read_back(schema_id: int) -> None:
    assert len(header(schema_id)) == 5
    assert framed_id(header(schema_id)) == schema_id
    assert framed_id(header(schema_id) + b"payload") == schema_id


def test_the_header_is_a_zero_byte_and_the_id_in_big_endian() -> None:
    assert header(0x01020304) == b"\x00\x01\x02\x03\x04"


@pytest.mark.parametrize("value", [b"", b"\0", b"\0\0\0\0", b"\1\0\0\0\1", b"{}    "])
def test_without_a_header_there_is_no_id(registry: Registry, value: bytes) -> None:
    assert framed_id(value) is None
    with pytest.raises(DecodeError, match="does not start with a registry header") as raised:
        WriterSchemas(registry, "avro").of(value)  # type: ignore[arg-type]  # by_id is all that is asked
    assert raised.value.code == "no-schema-id"
    assert registry.asked == []


def test_the_schema_that_a_header_names_is_found(registry: Registry) -> None:
    released = registry.release(7)
    assert WriterSchemas(registry, "avro").of(header(7) + b"x") is released  # type: ignore[arg-type]  # as above


def test_an_id_of_another_format_is_drift(registry: Registry) -> None:
    registry.release(7, "protobuf")
    with pytest.raises(SchemaDriftError, match=r"orders-value version 3\) is of the format protobuf.* decodes avro"):
        WriterSchemas(registry, "avro").of(header(7))  # type: ignore[arg-type]  # as above


@pytest.mark.parametrize("error", [RegistryUnavailableError, SchemaParseError, ConfigError])
def test_a_registry_that_cannot_answer_is_drift_and_asked_again(registry: Registry, error: type[Exception]) -> None:
    released = registry.release(7)
    schemas = WriterSchemas(registry, "avro")  # type: ignore[arg-type]  # as above
    registry.broken = error("why it cannot")
    with pytest.raises(SchemaDriftError, match="schema id 7 cannot be looked up: why it cannot"):
        schemas.of(header(7))
    registry.broken = None
    assert schemas.of(header(7)) is released


def asking(schemas: WriterSchemas) -> Callable[[int], None]:
    def ask(schema_id: int) -> None:
        with pytest.raises(DecodeError, match=f"knows no schema id {schema_id};") as raised:
            schemas.of(header(schema_id))
        assert raised.value.code == "unknown-schema-id"

    return ask


def test_an_unknown_id_is_asked_for_again_after_a_while(registry: Registry) -> None:
    now = [0.0]
    schemas = WriterSchemas(registry, "avro", lambda: now[0])  # type: ignore[arg-type]  # as above
    ask = asking(schemas)
    ask(7)
    now[0] = UNKNOWN_ID_SECONDS - 1
    ask(7)
    assert registry.asked == [7]
    now[0] = UNKNOWN_ID_SECONDS
    ask(7)
    assert registry.asked == [7, 7]
    released = registry.release(7)
    now[0] *= 2
    assert schemas.of(header(7)) is released


def test_of_unknown_ids_only_the_latest_are_remembered(registry: Registry) -> None:
    ask = asking(WriterSchemas(registry, "avro"))  # type: ignore[arg-type]  # as above
    for schema_id in range(REMEMBERED_UNKNOWN_IDS + 1):
        ask(schema_id)
    ask(1)
    ask(REMEMBERED_UNKNOWN_IDS)
    assert len(registry.asked) == REMEMBERED_UNKNOWN_IDS + 1
    ask(0)
    assert registry.asked[-1] == 0
