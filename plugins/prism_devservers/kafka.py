"""Kafka in KRaft mode: one broker that is its own controller, or several of them."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final, Literal, Self, TypeAlias

from prism_devservers.download import fetch
from prism_devservers.java import java, java_environment, java_flags
from prism_devservers.ports import LOOPBACK
from prism_devservers.server import START_SECONDS, Launch, PortTakenError, Server
from prismlib.errors import ConfigError

Security: TypeAlias = Literal["SSL", "SASL_SSL", "SASL_PLAINTEXT"]
_CLUSTER_ID: Final = "cHJpc21kZXZzZXJ2ZXJzMA"
_MOVES: Final = 5


class Kafka(Server):
    """One broker.

    Attributes:
        node_id: its id in the cluster.
        voters: controller port by node id, of all nodes of its cluster.
    """

    kind: ClassVar[str] = "kafka"
    artifact_sets: ClassVar[Sequence[str]] = ("kafka",)
    main_class: ClassVar[str] = "kafka.Kafka"
    port_names: ClassVar[Sequence[str]] = ("client", "controller", "secure")

    def __init__(
        self,
        config: Mapping[str, object] | None = None,
        *,
        security: Security | None = None,
        users: Mapping[str, str] | None = None,
        tls: Path | None = None,
        node_id: int = 1,
        log_level: str = "warn",
        name: str | None = None,
        folder: Path | None = None,
        heap: str | None = None,
        jvm: Sequence[str] = (),
    ) -> None:
        """Choose ports; nothing runs yet.

        Args:
            config: overrides of the broker's settings.
            security: adds a second listener, :attr:`secure_bootstrap`.
            users: SCRAM-SHA-256 password by name, for the SASL listeners.
            tls: the folder of :func:`~prism_devservers.tls.make_tls`, for the SSL listeners.
            node_id: its id in a cluster.
            log_level: of the broker's log.
            name: as for Server, like ``folder``, ``heap`` and ``jvm``.
            folder: as above.
            heap: as above.
            jvm: as above.

        Raises:
            ConfigError: no port is free, or ``security`` lacks its users or certificates.
        """
        if security is not None and "SASL" in security and not users:
            raise ConfigError(f"a Kafka listener with {security} needs users: Kafka(users={{'name': 'password'}})")
        if security is not None and "SSL" in security.split("_") and tls is None:
            raise ConfigError(f"a Kafka listener with {security} needs certificates: Kafka(tls=make_tls(folder))")
        super().__init__(name=name, folder=folder, heap=heap, jvm=jvm)
        self.node_id = node_id
        self.voters: Mapping[int, int] = {}
        self._config = dict(config or {})
        self._security = security
        self._users = dict(users or {})
        self._tls = tls
        self._log_level = log_level

    @property
    def bootstrap(self) -> str:
        """``host:port`` of the listener without security."""
        return f"{LOOPBACK}:{self.ports['client']}"

    @property
    def secure_bootstrap(self) -> str:
        """``host:port`` of the listener with the security that was asked for."""
        return f"{LOOPBACK}:{self.ports['secure']}"

    @property
    def address(self) -> str:
        return self.bootstrap

    def prepare(self) -> Launch:
        jars = list(fetch(*self.artifact_sets).values())
        settings = self.folder / "server.properties"
        lines = [f"{key}={value}\n" for key, value in (self._settings() | self._config).items()]
        settings.write_text("".join(lines), encoding="utf-8")
        if not (self.folder / "data" / "meta.properties").exists():
            self._format(jars, settings)
        logger = "-Dorg.slf4j.simpleLogger"
        properties = [f"{logger}.defaultLogLevel={self._log_level}", f"{logger}.showDateTime=true"]
        properties.append(f"{logger}.dateTimeFormat=HH:mm:ss.SSS")
        return Launch(jars, properties, [str(settings)])

    def answers(self) -> bool:
        from confluent_kafka import KafkaException  # noqa: PLC0415 - of the extra [devservers]
        from confluent_kafka.admin import AdminClient  # noqa: PLC0415 - as above

        try:  # before there is a listener the client would only wait and log
            socket.create_connection((LOOPBACK, self.ports["client"]), 0.2).close()
        except OSError:
            return False
        client = AdminClient(
            {"bootstrap.servers": self.bootstrap, "log_level": 0, "error_cb": lambda _error: None}  # type: ignore[dict-item] # the client's types forget callbacks
        )
        try:
            return self.node_id in client.list_topics(timeout=2).brokers
        except KafkaException:
            return False

    def _settings(self) -> dict[str, object]:
        voters = self.voters or {self.node_id: self.ports["controller"]}
        size = len(voters)
        protocols: dict[str, str] = {"PLAINTEXT": "PLAINTEXT"}
        listeners = {"PLAINTEXT": f"PLAINTEXT://{self.bootstrap}"}
        if self._security is not None:
            protocols["SECURE"] = self._security
            listeners["SECURE"] = f"SECURE://{self.secure_bootstrap}"
        controller = f"CONTROLLER://{LOOPBACK}:{self.ports['controller']}"
        settings: dict[str, object] = {
            "process.roles": "broker,controller",
            "node.id": self.node_id,
            "controller.listener.names": "CONTROLLER",
            "controller.quorum.voters": ",".join(f"{node}@{LOOPBACK}:{port}" for node, port in voters.items()),
            "listeners": ",".join([*listeners.values(), controller]),
            "advertised.listeners": ",".join(listeners.values()),
            "listener.security.protocol.map": ",".join(
                f"{name}:{protocol}" for name, protocol in (protocols | {"CONTROLLER": "PLAINTEXT"}).items()
            ),
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": (self.folder / "data").as_posix(),
            "num.partitions": 1,
            "default.replication.factor": min(size, 3),
            # Fast on a small machine: few internal partitions, no wait for more members, short timeouts.
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 1000,
            "broker.session.timeout.ms": 3000,
            "broker.heartbeat.interval.ms": 500,
            "log.cleaner.dedupe.buffer.size": 16 << 20,
            "num.network.threads": 2,
            "num.io.threads": 4,
        }
        for topic in ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic"):
            settings[f"{topic}.num.partitions"] = 4
            settings[f"{topic}.replication.factor"] = min(size, 3)
        for topic in ("transaction.state.log", "share.coordinator.state.topic"):
            settings[f"{topic}.min.isr"] = min(size, 2)
        return settings | self._secure_settings()

    def _secure_settings(self) -> dict[str, object]:
        settings: dict[str, object] = {}
        listener = "listener.name.secure"
        if self._tls is not None:
            settings[f"{listener}.ssl.keystore.type"] = "PEM"
            settings[f"{listener}.ssl.keystore.location"] = (self._tls / "server.pem").as_posix()
            settings[f"{listener}.ssl.truststore.type"] = "PEM"
            settings[f"{listener}.ssl.truststore.location"] = (self._tls / "ca.pem").as_posix()
        if self._users:
            settings["sasl.enabled.mechanisms"] = settings[f"{listener}.sasl.enabled.mechanisms"] = "SCRAM-SHA-256"
            settings[f"{listener}.scram-sha-256.sasl.jaas.config"] = (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            )
        return settings

    def _format(self, jars: Sequence[Path], settings: Path) -> None:
        """Write the metadata of a new node; without it transactions and groups stay at their oldest protocols."""
        users = [
            argument
            for user, password in self._users.items()
            for argument in ("--add-scram", f"SCRAM-SHA-256=[name={user},password={password}]")
        ]
        executable = java()
        command = [executable, "-Xmx128m", *java_flags(executable), "-cp", os.pathsep.join(map(str, jars))]
        command += ["kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "-c", str(settings), *users]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env=java_environment()
        )
        if done.returncode:
            raise ConfigError(f"{self.name} could not format its storage: {done.stdout}{done.stderr}")


class KafkaCluster:
    """Several brokers of one cluster; replicated internal topics, no security.

    Attributes:
        nodes: the brokers, which can be killed and started one by one.
    """

    def __init__(
        self,
        size: int = 3,
        config: Mapping[str, object] | None = None,
        *,
        folder: Path | None = None,
        heap: str | None = None,
        log_level: str = "warn",
    ) -> None:
        """Choose ports; nothing runs yet.

        Args:
            size: number of brokers.
            config: overrides of every broker's settings.
            folder: holds one folder a broker and is kept; default: temporary ones.
            heap: largest Java heap of each broker.
            log_level: of the brokers' logs.
        """
        self.nodes = [
            Kafka(
                config,
                node_id=node_id,
                name=f"kafka-{node_id}",
                folder=None if folder is None else folder / f"kafka-{node_id}",
                heap=heap,
                log_level=log_level,
            )
            for node_id in range(1, size + 1)
        ]

    @property
    def bootstrap(self) -> str:
        """``host:port`` of every broker, joined by commas."""
        return ",".join(node.bootstrap for node in self.nodes)

    def start(self, timeout: float = START_SECONDS) -> Self:
        """Start all brokers that do not run, and wait until they answer. Raises as :meth:`Server.start`."""
        for attempt in range(1, _MOVES + 1):
            self._introduce()
            try:
                for node in self.nodes:  # none answers before most controllers run: spawn all, then wait
                    node.spawn()
                for node in self.nodes:
                    node.wait(timeout)
            except PortTakenError:
                if attempt == _MOVES or any(node.was_ready for node in self.nodes):
                    raise
                for node in self.nodes:  # every broker knows the ports of all: all begin again
                    node.move()
            else:
                break
        return self

    def stop(self) -> None:
        """Shut all brokers down in order."""
        for node in self.nodes:
            node.stop()

    def kill(self) -> None:
        """Kill all brokers as by ``kill -9``."""
        for node in self.nodes:
            node.kill()

    def close(self) -> None:
        """End all brokers for good; may be called twice."""
        for node in self.nodes:
            node.close()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _introduce(self) -> None:
        voters = {node.node_id: node.ports["controller"] for node in self.nodes}
        for node in self.nodes:
            node.voters = voters
