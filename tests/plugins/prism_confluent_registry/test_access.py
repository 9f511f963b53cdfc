"""The settings of `[registry]`: what is sent, what is refused, and TLS with certificates of both sides."""

from __future__ import annotations

import base64
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from prism_confluent_registry.access import Address, addresses
from prismlib.config.model import Secret
from prismlib.errors import ConfigError, RegistryUnavailableError
from tests.http_server import HttpServer, Reply
from tests.plugins.prism_confluent_registry.client import connect

FINE = Reply(200, ["a"])
ELSEWHERE = "https://registry.example.org"


def test_a_token_is_sent_as_bearer_and_a_password_as_basic() -> None:
    with HttpServer(lambda _: FINE) as server:
        connect(server.url, token=Secret("t")).subjects()
        connect(server.url, user="üser", password=Secret("p:ä")).subjects()
        connect(server.url).subjects()
        bearer, basic, none = (seen.headers.get("authorization") for seen in server.seen)
    assert bearer == "Bearer t"
    assert basic is not None
    assert base64.b64decode(basic.removeprefix("Basic ")).decode() == "üser:p:ä"
    assert none is None


def test_the_path_of_the_address_comes_before_that_of_the_question() -> None:
    with HttpServer(lambda _: FINE) as server:
        connect(f"{server.url}/apis/ccompat/v7/").subjects()
        assert server.seen[0].path == "/apis/ccompat/v7/subjects"


def test_addresses_are_read_as_they_are_meant() -> None:
    assert addresses("HTTPS://Registry.example.org/a/, http://[::1]:8081") == [
        Address("HTTPS://Registry.example.org/a", "registry.example.org", 443, "/a", encrypted=True),
        Address("http://[::1]:8081", "::1", 8081, "", encrypted=False),
    ]


@pytest.mark.parametrize(
    ("url", "keys", "said"),
    [
        ("https://u:hush@h", {}, 'set user = "..." and password = { env = "NAME" } instead'),
        ("https://hush@h", {}, "must not hold credentials"),
        ("https//u:hush@h", {}, "one of its addresses is none"),
        ("https://h,b:8081", {}, "one of its addresses is none"),
        ("https://h,", {}, "one of its addresses is none"),
        ("https://h:hush", {}, "one of its addresses is none"),
        ("https://h:0", {}, "one of its addresses is none"),
        ("https://[hush", {}, "one of its addresses is none"),
        ("https://h u", {}, "one of its addresses is none"),
        ("https://h/?token=hush", {}, "url must end with the path"),
        ("https://h", {"user": "u"}, "user is given without password"),
        ("https://h", {"password": "hush"}, "password is given without user"),
        (
            "https://h",
            {"user": "u", "password": "hush", "token": "hush"},
            "not both; PRISM_REGISTRY_TOKEN counts as token",
        ),
        ("https://h", {"user": "u:v", "password": "hush"}, "must not hold a colon"),
        ("https://h", {"token": "hush\n"}, "characters that no token has"),
        ("https://h", {"token": ""}, "token is empty"),
        ("http://h", {"token": "hush"}, "token would travel unencrypted to http://h; begin its url with https://, or"),
        (
            "https://h,http://i",
            {"user": "u", "password": "hush"},
            "user and password would travel unencrypted to http://i",
        ),
        ("http://127.0.0.1.example.org", {"token": "hush"}, "set allow_unencrypted_credentials = true"),
        ("http://h", {"ca": "ca.pem"}, "ca is for https, and http://h is not"),
        ("https://h", {"key": "key.pem"}, "key is given without certificate"),
        ("https://h", {"ca": "nowhere.pem"}, "ca: .*nowhere.pem cannot be read as certificates"),
        ("https://h", {"certificate": "nowhere.pem"}, "certificate: .*nowhere.pem cannot be read as a certificate"),
        ("https://h", {"timeout": "5"}, "'timeout': must be a duration"),
        ("https://h", {"pasword": "hush"}, r"\[registry\]: unknown key 'pasword'; did you mean 'password'\?"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence_without_secrets(
    tmp_path: Path, url: str, keys: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        connect(url, tmp_path, **keys)
    assert "hush" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "url", ["http://localhost", "http://127.8.8.8", "http://[::1]:1", "http://a.localhost", ELSEWHERE]
)
def test_credentials_may_be_sent_within_the_machine_and_encrypted(url: str) -> None:
    assert "hush" not in repr(connect(url, token="hush"))


def test_credentials_are_sent_unencrypted_where_the_user_allows_it() -> None:
    connect("http://registry.example.org", token="hush", allow_unencrypted_credentials=True)


class Authority:
    """Certificates of one authority, for both sides."""

    def __init__(self, folder: Path) -> None:
        self._authority = trustme.CA()
        self._authority.cert_pem.write_to_path(folder / "ca.pem")
        client = self._authority.issue_cert("client@example.org")
        client.private_key_and_cert_chain_pem.write_to_path(folder / "both.pem")
        client.private_key_pem.write_to_path(folder / "key.pem")
        for number, blob in enumerate(client.cert_chain_pems):
            blob.write_to_path(folder / "certificate.pem", append=number > 0)

    def context(self, *, ask: bool = False) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._authority.issue_cert("localhost").configure_cert(context)
        if ask:
            self._authority.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def encrypted(authority: Authority) -> Iterator[HttpServer]:
    with HttpServer(lambda _: FINE, authority.context()) as server:
        yield server


def test_tls_with_an_authority_of_our_own(encrypted: HttpServer, tmp_path: Path) -> None:
    registry = connect(encrypted.url, tmp_path, ca="ca.pem", token="t")
    assert registry.subjects() == registry.subjects() == ["a"]


def test_a_certificate_that_is_not_trusted_is_refused_at_once(encrypted: HttpServer, tmp_path: Path) -> None:
    with pytest.raises(RegistryUnavailableError, match=r"certificate .* is not trusted .*; set ca to the file"):
        connect(encrypted.url, tmp_path, token="t").subjects()
    another_host = encrypted.url.replace("localhost", "127.0.0.1")
    with pytest.raises(RegistryUnavailableError, match=r"is not trusted .*IP address mismatch"):
        connect(another_host, tmp_path, ca="ca.pem", token="t").subjects()
    assert encrypted.seen == []


@pytest.mark.parametrize("keys", [{"certificate": "both.pem"}, {"certificate": "certificate.pem", "key": "key.pem"}])
def test_a_server_that_asks_for_a_certificate_gets_ours(
    authority: Authority, tmp_path: Path, keys: dict[str, str]
) -> None:
    with HttpServer(lambda _: FINE, authority.context(ask=True)) as server:
        assert connect(server.url, tmp_path, ca="ca.pem", **keys).subjects() == ["a"]
        with pytest.raises(RegistryUnavailableError, match=r"over TLS .* it may ask for a certificate of ours"):
            connect(server.url, tmp_path, ca="ca.pem", timeout="500ms").subjects()


def test_a_certificate_needs_its_key_and_one_without_a_passphrase(authority: Authority, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"certificate: .*certificate\.pem cannot be read"):
        connect(ELSEWHERE, tmp_path, certificate="certificate.pem")
    key = serialization.load_pem_private_key((tmp_path / "key.pem").read_bytes(), None)
    (tmp_path / "locked.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"hush"),
        )
    )
    with pytest.raises(ConfigError, match=r"locked\.pem cannot be read as a certificate with its unencrypted key"):
        connect(ELSEWHERE, tmp_path, certificate="certificate.pem", key="locked.pem")


def test_the_client_needs_no_pydantic() -> None:
    """A command that checks schemas against a registry starts with the client, and must start fast."""
    code = "import sys, prism_confluent_registry.registry, prism_confluent_registry.access\n"
    code += "print([name for name in ('pydantic', 'pluggy', 'rich') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_missing_library_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("prism_confluent_registry.")]:
        if name.endswith((".registry", ".connection", ".answers")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "urllib3", None)
    with pytest.raises(ConfigError, match=r"over HTTP needs urllib3.*: install prism-pipeline\[registry\]"):
        connect("http://localhost")
