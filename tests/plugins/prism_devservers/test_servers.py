"""What the real servers promise to tests: same port and data after kill -9, security, replication, no orphans."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import boto3
import psutil
import pytest
import urllib3
from botocore.exceptions import ClientError
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient
from elasticsearch import Elasticsearch as Client
from elasticsearch import helpers

from prism_devservers import Elasticsearch, Kafka, KafkaCluster, ObjectStore, SchemaRegistry, make_tls
from prism_devservers import server as server_module
from prism_devservers.kafka import Security
from prismlib.errors import ConfigError, UnreachableError
from tests.plugins.prism_devservers.clients import QUIET, consume, make_topic, produce

pytestmark = pytest.mark.real

PARENT = """
import sys, time
from pathlib import Path
from prism_devservers import ObjectStore
server = ObjectStore(folder=Path(sys.argv[1])).start()
print(server.pid, flush=True)
time.sleep(300)
"""


def test_records_go_from_kafka_into_elasticsearch(kafka: Kafka, elasticsearch: Elasticsearch) -> None:
    topic = f"in-{uuid.uuid4().hex}"
    make_topic(kafka.bootstrap, topic, 3)
    produce(kafka.bootstrap, topic, 500)
    records = consume(kafka.bootstrap, topic, 500)
    with Client(elasticsearch.url) as client:
        assert client.info()["version"]["number"].startswith("9.")
        documents = [{"_index": topic, "_id": f"{r.partition()}-{r.offset()}", "v": int(r.value())} for r in records]
        for _ in range(2):
            helpers.bulk(client, documents, refresh=True)
        client.indices.update_aliases(actions=[{"add": {"index": topic, "alias": f"{topic}-alias"}}])
        assert client.count(index=f"{topic}-alias")["count"] == 500


def test_kafka_comes_back_from_kill_9_on_its_port_with_its_records_and_offsets() -> None:
    with Kafka() as kafka:
        bootstrap, group = kafka.bootstrap, "g"
        make_topic(bootstrap, "t")
        produce(bootstrap, "t", 50)
        assert len(consume(bootstrap, "t", 20, group)) == 20
        kafka.kill()
        assert kafka.pid is None
        assert kafka.exit_code == -signal.SIGKILL
        kafka.start()
        assert kafka.bootstrap == bootstrap
        assert [int(record.value()) for record in consume(bootstrap, "t", 30, group)] == list(range(20, 50))
        kafka.stop()
        kafka.start()
        produce(bootstrap, "t", 1)
    assert not kafka.folder.exists()


def test_elasticsearch_keeps_acknowledged_documents_over_kill_9() -> None:
    with Elasticsearch() as node:
        with Client(node.url) as client:
            for number in range(20):
                client.index(index="a", id=str(number), document={"n": number})
        node.kill()
        node.start()
        with Client(node.url) as client:
            client.indices.refresh(index="a")
            assert client.count(index="a")["count"] == 20


def test_a_folder_of_ones_own_outlives_the_server_with_ports_and_schemas(tmp_path: Path) -> None:
    with SchemaRegistry(folder=tmp_path / "registry") as registry:
        url = registry.url
        assert register(registry, "s", "a").status == 200
        level = {"compatibility": "FORWARD"}
        assert urllib3.request("PUT", f"{url}/config/s", json=level).status == 200
        registry.kill()
        registry.start()
        assert urllib3.request("GET", f"{url}/subjects").json() == ["s"]
    with SchemaRegistry(folder=tmp_path / "registry") as again:
        assert again.url == url
        assert urllib3.request("GET", f"{url}/config/s").json() == {"compatibilityLevel": "FORWARD"}


@pytest.mark.slow
@pytest.mark.parametrize("security", ["SSL", "SASL_SSL", "SASL_PLAINTEXT"])
def test_a_secured_listener_admits_only_who_has_certificate_and_password(security: Security, tmp_path: Path) -> None:
    tls = make_tls(tmp_path)
    right = {"security.protocol": security}
    if "SSL" in security.split("_"):
        right["ssl.ca.location"] = str(tls / "ca.pem")
    if "SASL" in security:
        right |= {"sasl.mechanism": "SCRAM-SHA-256", "sasl.username": "alice", "sasl.password": "wonder"}
    if "SASL" in security:
        wrong = right | {"sasl.password": "no"}
    else:
        (tmp_path / "other").mkdir()
        wrong = right | {"ssl.ca.location": str(make_tls(tmp_path / "other") / "ca.pem")}
    with Kafka(security=security, users={"alice": "wonder"}, tls=tls) as kafka:
        make_topic(kafka.bootstrap, "t")
        produce(kafka.secure_bootstrap, "t", 3, **right)
        assert len(consume(kafka.secure_bootstrap, "t", 3, **right)) == 3
        with pytest.raises(KafkaException):
            AdminClient({"bootstrap.servers": kafka.secure_bootstrap, **QUIET, **wrong}).list_topics(timeout=3)


def test_a_secured_listener_without_its_secrets_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs users"):
        Kafka(security="SASL_PLAINTEXT")
    with pytest.raises(ConfigError, match="needs certificates"):
        Kafka(security="SSL")


@pytest.mark.slow
def test_three_brokers_lose_nothing_when_one_is_killed() -> None:
    with KafkaCluster(3, heap="192m") as cluster:
        make_topic(cluster.bootstrap, "t", 3, 3, **{"min.insync.replicas": "2"})
        produce(cluster.bootstrap, "t", 300, acks="all")
        cluster.nodes[0].kill()
        produce(cluster.bootstrap, "t", 300, acks="all")
        assert len(consume(cluster.bootstrap, "t", 600)) == 600
        cluster.start()
        assert all(node.pid is not None for node in cluster.nodes)


@pytest.mark.slow
def test_a_committed_transaction_is_finished_on_a_broker_that_was_dead_meanwhile() -> None:
    """Kafka 4.3.0 to 4.4.0 take a partition without a leader for a deleted one, and its transaction stays open for ever."""
    with KafkaCluster(3, heap="192m") as cluster:
        make_topic(cluster.bootstrap, "t", partitions=3, replicas=1)
        producer = Producer({"bootstrap.servers": cluster.bootstrap, "transactional.id": "t", **QUIET})
        producer.init_transactions(30)
        producer.begin_transaction()
        for partition in range(3):
            producer.produce("t", b"%d" % partition, partition=partition)
        assert producer.flush(30) == 0
        cluster.nodes[0].kill()
        producer.commit_transaction(30)
        admin = AdminClient({"bootstrap.servers": cluster.bootstrap, **QUIET})
        end = time.monotonic() + 30
        while -1 not in {p.leader for p in admin.list_topics("t", timeout=10).topics["t"].partitions.values()}:
            assert time.monotonic() < end, "the dead broker still counts as a leader"
            time.sleep(0.1)
        time.sleep(1)  # so that the coordinator tries again to write the end of the transaction
        cluster.nodes[0].start()
        records = consume(cluster.bootstrap, "t", 3, **{"isolation.level": "read_committed"})
    assert sorted(int(record.value()) for record in records) == [0, 1, 2]


def test_the_registry_starts_backward_compatible_and_refuses_what_breaks(schema_registry: SchemaRegistry) -> None:
    subject = uuid.uuid4().hex
    first, again, breaking = (register(schema_registry, subject, field) for field in ("a", "a", "b"))
    assert first.status == again.status == 200
    assert first.json() == again.json()
    assert breaking.status == 409


def test_registries_run_side_by_side_and_listen_on_loopback_only(schema_registry: SchemaRegistry) -> None:
    with SchemaRegistry() as second:
        for one in (schema_registry, second):
            connections = psutil.Process(one.pid).net_connections("inet")
            addresses = {c.laddr.ip.removeprefix("::ffff:") for c in connections if c.status == psutil.CONN_LISTEN}
            assert addresses == {"127.0.0.1"}


def register(registry: SchemaRegistry, subject: str, field: str) -> urllib3.BaseHTTPResponse:
    schema = json.dumps({"type": "record", "name": "R", "fields": [{"name": field, "type": "int"}]})
    return urllib3.request("POST", f"{registry.url}/subjects/{subject}/versions", json={"schema": schema})


def test_the_object_store_checks_signatures_and_conditions(object_store: ObjectStore) -> None:
    def client(secret: str) -> boto3.client:
        return boto3.client(
            "s3",
            endpoint_url=object_store.url,
            aws_access_key_id=object_store.access_key,
            aws_secret_access_key=secret,
            region_name="us-east-1",
        )

    right, bucket = client(object_store.secret_key), f"bucket-{uuid.uuid4().hex}"
    right.create_bucket(Bucket=bucket)
    right.put_object(Bucket=bucket, Key="k", Body=b"1", IfNoneMatch="*")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        right.put_object(Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*")
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        client("wrong").get_object(Bucket=bucket, Key="k")


def test_a_server_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    server = psutil.Process(int(parent.stdout.readline()))
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    assert psutil.wait_procs([server], timeout=10)[1] == [] or server.status() == psutil.STATUS_ZOMBIE


def test_a_new_server_moves_when_its_port_is_taken_at_the_last_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "is_free", lambda _: True)
    server = ObjectStore()
    taken = server.ports["http"]
    with socket.socket() as other:
        other.bind(("127.0.0.1", taken))
        other.listen()
        with server:
            assert server.ports["http"] != taken
            assert server.answers()


def test_a_server_that_was_used_never_moves_and_names_the_taken_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "_PORT_SECONDS", 0.1)
    with ObjectStore(folder=tmp_path) as server:
        port = server.ports["http"]
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        again = ObjectStore(folder=tmp_path)
        with pytest.raises(UnreachableError, match=f"another program listens on a port of object-store \\({port}\\)"):
            again.start()
        again.close()


def test_a_server_that_cannot_start_says_so_with_its_log() -> None:
    node = Elasticsearch({"no.such.setting": "1"})
    with pytest.raises(UnreachableError, match="elasticsearch ended with exit code 1 while it started") as caught:
        node.start()
    node.close()
    assert "unknown setting [no.such.setting]" in "".join(caught.value.__notes__)
