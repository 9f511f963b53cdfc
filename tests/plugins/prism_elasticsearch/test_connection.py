from __future__ import annotations

import base64
import gzip
import logging
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from prism_elasticsearch.administration import ElasticsearchAdministration
from prism_elasticsearch.config import ElasticsearchConfig
from prism_elasticsearch.connection import check_version, connect
from prism_elasticsearch.sink import ElasticsearchSink
from prismlib.config.model import Secret
from prismlib.errors import ConfigError, FatalError, PrismError, RetryableError, UnreachableError
from tests.http_server import Reply, Seen, answers
from tests.plugins.prism_elasticsearch.fault_proxy import FaultProxy
from tests.plugins.prism_elasticsearch.node import documents

PASSWORD = "correct horse battery staple"
BASIC = base64.b64encode(f"prism:{PASSWORD}".encode()).decode()
KEY = "VnVhQ2ZHY0JDZGJrUW0tZTVhT3g6dWkybHAyYXhUTm1zeWFrdzl0dk5udw=="


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return tmp_path / "ca.pem"


@pytest.fixture
def guarded(authority: trustme.CA) -> Iterator[FaultProxy]:
    """A server that speaks TLS and asks for a password."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)

    def reply(seen: Seen) -> Reply | None:
        if seen.headers.get("authorization") != f"Basic {BASIC}":
            return Reply(401, f'{{"error":{{"type":"security_exception","reason":"{PASSWORD}"}}}}'.encode())
        return Reply(200, b'{"version":{"number":"9.1.0"}}')

    with FaultProxy(tls=context) as proxy:
        proxy.reply = reply
        yield proxy


def config(url: str, **more: Any) -> ElasticsearchConfig:
    return ElasticsearchConfig(url=url, alias="events", **more)


def test_tls_and_a_password(guarded: FaultProxy, ca_file: Path) -> None:
    given = config(guarded.url, username=Secret("prism"), password=Secret(PASSWORD), ca_certs=ca_file.name)
    connection = connect(given, ca_file.parent)
    assert check_version(connection) == "9.1.0"
    assert guarded.seen[0].headers["authorization"] == f"Basic {BASIC}"
    connection.close()


def test_a_wrong_password_is_one_sentence_without_it(
    guarded: FaultProxy, ca_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = "Tr0ub4dor&3"
    given = config(guarded.url, username=Secret("prism"), password=Secret(wrong), ca_certs=str(ca_file))
    caplog.set_level(logging.DEBUG)
    sink = ElasticsearchSink(connect(given, Path()), "events", pipeline="p")
    said: list[str] = []
    with pytest.raises(ConfigError, match="check username and password") as opened:
        sink.open()
    with pytest.raises(FatalError, match="check username and password") as written:
        sink.write(documents([b"{}"]))
    checks = ElasticsearchAdministration(connect(given, Path()), given).preflight()
    assert [check.state for check in checks] == ["wrong"]
    said += [str(opened.value), str(written.value), checks[0].detail, repr(given), caplog.text]
    for text in said:
        assert wrong not in text
        assert PASSWORD not in text
        assert base64.b64encode(f"prism:{wrong}".encode()).decode() not in text
    assert "\n" not in str(opened.value)
    sink.close()


def test_a_certificate_of_a_stranger_is_refused_unless_the_user_says_otherwise(guarded: FaultProxy) -> None:
    secrets = {"username": Secret("prism"), "password": Secret(PASSWORD)}
    connection = connect(config(guarded.url, **secrets), Path())
    with pytest.raises(FatalError, match="set ca_certs"):
        check_version(connection)
    assert not guarded.seen
    connection.close()
    trusting = connect(config(guarded.url, verify=False, **secrets), Path())
    assert check_version(trusting) == "9.1.0"
    trusting.close()


@pytest.mark.parametrize("content", [None, b"not a certificate"])
def test_a_file_that_holds_no_certificates_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "ca.pem").write_bytes(content)
    with pytest.raises(ConfigError, match=r"ca_certs: .*ca\.pem"):
        connect(config("https://localhost:1", ca_certs="ca.pem"), tmp_path)


def test_an_api_key_and_compressed_requests() -> None:
    with FaultProxy() as server:
        server.reply = answers(Reply(200, b'{"errors":false}'))
        sink = ElasticsearchSink(
            connect(config(server.url, api_key=Secret(KEY), gzip=True), Path()), "events", pipeline="p"
        )
        sink.write(documents([b'{"a":1}']))
        (seen,) = server.seen
        assert seen.headers["authorization"] == f"ApiKey {KEY}"
        assert gzip.decompress(seen.body).endswith(b'{"_origin":{"p":3,"o":0},"a":1}\n')
        server.reply = answers(Reply(401))
        with pytest.raises(FatalError, match="check api_key"):
            sink.write(documents([b"{}"]))
        server.reply = answers(Reply(403))
        with pytest.raises(FatalError, match="rights of api_key"):
            sink.write(documents([b"{}"]))
        sink.close()


def test_credentials_that_a_server_repeats_are_cleaned_out() -> None:
    with FaultProxy() as server:
        reason = f'{{"error":{{"type":"x","reason":"header ApiKey {KEY} is odd"}}}}'.encode()
        server.reply = answers(Reply(405, reason))
        connection = connect(config(server.url, api_key=Secret(KEY)), Path())
        with pytest.raises(FatalError, match=r"\*\*\* is odd") as caught:
            connection.json("GET", "/")
        assert KEY not in str(caught.value)
        connection.close()


def test_nodes_take_turns_and_a_dead_one_does_not_stay_in_the_way() -> None:
    with FaultProxy() as one, FaultProxy() as two:
        one.reply = two.reply = answers(Reply(200, b'{"version":{"number":"9.0.1"}}'))
        dead = "http://localhost:1"
        connection = connect(config([one.url, two.url, dead]), Path())
        outcomes = []
        for _ in range(6):
            try:
                outcomes.append(check_version(connection))
            except RetryableError as error:
                outcomes.append(str(error))
        refused = f"Elasticsearch at {dead} does not answer: Connection refused"
        assert outcomes == ["9.0.1", "9.0.1", refused] * 2
        assert (len(one.seen), len(two.seen)) == (2, 2)
        connection.close()


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"version":{"number":"8.17.0"}}', "version 8.17.0, and this plugin supports 9.x only"),
        (b'{"version":{"number":"2.9.0","distribution":"opensearch"}}', "is opensearch 2.9.0 and not Elasticsearch"),
        (b'{"hello":"world"}', "is not Elasticsearch"),
    ],
)
def test_another_server_is_refused(body: bytes, says: str) -> None:
    with FaultProxy() as server:
        server.reply = answers(Reply(200, body))
        sink = ElasticsearchSink(connect(config(server.url), Path()), "events", pipeline="p")
        with pytest.raises(ConfigError, match=says):
            sink.open()
        sink.close()


def test_no_server_is_unreachable_for_commands() -> None:
    given = config("http://localhost:1")
    sink = ElasticsearchSink(connect(given, Path()), "events", pipeline="p")
    with pytest.raises(UnreachableError, match="http://localhost:1 does not answer: Connection refused"):
        sink.open()
    administration = ElasticsearchAdministration(connect(given, Path()), given)
    with pytest.raises(PrismError, match="localhost:1"):
        administration.plan()
    assert [check.state for check in administration.preflight()] == ["unreachable"]
    sink.close()
    sink.close()
    administration.close()


def test_the_path_of_an_address_is_kept() -> None:
    with FaultProxy() as server:
        server.reply = answers(Reply(200, b'{"version":{"number":"9.0.1"}}'))
        connection = connect(config(f"{server.url}/search/"), Path())
        check_version(connection)
        assert server.seen[0].path == "/search/"
        connection.close()
