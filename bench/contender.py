"""One contender in a process of its own: prints what it used between its first record and its last commit.

    python -m bench.contender NAME SETTINGS.json

Settings: servers, url, input, output, group, count, folder, drawn seed. Prints one JSON object: records, cpu (user and
system seconds), wall (seconds), peak_mb.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

QUIET = {"log_level": 0}


class Meter:
    """CPU and wall time from the first record on: start-up is the same for everybody and not what is compared."""

    def __init__(self) -> None:
        self.begun: tuple[float, float] | None = None

    def first(self) -> None:
        if self.begun is None:
            self.begun = (time.process_time(), time.monotonic())

    def report(self, records: int) -> None:
        assert self.begun is not None
        cpu, wall = time.process_time() - self.begun[0], time.monotonic() - self.begun[1]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"records": records, "cpu": cpu, "wall": wall, "peak_mb": peak}))


def consumer(settings: dict[str, Any]) -> Any:
    from confluent_kafka import Consumer

    made = Consumer(
        {
            "bootstrap.servers": settings["servers"],
            "group.id": settings["group"],
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "fetch.queue.backoff.ms": 10,
            **QUIET,
        }
    )
    made.subscribe([settings["input"]])
    return made


def batches(made: Any, count: int, meter: Meter) -> Iterator[list[Any]]:
    seen = 0
    while seen < count:
        first = made.poll(0.2)
        if first is None or first.error():
            continue
        meter.first()
        messages = [first, *made.consume(1999, 0)]
        seen += len(messages)
        yield messages


def by_hand_fastavro(settings: dict[str, Any], meter: Meter) -> None:
    """The best loop of a week: batches, fastavro, a mapping written out, orjson, exactly once in 1 s transactions."""
    import fastavro
    import orjson
    from confluent_kafka import Producer

    from bench.drawn import draw

    drawn = draw(settings["seed"])
    schema = fastavro.parse_schema(drawn.schema)
    scope: dict[str, Callable[[Any], Any]] = {}
    exec(drawn.by_hand, scope)  # our own text, from drawn.py
    map_row = scope["map_row"]
    source = consumer(settings)
    producer = Producer(
        {
            "bootstrap.servers": settings["servers"],
            "transactional.id": settings["group"],
            "linger.ms": 20,
            "compression.type": "lz4",
            "delivery.report.only.error": True,
            "queue.buffering.max.messages": 500_000,
            **QUIET,
        }
    )
    producer.init_transactions()
    producer.begin_transaction()
    due = time.monotonic() + 1
    read = fastavro.schemaless_reader
    output, header = settings["output"], settings["header"].encode("latin-1")
    for messages in batches(source, settings["count"], meter):
        for message in messages:
            value = message.value()
            row = read(BytesIO(value[5:]), schema)
            event = map_row(row)
            body = header + orjson.dumps(event)
            while True:
                try:
                    producer.produce(output, body, event["id"])
                    break
                except BufferError:
                    producer.poll(0.05)
        producer.poll(0)
        if time.monotonic() >= due:
            producer.send_offsets_to_transaction(source.position(source.assignment()), source.consumer_group_metadata())
            producer.commit_transaction()
            producer.begin_transaction()
            due = time.monotonic() + 1
    producer.send_offsets_to_transaction(source.position(source.assignment()), source.consumer_group_metadata())
    producer.commit_transaction()
    meter.report(settings["count"])
    source.close()


def streaming_bulk(settings: dict[str, Any], meter: Meter, *, tuned: bool = False) -> None:
    """What the client's documentation shows: parse each record, hand dicts to the helper."""
    import orjson
    from elasticsearch import Elasticsearch, helpers
    from elasticsearch.serializer import OrjsonSerializer

    client = Elasticsearch(settings["url"], **({"serializer": OrjsonSerializer()} if tuned else {}))
    source = consumer(settings)
    loads = orjson.loads if tuned else json.loads

    def actions(messages: list[Any]) -> Iterator[dict[str, Any]]:
        for message in messages:
            body = loads(message.value()[5:])
            yield {"_index": settings["output"], "_id": body["id"], "_source": body}

    for messages in batches(source, settings["count"], meter):
        for ok, item in helpers.streaming_bulk(client, actions(messages), chunk_size=2000 if tuned else 500):
            assert ok, item
        source.commit(asynchronous=True)
    # Named, because the commits in the loop have taken all that the client had stored by itself.
    source.commit(offsets=source.position(source.assignment()), asynchronous=False)
    meter.report(settings["count"])
    source.close()


def prism(settings: dict[str, Any], meter: Meter) -> None:
    """Our worker, assembled from its pipeline file as ``prism run`` does it."""
    from prismlib.cli.project import load
    from prismlib.plugin.manager import load_plugins
    from prismlib.runtime.assemble import assemble

    plugins = load_plugins()
    loaded = load(Path(settings["pipeline"]), plugins)
    runner = assemble(loaded.pipeline, plugins, worker="1", registry=loaded.registry).runner()
    poll = runner._source.poll

    def counting(max_records: int, timeout: float) -> Any:
        got = poll(max_records, timeout)
        if got:
            meter.first()
        elif runner.counters.delivered >= settings["count"] and runner._delivery.idle():
            runner.stop()
        return got

    runner._source.poll = counting
    close = runner._source.close

    def closing() -> None:
        meter.report(runner.counters.delivered)
        close()

    runner._source.close = closing
    runner.run()


def main() -> None:
    name, path = sys.argv[1:]
    settings = json.loads(Path(path).read_text())
    meter = Meter()
    {
        "prism": prism,
        "by hand, fastavro": by_hand_fastavro,
        "streaming_bulk": streaming_bulk,
        "streaming_bulk, tuned": lambda s, m: streaming_bulk(s, m, tuned=True),
    }[name](settings, meter)


if __name__ == "__main__":
    main()
