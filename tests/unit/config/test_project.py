"""prism.toml: the whole sample, its defaults, and the environment before it."""

from __future__ import annotations

from pathlib import Path

import pytest

from prismlib.config.project import find_project, load_project
from prismlib.errors import ConfigError

WHOLE = """
[registry]
url = "contracts"
token = { env = "PRISM_TEST_TOKEN" }
[storage]
path = ".store"
[alerts]
to = [{ env = "PRISM_TEST_ALERT" }]
heartbeat = { env = "PRISM_TEST_ALERT" }
[[pipeline]]
file = "pipelines/air-traffic.toml"
[[subject]]
name = "flights-value"
schema = "schemas/flights-value/next.avsc"
[[statistics]]
name = "departures"
pipeline = "air-traffic-index"
time = "time"
time_zone = "America/New_York"
group_by = ["airport"]
where = { kind = "departure" }
measures = { flights = "count", mean_delay = { mean = "measures.departure_delay_minutes" } }
[object_store]
url = "s3://bucket/prefix"
"""


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRISM_TEST_TOKEN", "hush-token")
    monkeypatch.setenv("PRISM_TEST_ALERT", "https://example.org/hush")


def test_every_key_of_a_whole_file_is_read_from_a_folder_below(tmp_path: Path) -> None:
    (tmp_path / "prism.toml").write_text(WHOLE)
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    project = load_project(below)
    assert project.base == tmp_path
    assert project.path == tmp_path / "prism.toml"
    assert project.registry.url == "contracts"
    assert project.registry.token is not None
    assert project.registry.token.reveal() == "hush-token"
    assert [to.reveal() for to in project.alerts.to] == ["https://example.org/hush"]
    assert project.storage.path == ".store"
    assert [entry.file for entry in project.pipelines] == ["pipelines/air-traffic.toml"]
    assert [(entry.name, entry.schema_) for entry in project.subjects] == [
        ("flights-value", "schemas/flights-value/next.avsc")
    ]
    (statistics,) = project.statistics
    assert statistics.group_by == ("airport",)
    assert statistics.measures["flights"] == "count"
    assert project.object_store.url == "s3://bucket/prefix"
    assert "hush" not in repr(project)


def test_without_a_file_the_defaults_start_at_the_folder(tmp_path: Path) -> None:
    assert find_project(tmp_path) is None
    project = load_project(tmp_path)
    assert project.path is None
    assert project.base == tmp_path
    assert project.registry.url == "schemas"
    assert project.alerts.to == ()


def test_the_environment_comes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "prism.toml").write_text(WHOLE)
    monkeypatch.setenv("PRISM_REGISTRY_URL", "http://127.0.0.1:8081")
    monkeypatch.setenv("PRISM_REGISTRY_TOKEN", "hush-other")
    monkeypatch.setenv("PRISM_STORAGE_PATH", "/elsewhere")
    project = load_project(tmp_path)
    assert project.registry.url == "http://127.0.0.1:8081"
    assert project.registry.token is not None
    assert project.registry.token.reveal() == "hush-other"
    assert project.storage.path == "/elsewhere"


HTTP = """
[registry]
url = "https://registry.example.org"
token = { env = "PRISM_TEST_TOKEN" }
user = "u"
password = "hush-password"
"""


def test_the_keys_of_a_registry_that_is_no_folder_are_kept_for_its_plugin(tmp_path: Path) -> None:
    (tmp_path / "prism.toml").write_text(HTTP)
    registry = load_project(tmp_path).registry
    assert registry.scheme == "https"
    assert registry.settings == {"user": "u", "password": "hush-password"}
    assert "hush" not in repr(registry)


def test_a_folder_has_no_such_keys(tmp_path: Path) -> None:
    (tmp_path / "prism.toml").write_text(HTTP.replace("https://registry.example.org", "contracts"))
    with pytest.raises(ConfigError, match=r"prism\.toml: \[registry\]: unknown key 'user'; known are token, url"):
        load_project(tmp_path)


def test_a_folder_from_the_environment_does_not_meet_the_keys_of_the_registry_that_it_replaces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRISM_REGISTRY_URL", "contracts")
    (tmp_path / "prism.toml").write_text(HTTP)
    registry = load_project(tmp_path).registry
    assert (registry.url, registry.scheme, registry.settings) == ("contracts", None, {})
    (tmp_path / "prism.toml").write_text(HTTP.replace("https://registry.example.org", "schemas"))
    with pytest.raises(ConfigError, match="unknown key 'user'"):
        load_project(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('url = "contracts"', 'ulr = "contracts"', "[registry]: unknown key 'ulr'; did you mean 'url'?"),
        ("[storage]", "[storrage]", "unknown key 'storrage'; did you mean 'storage'?"),
        ('to = [{ env = "PRISM_TEST_ALERT" }]', "to = [3]", "'alerts.to.0': must be a string"),
        ('schema = "schemas/flights-value/next.avsc"', "", "the key 'subject.0.schema' is missing"),
        ("America/New_York", "Mars/Olympus", "'statistics.0.time_zone': is no time zone"),
        ("America/New_York", "../etc/passwd", "'statistics.0.time_zone': is no time zone"),
        ('"count"', '"sum"', "statistics.0.measures"),
        ("{ mean = ", '{ max = "x", mean = ', "must have one key"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_key(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert WHOLE.count(old) == 1
    path = tmp_path / "prism.toml"
    path.write_text(WHOLE.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        load_project(tmp_path)
    assert message in str(caught.value)
    assert all(line.startswith(f"{path}: ") for line in str(caught.value).splitlines())


def test_a_secret_of_a_list_may_come_from_a_file_and_an_array_of_tables_names_files(tmp_path: Path) -> None:
    (tmp_path / "chat").write_text("json://example.org/hush\n")
    (tmp_path / "prism.toml").write_text('[alerts]\nto = [{ file = "chat" }]\n[[pipeline]]\nfile = "p.toml"\n')
    project = load_project(tmp_path)
    assert [to.reveal() for to in project.alerts.to] == ["json://example.org/hush"]
    assert [entry.file for entry in project.pipelines] == ["p.toml"]
    (tmp_path / "chat").unlink()
    with pytest.raises(ConfigError, match=r"alerts\.to\[0\]: the secret file chat cannot be read"):
        load_project(tmp_path)
