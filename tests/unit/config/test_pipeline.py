"""Pipeline files: every key of the sample, and a sentence for everything that can be wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from prismlib.config.model import Secret
from prismlib.config.pipeline import PipelineConfig, load_pipeline
from prismlib.errors import ConfigError

WHOLE = """
name = "air-traffic"
owner = "data-platform"
contact = "data-platform@example.org"
start = "earliest"
on_drift = "dead_letter"
key_fixes_partition = true
[source]
type = "kafka"
servers = "127.0.0.1:9092"
[source.options]
"fetch.min.bytes" = 1
[[route]]
topic = "flights"
decode = { type = "avro", subject = "flights-value" }
normalize = "mappings/flights.toml"
[[route]]
topic = "weather"
decode = { type = "protobuf", subject = "weather-value", message = "airtraffic.Weather" }
normalize = { python = "air_traffic.weather:normalize", reads = ["origin", "temp"] }
[[route]]
topic = "raw"
decode = { type = "json", subject = "raw-value" }
[sink]
type = "kafka"
topic = "air-traffic"
encode = { type = "json", subject = "air-traffic-value" }
commit_interval = "500ms"
[dead_letters]
topic = "bad"
stop_above = { share = 0.25, of_last = 10 }
"""

LEAST = """
name = "p"
owner = "o"
contact = "c"
start = "latest"
[source]
type = "kafka"
[[route]]
topic = "t"
decode = { type = "json" }
[sink]
type = "elasticsearch"
"""


def read(folder: Path, text: str) -> PipelineConfig:
    path = folder / "p.toml"
    path.write_text(text)
    return load_pipeline(path)


def test_every_key_of_a_whole_file_is_read(tmp_path: Path) -> None:
    config = read(tmp_path, WHOLE)
    assert (config.name, config.owner, config.contact) == ("air-traffic", "data-platform", "data-platform@example.org")
    assert (config.start, config.on_drift, config.key_fixes_partition) == ("earliest", "dead_letter", True)
    assert config.source.type == "kafka"
    assert config.source.settings == {"servers": "127.0.0.1:9092", "options": {"fetch.min.bytes": 1}}
    mapping, python, passing = (route.normalize for route in config.routes)
    assert mapping is not None
    assert (mapping.type, dict(mapping.settings)) == ("mapping", {"file": "mappings/flights.toml"})
    assert python is not None
    assert (python.type, dict(python.settings)) == (
        "python",
        {"python": "air_traffic.weather:normalize", "reads": ["origin", "temp"]},
    )
    assert passing is None
    assert config.sink.settings == {"topic": "air-traffic"}
    assert config.sink.encode is not None
    assert config.sink.encode.settings == {"subject": "air-traffic-value"}
    assert config.sink.commit_interval == 0.5
    assert config.dead_letter_topic == "bad"
    assert (config.dead_letters.stop_above.share, config.dead_letters.stop_above.of_last) == (0.25, 10)


def test_defaults_of_a_short_file(tmp_path: Path) -> None:
    config = read(tmp_path, LEAST)
    assert (config.on_drift, config.key_fixes_partition, config.sink.commit_interval) == ("pause", False, 1.0)
    assert config.dead_letter_topic == "p.dead-letters"
    assert (config.dead_letters.stop_above.share, config.dead_letters.stop_above.of_last) == (0.5, 1000)
    assert config.topics == ("t",)


@pytest.mark.parametrize("start", ["2025-03-01T06:00:00Z", '"2025-03-01T06:00:00Z"', '"2025-03-01T07:00:00+01:00"'])
def test_start_can_be_a_moment(tmp_path: Path, start: str) -> None:
    assert read(tmp_path, LEAST.replace('"latest"', start)).start == 1_740_808_800_000


@pytest.mark.parametrize("text", ["1500ms", "1.5s", "0.025m"])
def test_durations_have_units(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, LEAST + f'commit_interval = "{text}"\n').sink.commit_interval == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('start = "latest"', "", "the key 'start' is missing"),
        ('start = "latest"', 'start = "newest"', '\'start\': must be "earliest", "latest" or a time with its offset'),
        ('start = "latest"', "start = 2025-03-01T06:00:00", "'start': must be"),
        ('start = "latest"', "start = 2025-03-01", "'start': must be"),
        ('start = "latest"', "start = 1740808800000", "'start': must be"),
        ('owner = "o"', 'owmer = "o"', "unknown key 'owmer'; did you mean 'owner'?"),
        ('owner = "o"', "owner = 7", "'owner': must be a valid string"),
        ('owner = "o"', 'owner = " "', "'owner': must not be empty"),
        ('name = "p"', 'name = "../p"', "'name': must be 1 to 249 letters"),
        ('name = "p"', 'name = ".p"', "'name': must be 1 to 249 letters"),
        ('name = "p"', 'name = "a b"', "'name': must be 1 to 249 letters"),
        ('name = "p"', 'name = "p"\non_drift = "skip"', "'on_drift': must be 'pause', 'dead_letter' or 'stop'"),
        ('name = "p"', 'name = "p"\nkey_fixes_partition = 1', "'key_fixes_partition': must be a valid boolean"),
        ('[source]\ntype = "kafka"', "[source]", "the key 'source.type' is missing"),
        ('[source]\ntype = "kafka"', 'source = "kafka"', "'source': must be a table"),
        ('topic = "t"', 'topic = "a/b"', "'route.0.topic': is no topic name"),
        ('topic = "t"', 'topic = ".."', "'route.0.topic': is no topic name"),
        ('topic = "t"', 'topik = "t"', "unknown key 'route.0.topik'; did you mean 'topic'?"),
        ('decode = { type = "json" }', 'decode = "json"', "'route.0.decode': must be a table"),
        ('topic = "t"', 'topic = "t"\nnormalize = ""', "'route.0.normalize': must be the path of a mapping"),
        (
            'topic = "t"',
            'topic = "t"\nnormalize = { pyton = "a:b" }',
            "'route.0.normalize': must be the path of a mapping",
        ),
        ("[[route]]", "[route]", "'route': must be written as [[route]]"),
        (
            'type = "elasticsearch"',
            'type = "elasticsearch"\ncommit_interval = 5',
            "'sink.commit_interval': must be a duration",
        ),
        ('type = "elasticsearch"', 'type = "elasticsearch"\ncommit_interval = "0s"', "must be longer than nothing"),
        ('type = "elasticsearch"', 'type = "kafka"\ntopic = "t"', "the sink writes to 't', which a route reads"),
        ('type = "elasticsearch"', 'type = "kafka"\ntopic = "p.dead-letters"', "which is the dead letter topic"),
        ('topic = "t"', 'topic = "p.dead-letters"', "the dead letter topic 'p.dead-letters' is also read by a route"),
        (
            "[sink]",
            "[dead_letters]\nstop_above = { share = 2.0 }\n[sink]",
            "'dead_letters.stop_above.share': must be less",
        ),
        ("[sink]", "[dead_letters]\nstop_above = { shares = 1.0 }\n[sink]", "did you mean 'share'?"),
        (
            "[sink]",
            '[[route]]\ntopic = "t"\ndecode = { type = "avro" }\n[sink]',
            "the topic 't' has two [[route]] tables",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line_that_names_file_and_key(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert LEAST.count(old) == 1
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, LEAST.replace(old, new))
    (line,) = (line for line in str(caught.value).splitlines() if message in line)
    assert line.startswith(f"{tmp_path / 'p.toml'}: ")


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, LEAST.replace('owner = "o"', "").replace('name = "p"', "name = 1").replace('"latest"', "true"))
    assert len(str(caught.value).splitlines()) == 3


def test_a_file_that_is_missing_or_a_folder_or_no_toml(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: no such file"):
        load_pipeline(tmp_path / "nowhere.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_pipeline(tmp_path)
    with pytest.raises(ConfigError, match="not valid TOML"):
        read(tmp_path, "name =")


def test_a_secret_that_is_not_in_the_environment_is_named(tmp_path: Path) -> None:
    text = LEAST.replace("[[route]]", 'password = { env = "PRISM_TEST_NOT_SET" }\n[[route]]')
    with pytest.raises(ConfigError, match=r"p\.toml: source\.password: the environment variable PRISM_TEST_NOT_SET"):
        read(tmp_path, text)


def test_a_secret_is_not_shown_by_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRISM_TEST_SECRET", "hush-hush")
    config = read(tmp_path, LEAST.replace("[[route]]", 'password = { env = "PRISM_TEST_SECRET" }\n[[route]]'))
    assert "hush" not in f"{config!r} {config} {config.source!r} {config.source.settings!r}"
    password = config.source.settings["password"]
    assert isinstance(password, Secret)
    assert password.reveal() == "hush-hush"


def test_relative_paths_start_at_the_project_or_else_at_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "pipelines"
    folder.mkdir()
    assert read(folder, LEAST).base == folder
    (tmp_path / "prism.toml").write_text("")
    assert read(folder, LEAST).base == tmp_path
