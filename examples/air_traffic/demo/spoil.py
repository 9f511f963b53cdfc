"""Adds three bad records to the topic ``flights`` of the embedded demo, as a broken producer would.

python -m examples.air_traffic.demo.spoil
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import islice

from examples.air_traffic.air_traffic import producers, records
from examples.air_traffic.demo.embedded import STORAGE
from examples.air_traffic.demo.story import HERE
from prism_embedded import EmbeddedLog
from prismlib.contracts.directory import DirectoryRegistry
from prismlib.errors import PrismError


def bad_records() -> Iterator[tuple[str, tuple[bytes, bytes]]]:
    """What is wrong with each, and the record."""
    schema = DirectoryRegistry(HERE / "schemas").latest("flights-value")
    encode = producers.avro_encoder(schema.id, schema.text)
    (flight,) = islice(records.flights(producers.INPUT), 1)
    whole = encode(flight)
    yield "cut off in the middle", (b"UA1545", whole[: len(whole) // 2])
    yield "with a schema id that nobody registered", (b"UA1545", b"\0\0\0\0\x07" + whole[5:])
    yield (
        "with the departure delay 'late', where a number belongs",
        (b"UA1545", encode({**flight, "dep_delay": "late"})),
    )


def main() -> int:
    """Append them and say what they are."""
    try:
        with EmbeddedLog(STORAGE) as log:
            for what, record in bad_records():
                log.append("flights", [record])
                print(f"flights: a record {what}")
    except PrismError as error:
        print(f"error: {error}; play scripts/demo first", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
