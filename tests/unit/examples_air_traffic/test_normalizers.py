"""Every row of the example's input, through its files: nothing is lost, nothing is doubled, nothing is invented."""

import json
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from prismlib.config.model import validate
from prismlib.config.pipeline import PipelineConfig, load_pipeline
from prismlib.config.project import load_project
from prismlib.contracts.directory import DirectoryRegistry
from prismlib.mapping.plugin import prism_stages
from prismlib.plugin.hookspecs import BuildContext
from prismlib.records import Normalized, Partition, RecordBatch
from prismlib.stages import Normalizer

ROOT = Path(__file__).resolve().parents[3] / "examples" / "air_traffic"
UTC_TIME = re.compile(r"2013-\d\d-\d\dT\d\d:\d\d:00Z")
CLOCK = re.compile(r"[0-2]\d:[0-5]\d")


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.fixture(scope="module")
def pipeline() -> PipelineConfig:
    return load_pipeline(ROOT / "pipelines" / "air-traffic.toml")


def normalizer(pipeline: PipelineConfig, topic: str) -> Normalizer:
    """The normalizer of a route, made as a worker makes it."""
    table = next(route.normalize for route in pipeline.routes if route.topic == topic)
    assert table is not None
    spec = next(spec for spec in prism_stages() if spec.name == table.type)
    made: Normalizer = spec.factory(
        validate(spec.config_model, table.settings, topic), BuildContext("p", base=pipeline.base)
    )
    return made


def rows_of(topic: str, reads: frozenset[str]) -> list[dict[str, Any]]:
    """Rows as a decoder makes them: only what is read, and None for an optional field that is not set."""
    from air_traffic import records  # noqa: PLC0415  # on the path by the fixture

    read = {"flights": records.flights, "weather": records.weather, "planes": records.planes}[topic]
    return [{name: row.get(name) for name in reads} for row in read(ROOT / "input")]


def normalize(made: Normalizer, rows: Sequence[dict[str, Any]]) -> Normalized:
    n = len(rows)
    batch = RecordBatch(Partition("t", 0), range(n), [-1] * n, [None] * n, [b"value"] * n, [None] * n)
    return made.normalize(batch, rows)


def events(answer: Normalized) -> Iterator[dict[str, Any]]:
    for body in answer.bodies:
        assert isinstance(body, dict)
        yield body


def test_every_flight_becomes_an_event_of_its_own(pipeline: PipelineConfig) -> None:
    made = normalizer(pipeline, "flights")
    rows = rows_of("flights", made.reads)
    answer = normalize(made, rows)
    assert not answer.errors
    assert answer.ids is not None
    assert len(rows) == len(answer.bodies) == len(set(answer.ids)) == 27_004
    assert Counter(event["airport"] for event in events(answer)) == {"EWR": 9_893, "JFK": 9_161, "LGA": 7_950}
    for row, event, event_id in zip(rows, events(answer), answer.ids, strict=True):
        assert event["id"] == event_id
        assert event["kind"] == "departure"
        assert UTC_TIME.fullmatch(event["time"])
        assert event["time"][:14] == row["time_hour"][:14]
        assert event["time"][14:16] == f"{row['minute']:02}"
        for measure, source in (
            ("departure_delay_minutes", "dep_delay"),
            ("arrival_delay_minutes", "arr_delay"),
            ("air_time_minutes", "air_time"),
        ):
            assert event["measures"][measure] == (None if row[source] == "NA" else int(row[source]))
        attributes = event["attributes"]
        assert attributes["tail_number"] == (None if row["tailnum"] == "NA" else row["tailnum"])
        assert attributes["cancelled"] is (row["dep_time"] == "NA")
        for clock, source in (
            ("departure", "dep_time"),
            ("arrival", "arr_time"),
            ("scheduled_departure", "sched_dep_time"),
            ("scheduled_arrival", "sched_arr_time"),
        ):
            if row[source] == "NA":
                assert attributes[clock] is None
            else:
                assert CLOCK.fullmatch(attributes[clock])
                assert int(attributes[clock].replace(":", "")) == int(row[source])
    assert sum(event["attributes"]["cancelled"] for event in events(answer)) == 521
    assert sum(event["attributes"]["tail_number"] is None for event in events(answer)) == 155


def test_an_id_has_the_local_day_of_the_flight(pipeline: PipelineConfig) -> None:
    made = normalizer(pipeline, "flights")
    rows = rows_of("flights", made.reads)
    late = [number for number, row in enumerate(rows) if row["time_hour"][8:10] != f"{row['day']:02}"]
    assert len(late) > 1_000  # after seven in the evening, UTC is on the next day
    answer = normalize(made, [rows[number] for number in late])
    for number, event in zip(late, events(answer), strict=True):
        assert event["id"].endswith(f"-2013-01-{rows[number]['day']:02}")
        assert event["time"][8:10] == f"{rows[number]['day'] + 1:02}" or event["time"].startswith("2013-02-01")


def test_every_hour_of_weather_becomes_an_event_of_its_own(pipeline: PipelineConfig) -> None:
    from air_traffic import records  # noqa: PLC0415  # on the path by the fixture

    made = normalizer(pipeline, "weather")
    rows = rows_of("weather", made.reads)
    answer = normalize(made, rows)
    assert not answer.errors
    assert answer.ids is not None
    assert len(rows) == len(answer.bodies) == len(set(answer.ids)) == 2_226
    for source, event, event_id in zip(records.weather(ROOT / "input"), events(answer), answer.ids, strict=True):
        local = f"{source['year']}-{source['month']:02}-{source['day']:02}-{source['hour']:02}"
        assert event["id"] == event_id == f"weather-{source['origin']}-{local}"
        assert event["time"] == source["time_hour"]
        assert event["measures"]["temperature_fahrenheit"] == source.get("temp")
        assert event["measures"]["wind_speed_mph"] == source.get("wind_speed")


def test_a_measure_that_is_not_set_is_null(pipeline: PipelineConfig) -> None:
    row = {"origin": "JFK", "time_hour": "2013-01-01T06:00:00Z", "temp": None, "wind_speed": 0.0}
    (event,) = events(normalize(normalizer(pipeline, "weather"), [row]))
    assert event["measures"] == {"temperature_fahrenheit": None, "wind_speed_mph": 0.0}


def test_the_hour_that_comes_twice_in_november_has_two_ids(pipeline: PipelineConfig) -> None:
    hours = ["2013-11-03T04:00:00Z", "2013-11-03T05:00:00Z", "2013-11-03T06:00:00Z", "2013-11-03T07:00:00Z"]
    rows = [{"origin": "JFK", "time_hour": hour, "temp": 50.0, "wind_speed": 1.0} for hour in hours]
    assert normalize(normalizer(pipeline, "weather"), rows).ids == [
        "weather-JFK-2013-11-03-00",
        "weather-JFK-2013-11-03-01",
        "weather-JFK-2013-11-03-01b",
        "weather-JFK-2013-11-03-02",
    ]


def test_every_plane_becomes_an_event_without_time_and_airport(pipeline: PipelineConfig) -> None:
    made = normalizer(pipeline, "planes")
    rows = rows_of("planes", made.reads)
    answer = normalize(made, rows)
    assert not answer.errors
    assert answer.ids is not None
    assert len(rows) == len(answer.bodies) == len(set(answer.ids)) == 3_322
    for row, event, event_id in zip(rows, events(answer), answer.ids, strict=True):
        assert event["id"] == event_id == f"aircraft-{row['tailnum']}"
        assert (event["kind"], event["time"], event["airport"]) == ("aircraft", None, None)
        assert event["measures"] == {
            "year_built": row["year"],
            "engines": row["engines"],
            "seats": row["seats"],
            "cruising_speed_mph": row["speed"],
        }
        attributes = {name: row[name] for name in ("type", "manufacturer", "model", "engine")}
        assert event["attributes"] == {"tail_number": row["tailnum"], **attributes}
    assert sum(event["measures"]["year_built"] is None for event in events(answer)) == 70


@pytest.mark.parametrize(
    ("topic", "wrong", "field", "code"),
    [
        ("flights", {"dep_delay": "late"}, "measures.departure_delay_minutes", "cast"),
        ("flights", {"month": "1"}, "id", "template"),
        ("flights", {"carrier": None}, "id", "missing"),
        ("flights", {"time_hour": "2013-01-01T10:00:00"}, "time", "function"),
        ("flights", {"time_hour": "2013-01-01T10:00:00-05:00"}, "time", "function"),
        ("flights", {"arr_time": "2460"}, "attributes.arrival", "function"),
        ("flights", {"arr_time": "2401"}, "attributes.arrival", "function"),
        ("weather", {"time_hour": "2013-01-01T10:00:00"}, None, "function"),
        ("planes", {"tailnum": None}, "id", "missing"),
    ],
)
def test_a_bad_record_is_an_error_of_its_own(
    pipeline: PipelineConfig, topic: str, wrong: dict[str, Any], field: str | None, code: str
) -> None:
    made = normalizer(pipeline, topic)
    rows = rows_of(topic, made.reads)[:3]
    answer = normalize(made, [rows[0], {**rows[1], **wrong}, rows[2]])
    assert {row: (error.code, error.field) for row, error in answer.errors.items()} == {1: (code, field)}
    assert [body is None for body in answer.bodies] == [False, True, False]


def test_events_fit_the_standard_schema_and_example_files_are_such(pipeline: PipelineConfig) -> None:
    registry = DirectoryRegistry(ROOT / "schemas")
    checks = {version: checker(registry, version) for version in registry.versions("air-traffic-value")}
    for topic in ("flights", "weather", "planes"):
        made = normalizer(pipeline, topic)
        assert all(map(checks[2], events(normalize(made, rows_of(topic, made.reads)))))
    for version, files in ((1, 3), (2, 2)):
        folder = ROOT / "schemas" / "air-traffic-value" / "examples" / f"v{version}"
        bodies = [json.loads(example.read_bytes()) for example in sorted(folder.glob("*.json"))]
        assert len(bodies) == files
        assert all(map(checks[version], bodies))
        # What the older version wrote, the newer one reads.
        assert all(map(checks[2], bodies))
        for wrong in ({"kind": "arrival"}, {"airport": "JFKX"}, {"measures": {"n": "1"}}, {"time": 12}, {"more": 1}):
            assert not checks[version]({**bodies[0], **wrong})


def checker(registry: DirectoryRegistry, version: int) -> Callable[[Any], bool]:
    """Whether an event fits a version of the standard schema."""
    schema = json.loads(registry.version("air-traffic-value", version).text)
    fits: Callable[[Any], bool] = jsonschema.Draft202012Validator(schema).is_valid
    return fits


def test_the_files_of_the_example_are_in_order() -> None:
    project = load_project(ROOT)
    assert project.base == ROOT
    pipelines = [load_pipeline(ROOT / entry.file) for entry in project.pipelines]
    assert [one.name for one in pipelines] == ["air-traffic", "air-traffic-index"]
    assert [one.key_fixes_partition for one in pipelines] == [False, True]
    registry = DirectoryRegistry(ROOT / "schemas")
    assert {subject: registry.latest(subject).format for subject in registry.subjects()} == {
        "air-traffic-value": "jsonschema",
        "flights-value": "avro",
        "planes-value": "jsonschema",
        "weather-value": "protobuf",
    }
    for one in pipelines:
        assert one.base == ROOT
        tomllib.loads(one.path.read_text(encoding="utf-8"))
