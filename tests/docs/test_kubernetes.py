"""The manifests of the guide fit together, and what they start does what the page says: played with processes for pods."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from prismlib.cli.supervise import GRACE_SECONDS
from prismlib.config.values import is_name
from prismlib.runtime.settings import RunnerSettings
from tests.docs.kubernetes import ConfigMap, Container, Deployment, Job, PodSpec, check_manifests, read_manifest
from tests.docs.pages import DOCS, blocks_of
from tests.docs.sessions import Session
from tests.integration.harness import create_topic, event_ids, guarded_broker, wait_until

PAGE = DOCS / "how-to" / "kubernetes.md"
TUTORIAL = DOCS / "tutorial" / "first-pipeline.md"
PASSWORD = "wonder-of-prisms"
PODS = ("orders-6d5f7c9b8d-x2k4q", "orders-6d5f7c9b8d-9vzlm")

DOCUMENTS: list[dict[str, Any]] = [
    document for block in blocks_of(PAGE) if block.language == "yaml" for document in yaml.safe_load_all(block.text)
]
MANIFESTS = [read_manifest(str(PAGE), document) for document in DOCUMENTS]
(FILES,) = (one for one in MANIFESTS if isinstance(one, ConfigMap))
(SETUP,) = (one for one in MANIFESTS if isinstance(one, Job))
(WORKERS,) = (one for one in MANIFESTS if isinstance(one, Deployment))


def test_all_manifests_fit_together() -> None:
    check_manifests(str(PAGE), DOCUMENTS)
    for pod in (SETUP.spec.template.spec, WORKERS.spec.template.spec):
        (files,) = (volume.config_map for volume in pod.volumes if volume.config_map)
        assert {item.key for item in files.items} == set(FILES.data), "each file of the ConfigMap has a path"


def test_the_grace_period_is_longer_than_a_worker_may_drain() -> None:
    grace = WORKERS.spec.template.spec.termination_grace_period_seconds
    assert grace > RunnerSettings("orders").drain_timeout
    assert grace > GRACE_SECONDS, "with --workers the supervisor waits longer still"
    assert f"for up to {RunnerSettings('orders').drain_timeout:.0f} seconds" in PAGE.read_text(encoding="utf-8")


def test_every_pod_has_a_name_that_a_worker_may_have() -> None:
    longest = "x" * 226 + "-6d5f7c9b8d-x2k4q"  # of a Deployment with the longest name whose pods Kubernetes can name
    for pod in (*PODS, longest):
        assert is_name(pod)


def test_no_container_may_write_or_become_root() -> None:
    for pod in (SETUP.spec.template.spec, WORKERS.spec.template.spec):
        assert pod.security_context.run_as_non_root
        assert pod.security_context.run_as_user > 0
        for container in pod.containers:
            assert container.security_context.read_only_root_filesystem
            assert not container.security_context.allow_privilege_escalation
            assert container.security_context.capabilities == {"drop": ["ALL"]}
            assert {m.name for m in container.volume_mounts if not m.read_only} == {"tmp"}


class Node:
    """Starts a pod's container as a process: the files where its volumes are, and the variables of its manifest."""

    def __init__(self, root: Path, replaced: Mapping[str, str], ca: Path) -> None:
        self._root, self._replaced, self._ca = root, {**replaced, "/etc/prism/kafka/ca.pem": str(ca)}, ca

    def place(self, pod: PodSpec) -> None:
        for volume in pod.volumes:
            for item in volume.config_map.items if volume.config_map else ():
                path = self._root / item.path
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(self._here(FILES.data[item.key]))

    def start(self, container: Container, name: str, log: Path) -> subprocess.Popen[bytes]:
        variables = {"KAFKA_PASSWORD": PASSWORD, "POD_NAME": name}
        assert {one.name for one in container.env} <= set(variables)
        arguments = [argument.replace("$(POD_NAME)", name) for argument in container.args]
        command = [sys.executable, "-m", "prismlib.cli.main", *map(self._here, arguments)]
        environment = {**os.environ, **{one.name: variables[one.name] for one in container.env}}
        with log.open("ab") as output:
            return subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=environment)

    def _here(self, text: str) -> str:
        for shown, real in self._replaced.items():
            text = text.replace(shown, real)
        return text


@contextmanager
def ended(processes: list[subprocess.Popen[bytes]]) -> Iterator[None]:
    try:
        yield
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
            process.wait()


@pytest.mark.real
@pytest.mark.slow
def test_the_job_sets_up_and_the_workers_share_the_topic_and_end_on_sigterm(tmp_path: Path) -> None:
    tls, root, log = tmp_path / "tls", tmp_path / "pipeline", tmp_path / "log"
    with guarded_broker(tls, PASSWORD, administrators=["prism"]) as kafka:
        create_topic(kafka.bootstrap, "orders", 4)
        node = Node(root, {"kafka.example.org:9093": kafka.secure_bootstrap, "/pipeline/": f"{root}/"}, tls / "ca.pem")
        node.place(SETUP.spec.template.spec)
        job = node.start(SETUP.spec.template.spec.containers[0], "orders-setup-x2k4q", log)
        assert job.wait(60) == 0, log.read_text()
        pod = WORKERS.spec.template.spec
        pods = [node.start(pod.containers[0], name, log) for name in PODS]
        with ended(pods):
            shop = Session(root, tmp_path / "state.sh")
            for block in blocks_of(TUTORIAL):
                if block.file == "produce.py":
                    shop.play(block)
            shop.run(f"PRISM_SOURCE_SERVERS={kafka.bootstrap} python produce.py", "produce.py")
            wait_until(lambda: len(event_ids(kafka.bootstrap, "shop-events")) == 3, 60, log.read_text())
            for process in pods:
                process.send_signal(signal.SIGTERM)
            assert [process.wait(pod.termination_grace_period_seconds) for process in pods] == [0, 0], log.read_text()
        assert set(event_ids(kafka.bootstrap, "shop-events").values()) == {1}
        assert all(f'"worker": "{name}"' in log.read_text() for name in PODS)
        assert PASSWORD not in log.read_text()
