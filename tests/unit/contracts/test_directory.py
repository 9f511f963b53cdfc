"""The folder registry, file by file."""

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prismlib.contracts.directory import DirectoryRegistry
from prismlib.contracts.fingerprint import canonical, schema_id
from prismlib.contracts.registry import Reference, resolve_references
from prismlib.errors import ConfigError, RegistryUnavailableError, SchemaNotFoundError, SchemaParseError

SUBJECT = """
format = "{format}"
compatibility = "BACKWARD"
owner = "airport-operations"
contact = "airport-operations@example.org"
"""


def write(root: Path, subject: str, format_: str = "avro", extra: str = "", **files: str) -> Path:
    folder = root / subject
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "subject.toml").write_text(SUBJECT.format(format=format_) + extra)
    suffix = {"avro": ".avsc", "protobuf": ".proto", "jsonschema": ".json"}[format_]
    for name, text in files.items():
        (folder / f"{name}{suffix}").write_text(text)
    return folder


def test_serves_released_versions_and_not_the_proposal(tmp_path: Path) -> None:
    write(tmp_path, "flights-value", v1='"int"', v2='"long"', next='"string"')
    registry = DirectoryRegistry(tmp_path)
    assert registry.subjects() == ["flights-value"]
    assert registry.versions("flights-value") == [1, 2]
    latest = registry.latest("flights-value")
    assert (latest.subject, latest.version, latest.format, latest.text) == ("flights-value", 2, "avro", '"long"')
    assert registry.by_id(latest.id) == latest
    assert registry.version("flights-value", 1).text == '"int"'
    with pytest.raises(SchemaNotFoundError, match="version 3 is not released"):
        registry.version("flights-value", 3)
    proposal = schema_id(canonical("avro", '"string"'))
    with pytest.raises(SchemaNotFoundError, match=str(proposal)):
        registry.by_id(proposal)


def test_the_id_is_31_bits_of_the_hash_of_the_canonical_schema(tmp_path: Path) -> None:
    write(tmp_path, "s", v1='{ "type": "record",\n "name": "Ort\\u00e4", "fields": [] }')
    expected = '{"fields":[],"name":"Ortä","type":"record"}'
    digest = hashlib.sha256(expected.encode()).hexdigest()
    assert DirectoryRegistry(tmp_path).latest("s").id == int(digest[:8], 16) // 2


def test_line_ends_and_trailing_spaces_do_not_change_the_id_of_a_proto() -> None:
    assert canonical("protobuf", "a;  \r\nb;\r\n\r\n") == canonical("protobuf", "a;\nb;") == "a;\nb;"
    assert canonical("protobuf", "a;\n b;") != canonical("protobuf", "a;\nb;")


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=10,
)


@given(JSON_VALUES)
def test_canonical_json_says_the_same_however_it_was_written(value: object) -> None:
    form = canonical("jsonschema", json.dumps(value, indent=3))
    assert json.loads(form) == value
    assert canonical("jsonschema", form) == form
    assert 0 <= schema_id(form) < 2**31


def test_other_references_make_another_schema() -> None:
    text = 'import "geo.proto";'
    forms = {canonical("protobuf", text, [Reference("geo.proto", "geo", version)]) for version in (1, 2)}
    assert len({*forms, canonical("protobuf", text)}) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1,\n x}', "line 2, column 2"),
        ('{"a": 1, "a": 2}', "'a' stands twice"),
        ("NaN", "NaN is not JSON"),
        ('"\\ud800"', "surrogates"),
        ("[" * 100_000, "recursion"),
    ],
)
def test_a_schema_that_is_no_json_names_its_file(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path, "s", v1=text)
    with pytest.raises(SchemaParseError, match=message) as caught:
        DirectoryRegistry(tmp_path).latest("s")
    assert str(tmp_path / "s" / "v1.avsc") in str(caught.value)


@pytest.mark.parametrize("text", ['{"a": 1,\n x}', '{"a": 1, "a": 2}', "NaN", '"\\ud800"', "[" * 100_000])
def test_a_check_reads_texts_as_strictly_as_who_asks_for_ids(tmp_path: Path, text: str) -> None:
    write(tmp_path, "s", v1='"int"', v2=text)
    registry = DirectoryRegistry(tmp_path)
    with pytest.raises(SchemaParseError) as of_texts:
        registry.texts(registry.subject("s"))
    with pytest.raises(SchemaParseError) as of_version:
        registry.version("s", 2)
    assert str(of_texts.value) == str(of_version.value)


def test_texts_are_those_of_the_released_versions(tmp_path: Path) -> None:
    folder = write(tmp_path, "s", next='"string"', **{f"v{number}": f'"int" {" " * number}' for number in range(1, 12)})
    registry = DirectoryRegistry(tmp_path)
    subject = registry.subject("s")
    assert registry.texts(subject) == [registry.version("s", number).text for number in range(1, 12)]
    (folder / "v12.json").write_text('"int"')
    with pytest.raises(ConfigError, match=r"v12\.avsc: no such file.*version 12 has another extension"):
        registry.texts(subject)
    (folder / "v12.json").unlink()
    (folder / "v3.avsc").unlink()
    with pytest.raises(ConfigError, match="no version 3"):
        registry.texts(subject)
    write(tmp_path, "t", next='"string"')
    assert registry.texts(registry.subject("t")) == []
    assert (registry.is_released("s"), registry.is_released("t"), registry.is_released("u")) == (True, False, False)


def test_references_come_from_the_subject_file(tmp_path: Path) -> None:
    write(tmp_path, "geo", "protobuf", v1="// geo 1", v2="// geo 2")
    extra = '[references.v2]\n"common/geo.proto" = { subject = "geo", version = 2 }\n'
    write(tmp_path, "weather-value", "protobuf", extra, v1="// one", v2='import "common/geo.proto";')
    registry = DirectoryRegistry(tmp_path)
    assert registry.version("weather-value", 1).references == ()
    latest = registry.latest("weather-value")
    assert latest.references == (Reference("common/geo.proto", "geo", 2),)
    assert resolve_references(registry, latest) == {"common/geo.proto": "// geo 2"}
    assert registry.by_id(latest.id) == latest


def test_new_files_are_found_while_it_runs(tmp_path: Path) -> None:
    write(tmp_path, "s", v1='"int"')
    registry = DirectoryRegistry(tmp_path)
    first = registry.latest("s")
    new = schema_id(canonical("avro", '"long"'))
    other = schema_id(canonical("avro", '"bytes"'))
    with pytest.raises(SchemaNotFoundError):
        registry.by_id(new)
    write(tmp_path, "s", v2='"long"')
    write(tmp_path, "t", v1='"bytes"')
    assert registry.latest("s").version == 2
    assert registry.by_id(new).version == 2
    assert registry.by_id(other).subject == "t"
    assert registry.by_id(first.id) == first


def test_a_released_file_is_read_once(tmp_path: Path) -> None:
    folder = write(tmp_path, "s", v1='"int"')
    registry = DirectoryRegistry(tmp_path)
    first = registry.latest("s")
    (folder / "v1.avsc").write_text("broken")
    assert registry.by_id(first.id) == first
    assert registry.latest("s") == first


def test_one_subject_is_read_without_the_others(tmp_path: Path) -> None:
    write(tmp_path, "good", v1='"int"')
    write(tmp_path, "bad", v1="{")
    (tmp_path / "worse").mkdir()
    (tmp_path / "worse" / "v1.avsc").write_text('"int"')
    registry = DirectoryRegistry(tmp_path)
    good = registry.latest("good")
    assert registry.by_id(good.id) == good
    assert DirectoryRegistry(tmp_path).by_id(good.id) == good
    with pytest.raises(RegistryUnavailableError, match=r"bad.v1\.avsc.*not valid JSON"):
        registry.by_id(good.id ^ 1)


def test_the_same_schema_in_two_subjects_has_one_id_and_the_first_name(tmp_path: Path) -> None:
    write(tmp_path, "b", v1='"int"')
    write(tmp_path, "a", v1='"long"', v2='"int"')
    registry = DirectoryRegistry(tmp_path)
    number = registry.latest("b").id
    found = registry.by_id(number)
    assert (found.subject, found.version) == ("a", 2)
    assert registry.by_id(number) == found


def test_a_collision_is_refused_and_names_both_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prismlib.contracts.directory.schema_id", lambda _: 7)
    write(tmp_path, "a", v1='"int"')
    write(tmp_path, "b", v1='"long"')
    registry = DirectoryRegistry(tmp_path)
    registry.latest("a")
    with pytest.raises(ConfigError, match=r"b.v1\.avsc and .*a.v1\.avsc are different schemas with the same id 7"):
        registry.latest("b")


def test_one_text_in_two_formats_is_a_collision(tmp_path: Path) -> None:
    write(tmp_path, "a", "avro", v1='{"type":"string"}')
    write(tmp_path, "b", "jsonschema", v1='{"type":"string"}')
    registry = DirectoryRegistry(tmp_path)
    registry.latest("a")
    with pytest.raises(ConfigError, match="different schemas with the same id"):
        registry.latest("b")


@pytest.mark.parametrize("name", ["", ".", "..", "../s", "a/b", "a\\b", "/etc", "C:x", ".git", "a\nb", "a\0b"])
def test_a_subject_cannot_lead_out_of_the_folder(tmp_path: Path, name: str) -> None:
    write(tmp_path, "s", v1='"int"')
    (tmp_path / "schemas").mkdir()
    registry = DirectoryRegistry(tmp_path / "schemas")
    for ask in (registry.latest, registry.versions, registry.subject, lambda n: registry.version(n, 1)):
        with pytest.raises(SchemaNotFoundError, match="cannot be a subject"):
            ask(name)


def test_unusual_but_harmless_names_are_served(tmp_path: Path) -> None:
    for name in ("com.example.Flight", "wetter größe", "a+b=c"):
        write(tmp_path, name, v1='"int"')
        assert DirectoryRegistry(tmp_path).latest(name).subject == name
    (tmp_path / ".hidden").mkdir()
    assert len(DirectoryRegistry(tmp_path).subjects()) == 3


def test_a_folder_that_is_not_in_order_is_named_with_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere: no such schema folder"):
        DirectoryRegistry(tmp_path / "nowhere")
    registry = DirectoryRegistry(tmp_path)
    with pytest.raises(SchemaNotFoundError, match=r"no released version of 's'"):
        registry.latest("s")
    folder = write(tmp_path, "s", v1='"int"', v3='"int"')
    with pytest.raises(ConfigError, match=r"v3\.avsc but no version 2"):
        registry.versions("s")
    (folder / "v3.avsc").unlink()
    (folder / "v1.proto").write_text("")
    with pytest.raises(ConfigError, match=r"both v1\.avsc and v1\.proto"):
        registry.versions("s")
    (folder / "v1.avsc").unlink()
    with pytest.raises(ConfigError, match=r"v1\.avsc: no such file, although .* format = 'avro'"):
        registry.latest("s")
    (folder / "v1.proto").rename(folder / "V01.proto")
    with pytest.raises(ConfigError, match=r"V01\.proto: versions are named v1"):
        registry.latest("s")
    (folder / "V01.proto").unlink()
    (folder / "v1.avsc").write_bytes(b'"\xff"')
    with pytest.raises(SchemaParseError, match=r"v1\.avsc: not UTF-8"):
        registry.latest("s")
    (folder / "v1.avsc").unlink()
    (folder / "v1.avsc").mkdir()
    with pytest.raises(RegistryUnavailableError, match=r"v1\.avsc: cannot be read"):
        registry.latest("s")
    (folder / "subject.toml").unlink()
    with pytest.raises(ConfigError, match=r"subject\.toml: no such file"):
        registry.latest("s")


def test_a_folder_that_vanishes_is_unavailable_and_not_empty(tmp_path: Path) -> None:
    root = tmp_path / "schemas"
    folder = write(root, "s", v1='"int"')
    registry = DirectoryRegistry(root)
    for path in (*folder.iterdir(), folder, root):
        path.rmdir() if path.is_dir() else path.unlink()
    for ask in (registry.subjects, lambda: registry.latest("s"), lambda: registry.by_id(1)):
        with pytest.raises(RegistryUnavailableError):
            ask()
