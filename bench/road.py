"""Our two workers beside hand-written loops, on a real Kafka broker and a real Elasticsearch node.

    scripts/bench                        200,000 records, three rounds, seeds 0 and 1
    scripts/bench --records 50000 --rounds 1 --seeds 0

Every contender runs in a process of its own, in turn, several rounds in one run; what counts is the lowest CPU time of
each (user and system seconds of the client, from its first record to its last commit) and the ratio between them.
Rates depend on what else the machine does; CPU seconds hardly do.
"""

from __future__ import annotations

import argparse
import json
import struct
import subprocess
import sys
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import urllib3
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from rich.console import Console
from rich.table import Table

from bench.drawn import Drawn, draw
from prism_devservers import Elasticsearch, Kafka
from prism_elasticsearch.config import ElasticsearchConfig
from prism_elasticsearch.templates import events
from prismlib.config.model import validate
from prismlib.contracts.directory import DirectoryRegistry

OTHERS = """\
other benchmarks, which need no servers:
  .venv/bin/python -m bench.contracts       schema checks: a cold start, a folder of a thousand subjects, one pair
  .venv/bin/python -m bench.mapping         compiled mappings
  .venv/bin/python -m bench.avro_codec      Avro decoding and encoding; and likewise protobuf_codec, json_codec
  .venv/bin/python -m bench.embedded        the embedded log and document store
"""
SUBJECT = 'format = "{}"\ncompatibility = "NONE"\nowner = "bench"\ncontact = "bench@example.org"\n'
EVENT = {"type": "object", "required": ["id", "kind", "time"]}
ONE = """
name = "{name}"
owner = "bench"
contact = "bench@example.org"
start = "earliest"
[source]
type = "kafka"
servers = "{servers}"
# The client reads 100,000 records ahead by itself, which costs 25 MB more and no rate is gained.
[[route]]
topic = "{topic}"
decode = {{ type = "avro", subject = "orders-value" }}
normalize = "orders.toml"
[sink]
type = "kafka"
topic = "{output}"
encode = {{ type = "json", subject = "events-value" }}
"""
TWO = """
name = "{name}"
owner = "bench"
contact = "bench@example.org"
start = "earliest"
[source]
type = "kafka"
servers = "{servers}"
# The client reads 100,000 records ahead by itself, which costs 25 MB more and no rate is gained.
[[route]]
topic = "{topic}"
decode = {{ type = "json", subject = "events-value" }}
[sink]
type = "elasticsearch"
url = "{url}"
alias = "{output}"
time_field = "time"
"""


class Road:
    """One drawn topic on the servers, and what every contender needs to know of it."""

    def __init__(self, folder: Path, seed: int, count: int, kafka: Kafka, elasticsearch: Elasticsearch) -> None:
        self.folder, self.seed, self.count = folder, seed, count
        self.servers, self.url = kafka.bootstrap, elasticsearch.url
        self.drawn: Drawn = draw(seed)
        for subject, fmt, file, schema in (
            ("orders-value", "avro", "v1.avsc", self.drawn.schema),
            ("events-value", "jsonschema", "v1.json", EVENT),
        ):
            home = folder / "schemas" / subject
            home.mkdir(parents=True)
            (home / "subject.toml").write_text(SUBJECT.format(fmt))
            (home / file).write_text(json.dumps(schema))
        (folder / "prism.toml").write_text("")
        (folder / "orders.toml").write_text(self.drawn.mapping)
        self.registry = DirectoryRegistry(folder / "schemas")
        self.input = f"orders-{seed}"
        self.events = f"events-{seed}"
        self._runs = 0

    def topic(self, name: str) -> None:
        admin = AdminClient({"bootstrap.servers": self.servers})
        admin.create_topics([NewTopic(name, 3, 1)])[name].result(20)

    def publish(self) -> None:
        self.topic(self.input)
        producer = Producer({"bootstrap.servers": self.servers, "linger.ms": 20, "compression.type": "lz4"})
        header = struct.pack(">bI", 0, self.registry.latest("orders-value").id)
        schema = fastavro.parse_schema(self.drawn.schema)
        for n in range(self.count):
            out = BytesIO()
            fastavro.schemaless_writer(out, schema, self.drawn.record(n))
            while True:
                try:
                    producer.produce(self.input, header + out.getvalue(), b"k%d" % n)
                    break
                except BufferError:
                    producer.poll(0.1)
        assert producer.flush(120) == 0

    def run(self, contender: str, worker: int) -> dict[str, Any]:
        """One contender once, with a group and an output of its own."""
        self._runs += 1
        name = f"bench-{self.seed}-{self._runs}"
        output = f"{name}-out"
        source = self.input if worker == 1 else self.events
        settings = {
            "servers": self.servers,
            "url": self.url,
            "input": source,
            "output": output,
            "group": name,
            "count": self.count,
            "seed": self.seed,
            "header": struct.pack(">bI", 0, self.registry.latest("events-value").id).decode("latin-1"),
        }
        if contender == "prism":
            pipeline = self.folder / f"{name}.toml"
            text = (ONE if worker == 1 else TWO).format(
                name=name, servers=self.servers, topic=source, output=output, url=self.url
            )
            pipeline.write_text(text)
            settings["pipeline"] = str(pipeline)
            command = [sys.executable, "-m", "prismlib.cli.main", "setup", str(pipeline), "--yes"]
            subprocess.run(command, check=True, capture_output=True)
        elif worker == 1:
            self.topic(output)
        else:
            self._index(output)
        file = self.folder / f"{name}.json"
        file.write_text(json.dumps(settings))
        command = [sys.executable, "-m", "bench.contender", contender, str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        if done.returncode:
            raise SystemExit(f"{contender} failed:\n{done.stderr}")
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        if worker == 2:
            self._check(output)
        elif contender == "prism":
            self.events = output
        return result

    def _index(self, name: str) -> None:
        """With the mapping and settings that setup makes, so that the node does the same work for everybody."""
        http = urllib3.PoolManager()
        config = validate(ElasticsearchConfig, {"url": self.url, "alias": name, "time_field": "time"}, name)
        body = events(config)["template"]
        assert http.request("PUT", f"{self.url}/{name}", json=body).status == 200

    def _check(self, name: str) -> None:
        http = urllib3.PoolManager()
        http.request("POST", f"{self.url}/{name}/_refresh")
        count = http.request("GET", f"{self.url}/{name}/_count").json()["count"]
        assert count == self.count, f"{name} holds {count} documents, not {self.count}"
        indices = http.request("GET", f"{self.url}/{name}/_settings").json()
        for index in indices:
            http.request("DELETE", f"{self.url}/{index}")


def compare(road: Road, worker: int, contenders: list[str], rounds: int, screen: Console) -> dict[str, Any]:
    best: dict[str, dict[str, float]] = {}
    for round_number in range(rounds):
        for contender in contenders:
            with screen.status(f"worker {worker}, seed {road.seed}, round {round_number + 1}: {contender}"):
                result = road.run(contender, worker)
            row = best.setdefault(contender, {"cpu": 1e9, "rate": 0.0, "peak_mb": 0.0})
            row["cpu"] = min(row["cpu"], result["cpu"] / road.count * 1e6)
            row["rate"] = max(row["rate"], road.count / result["wall"])
            row["peak_mb"] = max(row["peak_mb"], result["peak_mb"])
    base = best[contenders[1]]["cpu"]
    screen.print(f"worker {worker}, seed {road.seed}: {', '.join(road.drawn.kinds)}")
    table = Table()
    for column in ("contender", "CPU s per million", f"ratio to {contenders[1]}", "best records/s", "peak MB"):
        table.add_column(column, justify="left" if column == "contender" else "right")
    for name, row in best.items():
        table.add_row(
            name, f"{row['cpu']:.2f}", f"{row['cpu'] / base:.2f}", f"{row['rate']:,.0f}", f"{row['peak_mb']:.0f}"
        )
    screen.print(table)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description=__doc__.partition("\n")[0],
        epilog=OTHERS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--json", action="store_true", help="print all figures as one JSON object, as the last line")
    options = parser.parse_args()
    screen = Console(stderr=options.json, width=130)
    figures: dict[str, Any] = {}
    with Kafka() as kafka, Elasticsearch() as elasticsearch, tempfile.TemporaryDirectory() as temporary:
        for seed in options.seeds:
            road = Road(Path(temporary) / str(seed), seed, options.records, kafka, elasticsearch)
            with screen.status(f"publishing {options.records:,} records of seed {seed}"):
                road.publish()
            one = compare(road, 1, ["prism", "by hand, fastavro"], options.rounds, screen)
            # The node is warm after the first round; the lowest of several counts.
            two = compare(road, 2, ["prism", "streaming_bulk", "streaming_bulk, tuned"], options.rounds, screen)
            figures[str(seed)] = {"worker 1": one, "worker 2": two}
    if options.json:
        sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
