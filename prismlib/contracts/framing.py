"""The header that Confluent's clients put before a payload, and the schemas that headers name.

The header is one zero byte and the schema id, four bytes big-endian. Framing by GUID in a record header is not read.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from prismlib.contracts.registry import FormatName, RegisteredSchema, Registry
from prismlib.errors import ConfigError, ContractError, DecodeError, SchemaDriftError, SchemaNotFoundError

if TYPE_CHECKING:
    from prismlib.contracts.expectation import Expectation

HEADER_LENGTH: Final = 5
REMEMBERED_UNKNOWN_IDS: Final = 1024
UNKNOWN_ID_SECONDS: Final = 30.0
UNKNOWN_ID: Final = "unknown-schema-id"
"""``code`` of the error of a record whose schema id nobody knows."""


def header(schema_id: int) -> bytes:
    """The five bytes in front of a payload of schema ``schema_id`` (0 to 2**31 - 1)."""
    return b"\0" + schema_id.to_bytes(4, "big")


def framed_id(value: bytes) -> int | None:
    """The schema id in front of ``value``, or None where there is no header."""
    if len(value) < HEADER_LENGTH or value[0] != 0:
        return None
    return int.from_bytes(value[1:HEADER_LENGTH], "big")


class WriterSchemas:
    """Asks the registry for the schemas that headers name, and remembers for a while which ids it does not know.

    What it knows is not kept here: a decoder keeps what it made of a schema, and asks once per id. What it does not
    know may be registered later, so that answer expires; and since headers can be hostile, only so many are kept. Likewise a
    schema that does not write what is read may be waived later.
    """

    def __init__(
        self,
        registry: Registry,
        fmt: FormatName,
        clock: Callable[[], float] = time.monotonic,
        *,
        expected: Expectation | None = None,
    ) -> None:
        """Nothing is asked yet.

        Args:
            registry: where schemas come from.
            fmt: the format that a decoder reads.
            clock: seconds.
            expected: what the route reads; None where it passes values through.
        """
        self._registry = registry
        self._format = fmt
        self._clock = clock
        self._expected = expected
        self._unknown: OrderedDict[int, float] = OrderedDict()
        self._unfit: dict[int, tuple[float, SchemaDriftError]] = {}

    def of(self, value: bytes) -> RegisteredSchema:
        """The schema named by the header of ``value``, to be decoded with once it was checked.

        Raises:
            DecodeError, SchemaDriftError: as for ``named``.
            SchemaDriftError: ``check`` refused it less than half a minute ago.
        """
        schema_id = framed_id(value)
        refused = None if schema_id is None else self._unfit.get(schema_id)
        if refused is not None and self._clock() < refused[0]:
            raise refused[1].with_traceback(None)  # or it would grow by each time it is raised
        return self.named(value)

    def named(self, value: bytes) -> RegisteredSchema:
        """The schema named by the header of ``value``, whether or not it writes what is read.

        Raises:
            DecodeError: there is no header (``no-schema-id``), or nobody knows the id (``unknown-schema-id``).
            SchemaDriftError: the registry cannot answer now, or the id belongs to another format.
        """
        schema_id = framed_id(value)
        if schema_id is None:
            raise DecodeError(
                "the value does not start with a registry header (a zero byte and a schema id); "
                'if its producer writes none, set wire = "bare"',
                code="no-schema-id",
            )
        if self._remembered(schema_id):
            raise _unknown(schema_id)
        try:
            found = self._registry.by_id(schema_id)
        except SchemaNotFoundError as error:
            self._remember(schema_id)
            raise _unknown(schema_id) from error
        except (ContractError, ConfigError) as error:
            raise SchemaDriftError(f"schema id {schema_id} cannot be looked up: {error}", cause="registry") from error
        if found.format != self._format:
            raise SchemaDriftError(
                f"schema id {schema_id} (subject {found.subject} version {found.version}) is of the format {found.format}, "
                f"and this route decodes {self._format}; change the route's decode, or move the producer to a topic of its own"
            )
        return found

    def check(self, writer: RegisteredSchema) -> None:
        """The consumer's check, for a schema that appears for the first time; its refusal counts for half a minute.

        Raises:
            SchemaDriftError: the schema does not write what is read; a decoder must not keep that.
            SchemaParseError: it is no schema.
            SchemaNotFoundError, RegistryUnavailableError: what it imports cannot be had now.
        """
        if self._expected is None:
            return
        self._unfit.pop(writer.id, None)
        try:
            self._expected.check(writer)
        except SchemaDriftError as error:
            self._unfit[writer.id] = self._clock() + UNKNOWN_ID_SECONDS, error
            raise

    def _remembered(self, schema_id: int) -> bool:
        expires = self._unknown.get(schema_id)
        if expires is None:
            return False
        if self._clock() < expires:
            return True
        del self._unknown[schema_id]
        return False

    def _remember(self, schema_id: int) -> None:
        self._unknown[schema_id] = self._clock() + UNKNOWN_ID_SECONDS
        if len(self._unknown) > REMEMBERED_UNKNOWN_IDS:
            self._unknown.popitem(last=False)


def _unknown(schema_id: int) -> DecodeError:
    return DecodeError(
        f"the registry knows no schema id {schema_id}; register the writer's schema, then retry the record",
        code=UNKNOWN_ID,
    )
