from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from prism_elasticsearch import plugin
from prism_elasticsearch.config import ElasticsearchConfig
from prismlib.config.model import validate
from prismlib.errors import ConfigError
from prismlib.plugin.hookspecs import BuildContext
from prismlib.stages import KeepsLedger

MINIMAL = {"url": "http://127.0.0.1:9200", "alias": "air-traffic"}


def read(**table: Any) -> ElasticsearchConfig:
    return validate(ElasticsearchConfig, {**MINIMAL, **table}, "index.toml: [sink]")


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"url": "127.0.0.1:9200"}, "write it like http://127.0.0.1:9200"),
        ({"url": "http://host:port"}, "is no address"),
        ({"url": []}, "at least one address"),
        ({"alias": "Air Traffic"}, "lower-case"),
        ({"alias": "a*"}, "lower-case"),
        ({"username": "me"}, "together"),
        ({"username": "me", "password": "x", "api_key": "y"}, "not both"),
        ({"ca_certs": "ca.pem"}, "https"),
        ({"ledger_index": "air-traffic-ledger"}, "ledger_index"),
        ({"time_field": "a.b"}, "top-level"),
        ({"max_in_flight": 0}, "max_in_flight"),
        ({"time_feild": "time"}, "did you mean 'time_field'"),
        ({"request_timeout": 30}, "duration"),
    ],
)
def test_what_is_wrong_is_named(table: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        read(**table)


def test_credentials_do_not_belong_into_an_address_and_are_not_repeated() -> None:
    with pytest.raises(ConfigError, match="use username and password") as caught:
        read(url="https://me:hunter22@localhost:9200")
    assert "hunter22" not in str(caught.value)


def test_the_factory_makes_a_sink_as_configured(tmp_path: Path) -> None:
    (spec,) = plugin.prism_stages()
    context = BuildContext("p", topics=["a", "b"], base=tmp_path)
    sink = spec.factory(read(max_in_flight=2, max_documents=500, max_bytes=1 << 20), context)
    assert isinstance(sink, KeepsLedger)
    assert sink.policy.versioned
    assert not sink.policy.buffers
    assert (sink.policy.stream, sink.policy.max_in_flight, sink.policy.max_documents, sink.policy.max_bytes) == (
        "air-traffic",
        2,
        500,
        1 << 20,
    )
    sink.close()


def test_the_plugin_loads_without_a_client_library_and_says_what_to_install() -> None:
    script = f"""
import sys
for name in ("urllib3", "elasticsearch", "elastic_transport"):
    sys.modules[name] = None
from prism_elasticsearch import plugin
from prism_elasticsearch.config import ElasticsearchConfig
from prismlib.errors import ConfigError
from prismlib.plugin.hookspecs import BuildContext
for spec in (*plugin.prism_stages(), *plugin.prism_stores()):
    try:
        spec.factory(ElasticsearchConfig(**{MINIMAL!r}), BuildContext("p"))
    except ConfigError as error:
        print(spec.kind, error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    sentence = 'type = "elasticsearch" needs urllib3: install prism-pipeline[elasticsearch]'
    assert done.stdout.splitlines() == [f"{kind} {sentence}" for kind in ("sink", "administration", "ledger")]
