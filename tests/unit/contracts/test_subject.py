"""``subject.toml``: every key, and every way to get one wrong."""

import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from prismlib.contracts.registry import Reference
from prismlib.contracts.subject import Subject, Waiver, read_subject
from prismlib.errors import ConfigError

NEEDED = {
    "format": '"avro"',
    "compatibility": '"FULL"',
    "owner": '"airport-operations"',
    "contact": '"airport-operations@example.org"',
}
WAIVER = '[[waiver]]\nrule = "AVR003"\npath = "/fields/tailnum"\nreason = "nobody reads it"\nuntil = 2026-12-31\n'


def write(folder: Path, extra: str = "", **changes: str | None) -> Path:
    keys = {**NEEDED, **changes}
    path = folder / "flights-value" / "subject.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{key} = {value}\n" for key, value in keys.items() if value is not None) + extra)
    return path


def test_the_whole_file(tmp_path: Path) -> None:
    references = (
        '[references.v2]\n"a.proto" = { subject = "a", version = 3 }\n'
        '[references.next]\n"a.proto" = { subject = "a", version = 4 }\n'
    )
    path = write(tmp_path, references + WAIVER, profile='"wire"', topic='"flights"')
    assert read_subject(path) == Subject(
        name="flights-value",
        format="avro",
        compatibility="FULL",
        owner="airport-operations",
        contact="airport-operations@example.org",
        profile="wire",
        topic="flights",
        waivers=(Waiver("AVR003", "/fields/tailnum", "nobody reads it", date(2026, 12, 31)),),
        references={"v2": (Reference("a.proto", "a", 3),), "next": (Reference("a.proto", "a", 4),)},
    )


def test_what_may_be_left_out(tmp_path: Path) -> None:
    subject = read_subject(write(tmp_path))
    assert (subject.profile, subject.topic, subject.waivers, subject.references) == ("confluent", "", (), {})


@pytest.mark.parametrize("key", NEEDED)
def test_what_may_not(tmp_path: Path, key: str) -> None:
    path = write(tmp_path, **{key: None})
    with pytest.raises(ConfigError, match=f"subject.toml: the key '{key}' is missing"):
        read_subject(path)


@pytest.mark.parametrize(
    ("changes", "extra", "message"),
    [
        ({"compatibilty": '"FULL"'}, "", "unknown key 'compatibilty'; did you mean 'compatibility'"),
        ({"zzz": "1"}, "", "unknown key 'zzz'; known are format, "),
        ({"format": '"xml"'}, "", "'format' must be one of avro, protobuf, jsonschema"),
        ({"format": "[]"}, "", "'format' must be one of"),
        ({"compatibility": '"backward"'}, "", "'compatibility' must be one of BACKWARD, "),
        ({"profile": '"strict"'}, "", "'profile' must be one of confluent, wire"),
        ({"owner": '""'}, "", "'owner' must be a string that is not empty"),
        ({"topic": "1"}, "", "'topic' must be a string"),
        ({"waiver": "{}"}, "", r"'waiver' must be a list of tables, each under \[\[waiver\]\]"),
        ({"waiver": "[1]"}, "", r"'waiver\[0\]' must be a table"),
        ({}, WAIVER + "untill = 1\n", r"unknown key 'waiver\[0\].untill'; did you mean 'until'"),
        ({}, WAIVER.replace("2026-12-31", '"2026-12-31"'), r"'waiver\[0\].until' must be a day without quotes"),
        ({}, WAIVER.replace("2026-12-31", "2026-12-31T00:00:00"), r"'waiver\[0\].until' must be a day"),
        ({}, WAIVER.replace('reason = "nobody reads it"\n', ""), r"the key 'waiver\[0\].reason' is missing"),
        ({}, "[references.2]\n", r"references.2: a table of references belongs to a version"),
        ({}, "[references]\nv1 = 1\n", "'references.v1' must be a table"),
        ({}, "[references.v1]\na = { subject = 's', version = true }\n", "'references.v1.a.version' must be a whole"),
        ({}, "[references.v1]\na = { subject = 's', version = 0 }\n", "'references.v1.a.version' must be a whole"),
        ({}, "[references.v1]\na = { subjct = 's' }\n", "unknown key 'references.v1.a.subjct'; did you mean 'subject'"),
        ({}, "x = ", "not valid TOML"),
    ],
)
def test_a_wrong_key_is_named_with_its_file(tmp_path: Path, changes: dict[str, str], extra: str, message: str) -> None:
    path = write(tmp_path, extra, **changes)
    with pytest.raises(ConfigError, match=message) as caught:
        read_subject(path)
    assert str(path) in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file; write one"):
        read_subject(tmp_path / "subject.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_subject(tmp_path)
    path = write(tmp_path)
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_subject(path)


def test_the_gate_starts_without_heavy_imports() -> None:
    code = (
        "import sys, prismlib.contracts.registry_url; "
        "print(*sorted({m.partition('.')[0] for m in sys.modules} & {'pydantic', 'rich', 'pluggy', 'orjson', 'click'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
