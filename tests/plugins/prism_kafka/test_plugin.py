"""The entry point."""

from __future__ import annotations

import subprocess
import sys

import pytest

from prism_kafka import plugin
from prism_kafka.config import KafkaSinkConfig
from prismlib.errors import ConfigError
from prismlib.plugin.hookspecs import BuildContext

WITHOUT_CLIENT = """
import sys
sys.modules["confluent_kafka"] = None
from prism_kafka import plugin
from prism_kafka.config import KafkaSinkConfig, KafkaSourceConfig
from prismlib.errors import PluginLoadError
from prismlib.plugin.hookspecs import BuildContext
context = BuildContext("p", dead_letter_topic="d")
source, sink = KafkaSourceConfig(servers="a:1"), KafkaSinkConfig(servers="a:1", topic="t")
for spec in [*plugin.prism_stages(), *plugin.prism_stores()]:
    try:
        spec.factory(sink if spec.kind in {"sink", "ledger"} else source, context)
    except PluginLoadError as error:
        print(error)
"""


def test_it_offers_source_sink_and_what_stands_beside_them() -> None:
    offered = [(spec.kind, spec.name) for spec in [*plugin.prism_stages(), *plugin.prism_stores()]]
    kinds = ("source", "sink", "dead_letters", "administration", "reader", "group", "ledger")
    assert offered == [(kind, "kafka") for kind in kinds]


def test_without_the_client_library_it_says_what_to_install() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_CLIENT], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ['type = "kafka" needs confluent_kafka: install prism-pipeline[kafka]'] * 7


def test_a_sink_without_servers_says_so() -> None:
    sink = next(spec for spec in plugin.prism_stages() if spec.kind == "sink")
    with pytest.raises(ConfigError, match="'servers' is missing"):
        sink.factory(KafkaSinkConfig(topic="t"), BuildContext("p"))
