"""Decoder: bytes to rows."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from prismlib.records import Decoded, Explanation, RecordBatch


class Decoder(Protocol):
    """Turns the values of one batch into rows shaped by the reader schema, whatever each record's writer schema was.

    One instance serves one route, in one thread. Its factory receives what the normalizer reads, so that nothing else
    needs to be decoded; a FieldSet that is empty asks for the payload bytes themselves.

    - ``DEC-01`` rows are aligned with the batch: ``len(rows) == len(batch)``, or the row of ``stop``
    - ``DEC-02`` a value that cannot be decoded is in ``errors``, its row None; its neighbours are decoded all the same
    - ``DEC-03`` a tombstone's row is None and it is no error
    - ``DEC-04`` no input makes it raise, hang or grow without bound: every byte string is a row or an error
    - ``DEC-05`` the batch is not changed
    - ``DEC-06`` bytes after the end of a record are an error, not ignored
    - ``DEC-07`` with ``stop``, rows before it are decoded and none after
    - ``DEC-08`` the same batch gives the same answer again
    """

    def decode(self, batch: RecordBatch) -> Decoded:
        """Decode all values.

        Raises:
            RetryableError: nothing could be decoded now, for instance because a schema registry does not answer.
        """
        ...


@runtime_checkable
class IdentifiesSchema(Protocol):
    """Capability: the decoder can say which schema a record was written with, for dead letters and reports."""

    def schema_id(self, value: bytes) -> int | None:
        """The registry id in front of the payload, or None where there is none. Never raises."""
        ...


@runtime_checkable
class HasReader(Protocol):
    """Capability: the rows are shaped by a registered schema, which the route's settings and history chose."""

    @property
    def reader_id(self) -> int:
        """The registry id of that schema, or -1 where there is none."""
        ...


@runtime_checkable
class Explains(Protocol):
    """Capability: the decoder can say how far one bad value can be read, for people who look at dead letters."""

    def explain(self, value: bytes) -> Explanation:
        """Decode as far as possible; slow, for one record at a time. Never raises."""
        ...
