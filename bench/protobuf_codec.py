"""Protobuf codec, microseconds a record: parse only, MessageToDict, picked by hand, and ours.

    python bench/protobuf_codec.py [--records 2000] [--rounds 20]

CPU time of this process, the lowest of the rounds. Records are clicks of twelve fields: ids, times, strings, an enum, a
nested record, a list and a map.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict

from prism_protobuf.decoder import build_decoder
from prism_protobuf.encoder import build_encoder
from prism_protobuf.plugin import ProtobufConfig
from prism_protobuf.schema import message_class
from prism_protobuf.subjects import configured_message
from prismlib.contracts.directory import DirectoryRegistry
from prismlib.plugin.hookspecs import BuildContext
from prismlib.records import Partition, RecordBatch

TEXT = """
syntax = "proto3";
package bench;
import "google/protobuf/timestamp.proto";
message Click {
  string click_id = 1; string user_id = 2; google.protobuf.Timestamp time = 3; string url = 4; string referrer = 5;
  Device device = 6; int32 duration_ms = 7; int64 session = 8; optional double price = 9; repeated string tags = 10;
  Kind kind = 11; map<string, string> extra = 12;
  message Device { string os = 1; string browser = 2; int32 width = 3; int32 height = 4; }
  enum Kind { UNKNOWN = 0; VIEW = 1; BUY = 2; }
}
"""
SUBJECT = 'format = "protobuf"\ncompatibility = "BACKWARD"\nowner = "bench"\ncontact = "bench@example.org"\n'
READS = ("click_id", "time", "url", "device.os", "duration_ms", "price", "kind", "tags")


def bodies(records: int) -> list[dict[str, Any]]:
    return [
        {
            "click_id": f"c{n:012d}",
            "user_id": f"u{n % 977}",
            "time": 1_700_000_000_000_000 + n * 1_000_003,
            "url": f"https://shop.example.org/items/{n % 313}",
            "referrer": "https://search.example.org/",
            "device": {"os": "linux", "browser": "firefox", "width": 1920, "height": 1080},
            "duration_ms": n % 60_000,
            "session": n << 20,
            "price": n / 100 if n % 3 else None,
            "tags": ["sale", f"t{n % 7}"],
            "kind": ("VIEW", "BUY")[n % 2],
            "extra": {"campaign": f"k{n % 11}"},
        }
        for n in range(records)
    ]


def batch_of(values: Sequence[bytes | None]) -> RecordBatch:
    n = len(values)
    return RecordBatch(Partition("clicks", 0), range(n), [-1] * n, [None] * n, values, [None] * n)


def lowest(run: Callable[[], object], records: int, rounds: int) -> float:
    """Microseconds a record."""
    taken = []
    for _ in range(rounds):
        start = time.process_time()
        run()
        taken.append(time.process_time() - start)
    return min(taken) / records * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PRISM_CACHE"] = str(Path(folder) / "cache")
        subject = Path(folder) / "schemas" / "clicks-value"
        subject.mkdir(parents=True)
        (subject / "subject.toml").write_text(SUBJECT)
        (subject / "v1.proto").write_text(TEXT)
        registry = DirectoryRegistry(subject.parent)
        measure(registry, options.records, options.rounds)


def measure(registry: DirectoryRegistry, records: int, rounds: int) -> None:
    config = ProtobufConfig(subject="clicks-value")

    def decoder(*reads: str) -> Any:
        return build_decoder(config, BuildContext("bench", registry=registry, reads=frozenset(reads)))

    started = time.perf_counter()
    context = BuildContext("bench", registry=registry)
    _, message = configured_message(config, context)
    uncached = time.perf_counter() - started
    started = time.perf_counter()
    configured_message(config, context)
    cached = time.perf_counter() - started

    given = bodies(records)
    encoder = build_encoder(config, context)
    encoded = encoder.encode(given)
    values: list[Any] = list(encoded.values)
    parse: Any = message_class(message.descriptor).FromString
    batch = batch_of(values)
    whole, part, payloads = decoder("*"), decoder(*READS), decoder()
    answer = whole.decode(batch)
    if encoded.errors or answer.errors or list(answer.rows) != given:
        raise SystemExit("the codec does not give back what it was given")

    def by_hand(value: bytes) -> dict[str, Any]:
        m = parse(value[6:])
        return {
            "click_id": m.click_id,
            "time": m.time.seconds * 1_000_000 + m.time.nanos // 1000,
            "url": m.url,
            "device": {"os": m.device.os},
            "duration_ms": m.duration_ms,
            "price": m.price if m.HasField("price") else None,
            "tags": list(m.tags),
            "kind": ("UNKNOWN", "VIEW", "BUY")[m.kind],
        }

    as_json = [MessageToDict(parse(value[6:]), preserving_proto_field_name=True) for value in values]
    cls: Any = message_class(message.descriptor)
    contenders: dict[str, Callable[[], object]] = {
        "decode: parse only": lambda: [parse(value[6:]) for value in values],
        "decode: MessageToDict": lambda: [
            MessageToDict(parse(value[6:]), preserving_proto_field_name=True) for value in values
        ],
        "decode: 8 fields by hand": lambda: [by_hand(value) for value in values],
        "decode: ours, 8 fields": lambda: part.decode(batch),
        "decode: ours, all 12 fields and the 4 of the device": lambda: whole.decode(batch),
        "decode: ours, payload only": lambda: payloads.decode(batch),
        "encode: ParseDict": lambda: [ParseDict(body, cls()).SerializeToString() for body in as_json],
        "encode: ours": lambda: encoder.encode(given),
    }
    print(f"{records} records of {sum(map(len, values)) / records:.0f} bytes, CPU time, lowest of {rounds} rounds")
    for name, run in contenders.items():
        print(f"{name:<54} {lowest(run, records, rounds):7.2f} us")
    print(f"{'.proto text to descriptors, protoc / cached':<54} {uncached * 1e3:7.1f} / {cached * 1e3:.1f} ms")


if __name__ == "__main__":
    main()
