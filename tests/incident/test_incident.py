"""The story of the day that lost two days of data, and what Prism makes of each step of it.

    A producer changed its schema incompatibly. The worker that normalized the topics stopped. Nobody was told for more than
    a day. By then the broker had forgotten the consumer group's offsets, so after the restart the default
    ``auto.offset.reset=latest`` jumped over two days of data without a word.

Every scene has topics and pipelines of its own on one broker, which forgets the offsets of a group a minute after its last
member left. All scenes are prepared first, then there is one wait, then each is played to its end.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from confluent_kafka.admin import NewPartitions

from prism_devservers import Kafka
from tests.http_server import HttpServer, Reply, Seen
from tests.incident.scene import ACCEPT, Scene, await_forgotten, committed, options_of
from tests.integration.harness import MAPPING, ORDER, Worker, create_topic, event_ids, setup, wait_until, workers

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(600)]

LEDGER_INDEX = "prism-ledger"
FORGETFUL = {
    "offsets.retention.minutes": 1,
    "offsets.retention.check.interval.ms": 1000,
    "log.retention.check.interval.ms": 500,
    "log.initial.task.delay.ms": 500,
}
Scenes = Mapping[str, Scene]


@pytest.fixture(scope="module")
def scenes(elasticsearch: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scenes]:
    """All scenes, after the broker has forgotten every offset."""
    folder = tmp_path_factory.mktemp("incident")
    made: dict[str, Scene] = {}

    def told(seen: Seen) -> Reply:
        made[seen.path.removeprefix("/incident-").partition("/")[0]].told.append(seen.json()["title"])
        return Reply(200)

    with Kafka(FORGETFUL) as kafka, HttpServer(told) as alerts:
        for name in PREPARATIONS:
            made[name] = Scene(folder / name, kafka.bootstrap, elasticsearch.url, f"incident-{name}")
            made[name].alert(alerts)
        with ThreadPoolExecutor(2) as executor:
            for done in [executor.submit(PREPARATIONS[name], scene) for name, scene in made.items()]:
                done.result()
        made["ledger"].ask_when_it_is_forgotten()
        await_forgotten(sorted(made.values(), key=lambda scene: scene.expiry_ms, reverse=True))
        yield made


# --- a breaking schema -------------------------------------------------------------------------------------------------

BROKEN = json.loads(json.dumps(ORDER).replace('"at"', '"created"'))
"""Version 2: what the mapping reads has another name now."""
MENDED = ORDER | {
    "fields": [
        field | {"name": "created", "aliases": ["at"]} if field["name"] == "at" else field for field in ORDER["fields"]
    ]
}
"""Version 3 reads both."""
VISITS = """
[[route]]
topic = "{topic}"
decode = {{ type = "avro", subject = "visits-value" }}
normalize = "mappings/visits.toml"
"""


def release(scene: Scene, version: int, schema: Mapping[str, Any]) -> bytes:
    """A producer releases a version of the orders; the header of its records."""
    (scene.project.folder / "schemas" / "orders-value" / f"v{version}.avsc").write_text(json.dumps(schema))
    return b"\x00" + scene.project.registry.version("orders-value", version).id.to_bytes(4, "big")


def visits(scene: Scene) -> str:
    return f"{scene.name}-visits"


def publish_visits(scene: Scene, start: int, count: int) -> None:
    """To the other route; the body is an order's."""
    header = b"\x00" + scene.project.registry.latest("visits-value").id.to_bytes(4, "big")
    for number in range(start, start + count):
        event_id, value = scene.project.order(number, "v")
        scene.publisher.raw(header + value[5:], event_id, topic=visits(scene))
    scene.publisher.finish()


def publish_broken(scene: Scene, header: bytes, start: int, count: int) -> None:
    """Orders of version 2: the same bytes, because only a name changed."""
    for number in range(start, start + count):
        event_id, value = scene.project.order(number)
        scene.publisher.raw(header + value[5:], event_id)
    scene.publisher.finish()


def prepare_story(scene: Scene) -> None:
    """Two routes flow; a breaking schema pauses one; the workers are killed, and the producers go on."""
    project = scene.project
    project.create_topics(2)
    create_topic(scene.servers, visits(scene), 2)
    home = project.folder / "schemas" / "visits-value"
    home.mkdir()
    (home / "subject.toml").write_text((project.folder / "schemas" / "orders-value" / "subject.toml").read_text())
    (home / "v1.avsc").write_text(json.dumps(ORDER | {"name": "Visit"}))
    (project.folder / "mappings" / "visits.toml").write_text(MAPPING)
    one, two = project.worker_1(), project.worker_2()
    one.write_text(one.read_text() + VISITS.format(topic=visits(scene)))
    setup(one, two)
    running = [Worker(one), Worker(two)]
    scene.publish_orders(0, 400, 2)
    publish_visits(scene, 0, 400)
    with workers(*running):
        wait_until(lambda: scene.index.count() == 800, 90, "what both routes can read", running)
        header = release(scene, 2, BROKEN)
        publish_broken(scene, header, 400, 300)
        publish_visits(scene, 400, 300)
        wait_until(lambda: scene.index.count() == 1100, 90, "the visits, which flow on", running)
        wait_until(lambda: b"route paused" in running[0].log.read_bytes(), 30, "the pause of the orders", running)
        assert scene.index.count() == 1100
        for worker in running:
            worker.kill()
    publish_broken(scene, header, 700, 200)
    publish_visits(scene, 700, 200)
    scene.remember()


def test_a_breaking_schema_a_pause_and_offsets_that_the_broker_forgot_lose_nothing(scenes: Scenes) -> None:
    scene = scenes["story"]
    scene.is_told("paused")
    assert committed(scene.servers, f"{scene.name}-1", visits(scene)) == [None, None]
    one, two = scene.pipelines()
    pauses = scene.log(one).count("route paused")
    running = [Worker(one), Worker(two)]
    with workers(*running):
        wait_until(lambda: scene.index.count() == 1300, 90, "the visits, although the orders are paused still", running)
        wait_until(lambda: scene.log(one).count("route paused") > pauses, 30, "the pause of the orders", running)
        assert scene.index.count() == 1300
        assert "restored from the ledger" in scene.log(one)
        assert "restored from the ledger" in scene.log(two)
        release(scene, 3, MENDED)
        mapping = scene.project.folder / "mappings" / "orders.toml"
        mapping.write_text(MAPPING.replace('"at"', '"created"'))
        wait_until(lambda: scene.index.count() == 1800, 90, "the orders, without a restart", running)
        scene.is_told("resumed")
        assert [worker.stop() for worker in running] == [0, 0]
    scene.in_topic_once()
    scene.in_index_once()
    assert event_ids(scene.servers, f"{scene.name}-1.dead-letters").total() == 0


# --- data that retention deleted ---------------------------------------------------------------------------------------


def prepare_loss(scene: Scene) -> None:
    """Both workers stop; what is published then is deleted before they start again."""
    scene.project.create_topics(2)
    one, two = scene.project.worker_1(), scene.project.worker_2()
    setup(one, two)
    scene.publish_orders(0, 200, 2)
    scene.run_until(one, two, indexed=200, kill=False)


def test_deleted_records_are_refused_by_their_exact_range_and_accepted_by_it(scenes: Scenes) -> None:
    scene = scenes["loss"]
    read, pipelines = set(scene.acknowledged), scene.pipelines()
    topics = scene.project.input, scene.project.output
    # What the broker remembered before it forgot: there reading had to go on.
    nexts = dict(zip(topics, scene.remembered, strict=True))
    scene.publish_orders(0, 300, 2, "d")
    scene.publish_events(300, 2)
    doomed = scene.acknowledged - read
    scene.delete_all(*topics)
    lost = {
        topic: {f"{topic}[{p}]:{nexts[topic][p]}-{start}" for p, start in enumerate(scene.log_starts(topic))}
        for topic in topics
    }
    assert lost[topics[0]] == scene.ranges(topics[0], [event for event in doomed if event.startswith("d")])
    scene.acknowledged.difference_update(doomed)
    scene.publish_events(60, 2)
    scene.publish_orders(0, 60, 2, "l")
    for topic, pipeline in zip(topics, pipelines, strict=True):
        assert set(ACCEPT.findall(scene.refusal(pipeline))) == lost[topic], "one refusal names all that is lost"
        scene.is_told("refuses")
        scene.told.clear()
        first, second = sorted(lost[topic])
        said = scene.refusal(pipeline, "--accept-loss", first)
        assert second in ACCEPT.findall(said), "what was not accepted is refused still"
        first, end = second.rsplit("-", 1)
        assert second in ACCEPT.findall(scene.refusal(pipeline, "--accept-loss", f"{first}-{int(end) - 1}"))
    running = [
        Worker(pipeline, "1", *(f"--accept-loss={each}" for each in lost[topic]))
        for topic, pipeline in zip(topics, pipelines, strict=True)
    ]
    with workers(*running):
        wait_until(lambda: scene.index.count() >= len(scene.acknowledged), 90, "all that is still there", running)
        assert [worker.stop() for worker in running] == [0, 0]
    scene.in_index_once()
    for topic, pipeline in zip(topics, pipelines, strict=True):
        accepted = [note for note in scene.notes(pipeline) if note["kind"] == "accepted-loss"]
        assert {f"{topic}[{note['partition']}]:{note['first']}-{note['end']}" for note in accepted} == lost[topic]
        assert all(note["who"] and note["at_ms"] for note in accepted)
    scene.run_until(*pipelines, indexed=len(scene.acknowledged), kill=False)  # and needs no consent any more


# --- a topic that is created again -------------------------------------------------------------------------------------


def prepare_recreated(scene: Scene) -> None:
    """The topic is deleted and created again, with more records than were read of the old one."""
    scene.project.create_topics(2)
    one, two = scene.project.worker_1(), scene.project.worker_2()
    setup(one, two)
    scene.publish_orders(0, 200, 2, "a")
    scene.run_until(one, two, indexed=200)
    scene.admin.delete_topics([scene.project.input])[scene.project.input].result(20)


def test_a_topic_that_was_created_again_is_refused_and_read_from_its_beginning_on_consent(scenes: Scenes) -> None:
    scene = scenes["recreated"]
    create_topic(scene.servers, scene.project.input, 2)
    scene.new_producer()
    scene.publish_orders(0, 500, 2, "b")
    one, two = scene.pipelines()
    said = scene.refusal(one)
    assert f"--accept-recreated {scene.project.input}" in said
    scene.is_told("refuses")
    assert scene.delivered() == 200
    running = [Worker(one, "1", "--accept-recreated", scene.project.input), Worker(two)]
    with workers(*running):
        wait_until(lambda: scene.index.count() == 700, 90, "the old records and all new ones", running)
        assert [worker.stop() for worker in running] == [0, 0]
    scene.in_topic_once()
    scene.in_index_once()


# --- partitions that are added -----------------------------------------------------------------------------------------


def prepare_partitions(scene: Scene) -> None:
    """Both topics get partitions while nobody reads them, and records in each, for pipelines that began at the end."""
    project = scene.project
    project.create_topics(2)
    one, two = project.worker_1(), project.worker_2()
    setup(one, two)
    scene.publish_orders(0, 200, 2)
    scene.run_until(one, two, indexed=200)
    for topic in (project.input, project.output):
        scene.admin.create_partitions([NewPartitions(topic, 5)])[topic].result(20)
    for pipeline in (one, two):
        options_of(
            pipeline, 'start = "earliest"', 'start = "latest"'
        )  # what is new must not be taken for a fresh start


def test_added_partitions_are_read_from_their_beginning(scenes: Scenes) -> None:
    scene = scenes["partitions"]
    scene.new_producer()
    scene.publish_orders(0, 300, 5, "n")
    one, two = scene.pipelines()
    scene.run_until(one, two, indexed=500, kill=False)
    assert "new partition" in scene.log(one)
    assert "new partition" in scene.log(two)
    scene.in_topic_once()
    scene.in_index_once()


# --- what is told of it all --------------------------------------------------------------------------------------------


def test_the_time_that_status_tells_for_the_end_of_the_offsets_comes_true(scenes: Scenes) -> None:
    scene = scenes["ledger"]
    assert scene.forgotten_ms >= scene.expiry_ms > 0, "at the earliest, it said"
    assert scene.offset_expiry()["state"] == "forgotten"


# --- a ledger that is lost ---------------------------------------------------------------------------------------------


def prepare_ledger(scene: Scene) -> None:
    """Both pipelines have read some records, and know it from their ledgers only."""
    scene.project.create_topics(2)
    one, two = scene.project.worker_1(), scene.project.worker_2()
    setup(one, two)
    scene.publish_orders(0, 200, 2)
    scene.run_until(one, two, indexed=200)


def lose_ledgers(scene: Scene) -> None:
    topic = f"prism.ledger.{scene.name}-1"
    scene.admin.delete_topics([topic])[topic].result(20)
    scene.index.get(LEDGER_INDEX, method="DELETE")


def test_a_lost_ledger_is_refused_and_taken_up_again_from_what_the_broker_remembers(scenes: Scenes) -> None:
    scene = scenes["ledger"]
    one, two = scene.pipelines()
    scene.publish_orders(200, 200, 2)
    scene.run_until(one, two, indexed=400)  # from the ledger; the broker remembers again, for a minute
    wait_until(lambda: None not in committed(scene.servers, f"{scene.name}-2", scene.project.output), 20, "offsets")
    lose_ledgers(scene)
    scene.publish_orders(400, 200, 2)
    for pipeline in (one, two):
        assert "prism setup" in scene.refusal(pipeline, code=2)
    assert scene.index.count() == 400
    setup(one, two)
    scene.run_until(one, two, indexed=600, kill=False)
    scene.in_topic_once()
    scene.in_index_once()


PREPARATIONS = {
    "story": prepare_story,
    "loss": prepare_loss,
    "recreated": prepare_recreated,
    "partitions": prepare_partitions,
    "ledger": prepare_ledger,
}
