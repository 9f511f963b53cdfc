"""What is wrong with a mapping file is said with file, key and the nearest known key."""

from pathlib import Path

import pytest

from prismlib.errors import ConfigError
from prismlib.mapping import load_mapping


def refused(tmp_path: Path, text: str) -> str:
    path = tmp_path / "m.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_mapping(path, "mappings/m.toml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("x = { from = 'a', prase = 'iso8601' }", "event.x: unknown key 'prase'; did you mean 'parse'?"),
        ("x = { form = 'a', cast = 'int' }", "event.x: has 'cast' and none of from, const, template, python, each"),
        ("x = { from = 'a', cast = 'integer' }", "event.x: 'cast': must be 'int', 'float', 'str' or 'bool'"),
        ("x = { template = '{a}', cast = 'int' }", "event.x: unknown key 'cast'"),
        ("x = 5", "event.x: must be a path or a table; for a fixed value write { const = ... }"),
        ("x = {}", "event.x: is empty and none of"),
        ("x = ''", "event.x: 'from': '' is no path"),
        ("x = 'a..b'", "'a..b' is no path; write one such as customer.name"),
        ("x = 'a.'", "'a.' is no path"),
        ("x = '.a'", "'.a' is no path"),
        ("x = 'a b['", "'a b[' is no path"),
        ("x = 'a[-1]'", "'a[-1]' is no path"),
        ("x = 'a[0]b'", "'a[0]b' is no path"),
        ("x = '[0]'", "'[0]' is no path"),
        ("x = 'a[].b[].c'", "goes through two lists; map the outer one with each and item"),
        ("x = { each = 'a[]', item = { b = 'b' } }", "'a[]' gives a list, and one value is needed"),
        ("x = { each = 'a', item = { from = 'b' } }", "'item': must be a table of fields"),
        ("x = { each = 'a' }", "event.x: the key 'item' is missing"),
        ("x = { each = 'a', item = { b = { from = 'b', cats = 'int' } } }", "event.x[].b: unknown key 'cats'; did you"),
        ("x = { template = '{a' }", "the template has a single '{' at character 1; write it twice for itself"),
        ("x = { template = '{a} }' }", "the template has a single '}' at character 5"),
        ("x = { template = 'text' }", "the template has no {field}; write const for a fixed text"),
        ("x = { template = '{}' }", "the template has {}; name a field"),
        ("x = { template = '{a!r}' }", "conversions such as !r are not allowed"),
        ("x = { template = '{a:99999}' }", "the template has the format '99999'"),
        ("x = { template = '{a:{b}}' }", "the template has a single '{'"),
        ("x = { template = '{a:.2f}' }", "the template has the format '.2f'"),
        ("x = { template = '{a[]}' }", "'a[]' gives a list"),
        ("x = { template = '{a.__class__()}' , b = 1 }", "event.x: unknown key 'b'"),
        ("x = { python = 'os.system', reads = [] }", "'os.system' names no function; write package.module:function"),
        ("x = { python = 'm:f' }", "event.x: the key 'reads' is missing"),
        ("x = { python = 'm:f', reads = ['a..b'] }", "'a..b' is no path"),
        ("x = { from = 'a', parse = 'iso' }", "'iso' is no notation of a time; known are iso8601, epoch_s"),
        ("x = { from = 'a', parse = 'epoch_ms', time_zone = 'UTC' }", "time_zone does not go with 'epoch_ms'"),
        ("x = { from = 'a', parse = 'iso8601', time_zone = 'New York' }", "time_zone 'New York' is no time zone"),
        ("x = { from = 'a', parse = '%Y-%m-%d' }", "has no offset (%z); add time_zone"),
        ("x = { from = 'a', parse = '%H:%M %z' }", "has no year"),
        ("x = { from = 'a', parse = '%Y %Q %z' }", "cannot be read back"),
        ("x = { from = 'a', parse = 'iso8601', cast = 'int' }", "so cast and map cannot be beside it"),
        ("x = { from = 'a', time_zone = 'UTC' }", "time_zone needs parse beside it"),
        ("x = { from = 'a', otherwise = 1 }", "otherwise needs map beside it"),
        ("x = { from = 'a', cast = 'int', map = { 1 = 'one' } }", "map compares text"),
        ("x = { from = 'a', map = {} }", "'map'"),
        ("x = { from = 'a', default = [1] }", "event.x: 'default': must be text, a finite number, true or false"),
        ("x = { const = nan }", "event.x: 'const': must be text, a finite number, true or false"),
        ("x = { const = [[1]] }", "event.x: 'const': must be text, a finite number, true or false"),
        ("x = { from = 'a', null_if = 2013-01-01 }", "event.x: 'null_if': must be text"),
        ("id = { from = 'a', required = false }", "event.id: an id must be one value, and always there"),
        ("id = { each = 'a', item = { b = 'b' } }", "event.id: an id must be one value"),
    ],
)
def test_a_wrong_key_is_named(tmp_path: Path, line: str, says: str) -> None:
    said = refused(tmp_path, f"[event]\n{line}\n")
    assert said.startswith("mappings/m.toml: event.")
    assert says in said


def test_every_wrong_field_has_a_line_of_its_own(tmp_path: Path) -> None:
    lines = refused(tmp_path, "[event]\nx = 5\ny = 'a'\n[event.deep]\nz = 'b..c'\n").splitlines()
    assert [line.split(": ")[1] for line in lines] == ["event.x", "event.deep.z"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[events]\nx = 'a'", "unknown key 'events'; did you mean 'event'?"),
        ("", "the key 'event' is missing"),
        ("[event]\n", "'event'"),
        ("[event\n", "not valid TOML"),
        ("event = 5", "'event'"),
    ],
)
def test_a_file_that_is_no_mapping(tmp_path: Path, text: str, says: str) -> None:
    said = refused(tmp_path, text)
    assert said.startswith("mappings/m.toml: ")
    assert says in said


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mappings/none.toml: no such file in "):
        load_mapping(tmp_path / "none.toml", "mappings/none.toml")
    (tmp_path / "latin.toml").write_bytes(b"[event]\nx = '\xe4'")
    with pytest.raises(ConfigError, match=r"latin.toml: cannot be read"):
        load_mapping(tmp_path / "latin.toml")


def test_a_field_called_env_or_file_is_no_secret(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text("[event.attributes]\nenv = 'HOME'\n[event.other]\nfile = 'm.toml'\n")
    assert load_mapping(tmp_path / "m.toml").reads == {"HOME", "m.toml"}
