"""Real flights and weather, through a real Kafka broker, normalized, into a real Elasticsearch node.

    scripts/demo                  until Ctrl-C
    scripts/demo --once --json    to its end; the last line is one JSON object

Two producers publish a month of flights (Avro) and of weather (Protobuf). Worker 1 brings both into one standard event
on one topic, worker 2 brings that into an index. Every number at the end is asked of the servers, not of Prism.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3
from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from prism_devservers import Elasticsearch, Kafka
from prismlib.contracts.directory import DirectoryRegistry
from prismlib.errors import PrismError

HERE = Path(__file__).resolve().parent
PIPELINES = (HERE / "pipelines" / "air-traffic.toml", HERE / "pipelines" / "air-traffic-index.toml")
DEAD_LETTERS = ("air-traffic.dead-letters", "air-traffic-index.dead-letters")
EVENTS = "air-traffic"
PATIENCE = 300.0  # seconds without any progress after which the demo gives up


@dataclass(frozen=True, slots=True)
class Totals:
    """What the servers hold in the end."""

    published: dict[str, int]
    normalized: int
    indexed: int
    dead_letters: int
    seconds: float

    @property
    def complete(self) -> bool:
        """Every published record is an event, and every event is in the index."""
        return sum(self.published.values()) == self.normalized + self.dead_letters == self.indexed + self.dead_letters


class DemoError(Exception):
    """Why the demo cannot go on, in one sentence."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; returns the exit code: 0 done, 1 when a record is missing, 3 when it could not run."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__.partition("\n")[0])
    parser.add_argument("--real", action="store_true", help="on a real Kafka and Elasticsearch, which is the default")
    parser.add_argument("--once", action="store_true", help="end by itself when everything is indexed")
    parser.add_argument("--json", action="store_true", help="print the totals as one JSON object, as the last line")
    options = parser.parse_args(arguments)
    screen = Console(stderr=options.json)
    try:
        with ExitStack() as stack:
            return _play(screen, stack, once=options.once, as_json=options.json)
    except (PrismError, DemoError) as error:
        screen.print(f"demo: {error}", style="red", highlight=False)
        return 3
    except KeyboardInterrupt:
        screen.print("\nstopped")
        return 130


def _play(screen: Console, stack: ExitStack, *, once: bool, as_json: bool) -> int:
    from examples.air_traffic.air_traffic import producers  # noqa: PLC0415  # after the arguments are known to be right

    began = time.monotonic()
    screen.print("[bold]Prism[/bold]: a month of New York's flights and weather, from Kafka into Elasticsearch\n")
    with screen.status("starting a Kafka broker and an Elasticsearch node"):
        kafka, elasticsearch = Kafka(), Elasticsearch()
        for server in (kafka, elasticsearch):
            stack.callback(server.close)
            server.spawn()
        for server in (kafka, elasticsearch):
            server.wait()
    screen.print(f"Kafka at {kafka.bootstrap}, Elasticsearch at {elasticsearch.url}", highlight=False)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="prism-demo-")))
    world = _World(kafka.bootstrap, elasticsearch.url, folder)
    world.create_topics("flights", "weather")
    with screen.status("prism setup: topics, ledger, index template, first generation, alias"):
        for pipeline in PIPELINES:
            world.prism("setup", str(pipeline), "--yes")

    registry = DirectoryRegistry(HERE / "schemas")
    columns = (TextColumn("{task.description:<36}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    published: dict[str, int] = {}
    with Progress(*columns, console=screen) as bars, world.workers():
        for topic, publish, count, fmt in (
            ("flights", producers.publish_flights, producers.count_flights(), "Avro"),
            ("weather", producers.publish_weather, producers.count_weather(), "Protobuf"),
        ):
            bar = bars.add_task(f"published to {topic} ({fmt})", total=count)
            published[topic] = publish(kafka.bootstrap, registry, lambda n, bar=bar: bars.update(bar, completed=n))
        total = sum(published.values())
        normalized = bars.add_task(f"normalized to {EVENTS} (worker 1)", total=total)
        indexed = bars.add_task("indexed (worker 2)", total=total)

        def show() -> int:
            done = world.indexed()
            bars.update(normalized, completed=min(total, world.end_of(EVENTS)))
            bars.update(indexed, completed=done)
            return done

        world.wait_for(total, show)
        bars.update(normalized, completed=world.records(EVENTS))
        totals = Totals(
            published,
            normalized=world.records(EVENTS),
            indexed=world.indexed(),
            dead_letters=sum(world.records(topic) for topic in DEAD_LETTERS),
            seconds=round(time.monotonic() - began, 1),
        )
        bars.stop()
        _report(screen, totals, world.days())
        if not once:
            screen.print("\nThe servers and both workers go on until Ctrl-C. Try, in another terminal:")
            for pipeline in PIPELINES:
                screen.print(f"  {world.shell_environment} prism check {os.path.relpath(pipeline)}")
            screen.print(f"  curl '{elasticsearch.url}/{EVENTS}/_search?q=airport:JFK&size=1&pretty'")
            signal.pause()
    if as_json:
        answer = {
            "published": totals.published,
            "normalized": totals.normalized,
            "indexed": totals.indexed,
            "dead_letters": totals.dead_letters,
            "backend": "kafka+elasticsearch",
            "seconds": totals.seconds,
        }
        sys.stdout.write(json.dumps(answer) + "\n")
    return 0 if totals.complete else 1


def _report(screen: Console, totals: Totals, days: Sequence[dict[str, Any]]) -> None:
    table = Table(title="Departures by day in New York", title_justify="left")
    for name, side in (("day", "left"), ("flights", "right"), ("cancelled", "right"), ("mean delay, min", "right")):
        table.add_column(name, justify=side)  # type: ignore[arg-type]
    for day in days:
        delay = "-" if day["delay"] is None else f"{day['delay']:.1f}"
        table.add_row(day["day"], f"{day['flights']:,}", str(day["cancelled"]), delay)
    screen.print(table)
    sent = ", ".join(f"{n:,} {topic}" for topic, n in totals.published.items())
    screen.print(
        f"published {sent}; normalized {totals.normalized:,}; indexed {totals.indexed:,}; "
        f"dead letters {totals.dead_letters}; {totals.seconds} s",
        highlight=False,
    )
    if not totals.complete:
        screen.print("Records are missing: that must not happen.", style="bold red")


class _World:
    """The two servers as the demo asks them."""

    def __init__(self, servers: str, url: str, folder: Path) -> None:
        self._servers, self._url, self._folder = servers, url, folder
        self._http = urllib3.PoolManager(retries=urllib3.Retry(3, backoff_factor=0.2))
        overrides = {"PRISM_SOURCE_SERVERS": servers, "PRISM_SINK_URL": url}
        self.shell_environment = " ".join(f"{name}={value}" for name, value in overrides.items())
        self._environment = {**os.environ, **overrides}
        self._processes: list[tuple[subprocess.Popen[bytes], Path]] = []

    def create_topics(self, *topics: str) -> None:
        admin = AdminClient({"bootstrap.servers": self._servers})
        for future in admin.create_topics([NewTopic(topic, 3, 1) for topic in topics]).values():
            future.result(30)

    def prism(self, *arguments: str) -> None:
        done = subprocess.run(  # our own command
            self._command(*arguments), env=self._environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise DemoError(f"prism {' '.join(arguments)} failed:\n{done.stderr or done.stdout}")

    @staticmethod
    def _command(*arguments: str) -> list[str]:
        return [sys.executable, "-m", "prismlib.cli.main", *arguments]

    @contextmanager
    def workers(self) -> Iterator[None]:
        """One worker of each pipeline, stopped in order at the end."""
        try:
            for pipeline in PIPELINES:
                log = self._folder / f"{pipeline.stem}.log"
                with log.open("wb") as out:
                    process = subprocess.Popen(  # our own command
                        self._command("run", str(pipeline)),
                        env=self._environment,
                        stdin=subprocess.DEVNULL,
                        stdout=out,
                        stderr=out,
                        start_new_session=True,  # Ctrl-C is for the demo, which stops its workers itself
                    )
                self._processes.append((process, log))
            yield
        finally:
            for process, _ in self._processes:
                process.terminate()
            for process, _ in self._processes:
                process.wait(60)

    def wait_for(self, total: int, ask: Callable[[], int]) -> None:
        last, since = -1, time.monotonic()
        while (done := ask()) < total:
            for process, log in self._processes:
                if process.poll() is not None:
                    raise DemoError(f"a worker ended by itself; its log:\n{log.read_text(errors='replace')[-2000:]}")
            if done != last:
                last, since = done, time.monotonic()
            elif sum(self.records(topic) for topic in DEAD_LETTERS) + done >= total:
                return
            if time.monotonic() - since > PATIENCE:
                raise DemoError(f"nothing more was indexed for {PATIENCE:.0f} s, at {done} of {total} records")
            time.sleep(0.3)

    def indexed(self) -> int:
        self._ask("POST", f"{EVENTS}/_refresh")
        return int(self._ask("GET", f"{EVENTS}/_count")["count"])

    def end_of(self, topic: str) -> int:
        """Sum of end offsets, a little above the number of records: transactions take offsets too."""
        with self._reader() as reader:
            partitions = reader.list_topics(topic, timeout=10).topics[topic].partitions
            return sum(reader.get_watermark_offsets(TopicPartition(topic, p), timeout=10)[1] for p in partitions)

    def records(self, topic: str) -> int:
        """How many records a reader of committed data finds in a topic."""
        with self._reader() as reader:
            partitions = set(reader.list_topics(topic, timeout=10).topics[topic].partitions)
            reader.assign([TopicPartition(topic, p, 0) for p in partitions])
            count = 0
            while partitions:
                for message in reader.consume(10_000, 1.0):
                    error = message.error()
                    if error is None:
                        count += 1
                    elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  # its public name
                        partitions.discard(message.partition())
                    else:
                        raise DemoError(f"{topic} cannot be read: {error}")
            return count

    @contextmanager
    def _reader(self) -> Iterator[Any]:
        settings = {
            "bootstrap.servers": self._servers,
            "group.id": "demo-count",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "log_level": 0,
        }
        reader = Consumer(settings)
        try:
            yield reader
        finally:
            reader.close()

    def days(self) -> list[dict[str, Any]]:
        """Departures of each day of New York: count, cancelled, mean departure delay in minutes."""
        self._ask("POST", f"{EVENTS}/_refresh")
        aggregation = {
            "date_histogram": {
                "field": "time",
                "calendar_interval": "day",
                "time_zone": "America/New_York",
                "format": "yyyy-MM-dd",
                "min_doc_count": 1,
            },
            "aggs": {
                "delay": {"avg": {"field": "measures.departure_delay_minutes"}},
                "cancelled": {"filter": {"term": {"attributes.cancelled": "true"}}},
            },
        }
        body = {"size": 0, "query": {"term": {"kind": "departure"}}, "aggs": {"days": aggregation}}
        buckets = self._ask("POST", f"{EVENTS}/_search", body)["aggregations"]["days"]["buckets"]
        return [
            {
                "day": bucket["key_as_string"],
                "flights": bucket["doc_count"],
                "cancelled": bucket["cancelled"]["doc_count"],
                "delay": bucket["delay"]["value"],
            }
            for bucket in buckets
        ]

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._http.request(method, f"{self._url}/{path}", json=body, timeout=30)
        if answer.status != 200:
            raise DemoError(f"Elasticsearch answered {answer.status} to {method} {path}: {answer.data[:300]!r}")
        return answer.json()


if __name__ == "__main__":
    sys.exit(main())
