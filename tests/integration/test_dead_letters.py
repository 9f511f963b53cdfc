"""Dead letters on real servers: found, understood, mended, retried beside live workers, delivered exactly once."""

from __future__ import annotations

import json
import random
import struct
import subprocess
import sys
import time
from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import pytest
import urllib3
from confluent_kafka import Consumer, Producer, TopicPartition

from prismlib.contracts.directory import DirectoryRegistry
from prismlib.errors import InvalidValueError
from prismlib.records import Partition, RecordBatch
from prismlib.runtime.dead_letters import Letter, LetterBox
from tests.integration.harness import (
    MAPPING,
    ORDER,
    QUIET,
    Index,
    Project,
    Worker,
    event_ids,
    exactly_once,
    prism,
    read_topic,
    setup,
    wait_until,
    workers,
)

pytestmark = [pytest.mark.real, pytest.mark.slow]

WRONG_MAPPING = MAPPING.replace('amount = "amount"', 'amount = { from = "note", cast = "int" }')
NEW_ORDER = {**ORDER, "fields": [*ORDER["fields"], {"name": "colour", "type": "string", "default": ""}]}  # type: ignore[misc]  # a dict of JSON


def order(number: int, note: str, schema: Any = ORDER) -> bytes:
    out = BytesIO()
    body = {"id": f"o{number:07d}", "at": 1_700_000_000_000 + number, "amount": 1.0, "note": note, "colour": "red"}
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), body)
    return out.getvalue()


def codes(pipeline: Path, *options: str) -> dict[str, int]:
    found = prism("dead-letters", "list", pipeline, "--json", *options)
    assert found.returncode == 0, found.stderr
    counts: Counter[str] = Counter()
    for group in json.loads(found.stdout)["groups"]:
        counts[group["code"]] += group["open"]
    return dict(counts)


def ids(pipeline: Path, *options: str) -> list[str]:
    return prism("dead-letters", "list", pipeline, "--ids", *options).stdout.split()


def retry(pipeline: Path, *options: str) -> tuple[int, dict[str, Any]]:
    done = prism("dead-letters", "retry", pipeline, "--json", *options)
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout) if done.stdout else {"error": done.stderr}


def test_poison_of_several_kinds_is_found_mended_and_delivered_once_beside_live_workers(project: Project) -> None:
    project.create_topics(partitions=2)
    (project.folder / "mappings" / "orders.toml").write_text(WRONG_MAPPING)
    one, two = Worker(project.worker_1()), Worker(project.worker_2())
    setup(one.pipeline, two.pipeline)
    new_file = project.folder / "schemas" / "orders-value" / "v2.avsc"
    new_file.write_text(json.dumps(NEW_ORDER))
    new_id = DirectoryRegistry(project.folder / "schemas").latest("orders-value").id
    new_file.unlink()  # its producer writes before it is released
    producer = Producer({"bootstrap.servers": project.servers, **QUIET})
    kinds = {
        "good": 200,
        "note": 40,
        "unreleased": 10,
        "cut": 5,
    }  # more unreleased ones in a minute would pause the route
    expected: dict[str, set[str]] = {kind: set() for kind in kinds}
    numbers = [kind for kind, count in kinds.items() for _ in range(count)]
    random.Random(4).shuffle(numbers)
    for number, kind in enumerate(numbers):
        value = project.framing + order(number, "many" if kind == "note" else str(number))
        if kind == "unreleased":
            value = struct.pack(">bI", 0, new_id) + order(number, str(number), NEW_ORDER)
        producer.produce(project.input, value[:-2] if kind == "cut" else value, b"k%d" % (number % 7))
        expected[kind].add(f"o{number:07d}")
    assert producer.flush(30) == 0
    index = Index(project.url, project.name)
    with workers(one, two):
        wait_until(lambda: index.count() == kinds["good"], 60, "the good records in the index", [one, two])
        found = codes(one.pipeline)
        assert found.pop("truncated") == 5
        assert found.pop("unknown-schema-id") == 10
        assert list(found.values()) == [40]
        cut = ids(one.pipeline, "--reason", "truncated")[0]
        shown = prism("dead-letters", "show", one.pipeline, cut).stdout
        assert "subject orders-value version 1, avro" in shown
        assert f"id      {chr(34)}o" in shown
        assert "^^ byte" in shown
        cast = next(code for code in found if code != "truncated")
        shown = prism("dead-letters", "show", one.pipeline, ids(one.pipeline, "--reason", cast)[0]).stdout
        assert '> note    "many"' in shown

        (project.folder / "mappings" / "orders.toml").write_text(MAPPING)
        new_file.write_text(json.dumps(NEW_ORDER))
        code, dry = retry(one.pipeline)
        assert (code, dry["delivered"], dry["failed"], dry["written"]) == (1, 50, 5, False)
        assert len(event_ids(project.servers, project.output)) == 200
        code, done = retry(one.pipeline, "--yes")
        assert (code, done["delivered"], done["failed"]) == (1, 50, 5), done
        everything = expected["good"] | expected["note"] | expected["unreleased"]
        wait_until(lambda: index.count() == len(everything), 60, "the mended records in the index", [one, two])
        code, again = retry(one.pipeline, "--yes")
        assert (code, again["delivered"], again["failed"]) == (1, 0, 5)
        assert one.running()
        assert two.running()
        assert [one.stop(), two.stop()] == [0, 0]
    exactly_once(event_ids(project.servers, project.output), everything)
    exactly_once(index.event_ids(), everything)
    assert codes(one.pipeline) == {"truncated": 5}
    newest = json.loads(prism("dead-letters", "show", one.pipeline, ids(one.pipeline)[0], "--json").stdout)
    assert [attempt["attempt"] for attempt in newest["attempts"]] == [1, 2, 3]
    marks = Counter(
        headers.get("prism.mark") for _, _, headers in read_topic(project.servers, f"{one_name(one)}.dead-letters")
    )
    assert (marks[b"delivered"], marks[b"failed"]) == (50, 10)


def one_name(worker: Worker) -> str:
    return worker.pipeline.read_text().split('name = "')[1].split('"')[0]


def test_a_document_that_the_index_refused_is_indexed_once_under_its_own_id(project: Project) -> None:
    project.create_topics(partitions=1)
    one, two = Worker(project.worker_1()), Worker(project.worker_2())
    setup(one.pipeline, two.pipeline)
    header = b"\x00" + project.registry.latest("events-value").id.to_bytes(4, "big")
    producer = Producer({"bootstrap.servers": project.servers, **QUIET})
    for number in range(20):
        when = "yesterday" if number % 4 == 0 else "2025-03-01T06:00:00Z"
        body = json.dumps({"id": f"x{number}", "kind": "order", "time": when})
        producer.produce(project.output, header + body.encode(), b"k", 0)
    assert producer.flush(30) == 0
    index = Index(project.url, project.name)
    with workers(two):
        wait_until(lambda: index.count() == 15, 60, "the good documents", [two])
        wait_until(lambda: sum(codes(two.pipeline).values()) == 5, 30, "the dead letters", [two])
        code, dry = retry(two.pipeline)
        assert (code, dry["delivered"], dry["unproven"]) == (0, 5, 5), "only the index knows what it takes"
        code, done = retry(two.pipeline, "--yes", "--limit", "2")
        assert (code, done["failed"], done["delivered"]) == (1, 2, 0)
        http = urllib3.PoolManager()
        mended = {"properties": {"time": {"type": "date", "ignore_malformed": True}}}
        (name,) = index.get(project.name).keys()
        assert http.request("PUT", f"{project.url}/{name}/_mapping", json=mended).status == 200
        code, done = retry(two.pipeline, "--yes")
        assert (code, done["delivered"]) == (0, 5), done
        assert retry(two.pipeline, "--yes")[1]["total"] == 0
        assert two.running()
        assert two.stop() == 0
    exactly_once(index.event_ids(), {f"x{number}" for number in range(20)})
    index.get(f"{project.name}/_refresh", method="POST")
    hits = index.get(f"{project.name}/_search", {"size": 100, "version": True, "query": {"match_all": {}}})["hits"][
        "hits"
    ]
    versions = {hit["_id"]: hit["_version"] for hit in hits}
    assert versions == {f"{project.output}~0-0-{offset}": offset + 1 for offset in range(20)}


LETTERS = 30_000


def write_letters(project: Project, pipeline: str) -> set[str]:
    """Letters of sound records, as a worker would have written them with a wrong mapping."""
    topic = f"{pipeline}.dead-letters"
    box = LetterBox(topic, pipeline, "1", lambda *_: None, lambda _: 0)
    producer = Producer({"bootstrap.servers": project.servers, "linger.ms": 20, **QUIET})
    expected = set()
    error = InvalidValueError("the mapping was wrong", code="wrong")
    for number in range(LETTERS):
        event_id, value = project.order(number)
        batch = RecordBatch(Partition(project.input, number % 3), [number], [0], [None], [value], [None])
        headers = box.documents([Letter(batch, 0, "normalize", error)]).headers[0]
        producer.produce(topic, value, headers=list(headers or ()))
        expected.add(event_id)
        producer.poll(0)
    assert producer.flush(60) == 0
    return expected


def start_retry(pipeline: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "prismlib.cli.main", "dead-letters", "retry", str(pipeline), "--yes"]
    with pipeline.with_suffix(".retry.log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log)


def test_killed_and_concurrent_retries_deliver_each_letter_once(project: Project) -> None:
    project.create_topics(partitions=3)
    pipeline = project.worker_1()
    setup(pipeline)
    expected = write_letters(project, f"{project.name}-1")
    rng = random.Random(12)
    kills: list[int] = []
    watched = Consumer({"bootstrap.servers": project.servers, "group.id": "watch", **QUIET})

    def written() -> int:
        places = [TopicPartition(project.output, partition) for partition in range(3)]
        return sum(watched.get_watermark_offsets(place, timeout=10)[1] for place in places)

    while len(kills) < 4:
        process, before = start_retry(pipeline), written()
        deadline = time.monotonic() + 30
        while written() == before and process.poll() is None:
            said = pipeline.with_suffix(".retry.log").read_text()
            assert time.monotonic() < deadline, f"nothing was delivered after {kills}: {said}"
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.25))
        if process.poll() is not None:
            break
        process.kill()
        process.wait()
        kills.append(written())
    watched.close()
    assert len(kills) >= 2, f"the retries were too fast to be killed: {kills}"
    both = [start_retry(pipeline), start_retry(pipeline)]
    ended = [process.wait(60) for process in both]
    assert 0 in ended, pipeline.with_suffix(".retry.log").read_text()
    code, last = retry(pipeline, "--yes")
    assert (code, last["total"]) == (0, 0)
    exactly_once(event_ids(project.servers, project.output), expected)
    assert "Traceback" not in pipeline.with_suffix(".retry.log").read_text()
