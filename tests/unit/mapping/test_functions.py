import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from prismlib.config.model import validate
from prismlib.errors import ConfigError, InvalidValueError
from prismlib.mapping import MappingNormalizer, PythonNormalizer
from prismlib.mapping.functions import load_function
from prismlib.mapping.plugin import prism_stages
from prismlib.plugin.hookspecs import BuildContext
from prismlib.records import Normalized
from tests.unit.mapping.conftest import batch_of

MODULE = """
from prismlib.errors import InvalidValueError

CONSTANT = 5

def double(n):
    return n * 2

def total(prices, rate):
    prices.append(1000)
    return sum(p for p in prices[:-1]) * rate

def picky(n):
    raise InvalidValueError("n is not to my taste", code="taste")

def stop(n):
    raise StopIteration

def nothing(n):
    return None

class Box:
    @staticmethod
    def wrap(n):
        return {"in": n}

def event(row):
    row["lines"].append("mine")
    match row["n"]:
        case 0: return None
        case 1: return {"kind": "no id"}
        case 2: return {"id": ""}
        case 3: return ["no dict"]
        case 4: raise KeyError("secret-4711")
        case 5: return {"id": 5}
        case 6: return {"id": None}
        case 7: raise InvalidValueError("seven", code="seven", field="n")
    return {"id": f"i{row['n']}", "lines": row["lines"]}
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path) -> Iterator[None]:
    package = tmp_path / "helpers_of_test"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "work.py").write_text(MODULE)
    (package / "broken.py").write_text("1 / 0")
    (package / "needs.py").write_text("import no_such_library_anywhere")
    before = list(sys.path)
    yield
    assert sys.path == before
    for name in [name for name in sys.modules if name.partition(".")[0] == "helpers_of_test"]:
        del sys.modules[name]


def test_a_function_gets_the_values_that_it_reads(value: Callable[..., Any]) -> None:
    assert value("{ python = 'helpers_of_test.work:double', reads = ['a.b'] }", {"a": {"b": 4}}) == 8
    assert value("{ python = 'helpers_of_test.work:Box.wrap', reads = ['a'] }", {"a": 4}) == {"in": 4}
    assert value("{ python = 'helpers_of_test.work:nothing', reads = ['a'] }", {"a": 4}) is None
    assert value("{ python = 'helpers_of_test.work:nothing', reads = ['a'], default = 'd' }", {"a": 4}) == "d"


def test_a_function_cannot_change_the_row(value: Callable[..., Any]) -> None:
    row = {"lines": [{"p": 1}, {"p": 2}], "prices": [1, 2], "rate": 10}
    assert value("{ python = 'helpers_of_test.work:total', reads = ['prices', 'rate'] }", row) == 30
    assert value("{ python = 'helpers_of_test.work:total', reads = ['lines[].p', 'rate'] }", row) == 30
    assert row == {"lines": [{"p": 1}, {"p": 2}], "prices": [1, 2], "rate": 10}


def test_a_function_that_raises_is_an_error_of_that_row(normalize: Callable[..., Normalized]) -> None:
    answer = normalize(
        "[event]\nx = { python = 'helpers_of_test.work:double', reads = ['a'] }", {"a": 1}, {"a": None}, {"a": 3}
    )
    assert answer.bodies == [{"x": 2}, None, {"x": 6}]
    error = answer.errors[1]
    assert error.reason == "x: helpers_of_test.work:double raised TypeError"
    assert (error.code, error.field) == ("function", "x")
    assert isinstance(error.__cause__, TypeError)
    names = []
    trace = error.__cause__.__traceback__
    while trace is not None:
        names.append(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    assert names == ["double"]  # not the frames that hold the batch


def test_a_function_may_say_what_is_wrong_itself(value: Callable[..., Any]) -> None:
    with pytest.raises(InvalidValueError, match=r"^n is not to my taste$") as caught:
        value("{ python = 'helpers_of_test.work:picky', reads = ['a'] }", {"a": 1})
    assert (caught.value.code, caught.value.field) == ("taste", "x")


def test_a_function_that_ends_an_iteration_ends_no_batch(normalize: Callable[..., Normalized]) -> None:
    answer = normalize("[event]\nx = { python = 'helpers_of_test.work:stop', reads = ['a'] }", {"a": 1}, {"a": 2})
    assert answer.bodies == [None, None]
    assert [error.code for error in answer.errors.values()] == ["function", "function"]


def test_a_required_function_must_return_something(value: Callable[..., Any]) -> None:
    with pytest.raises(InvalidValueError, match=r"helpers_of_test.work:nothing returned None") as caught:
        value("{ python = 'helpers_of_test.work:nothing', reads = ['a'], required = true }", {"a": 1})
    assert caught.value.code == "missing"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("helpers_of_test.wrok:double", "there is no Python module 'helpers_of_test.wrok' in "),
        ("no_such_package.x:double", "there is no Python module 'no_such_package' in "),
        ("helpers_of_test.work:duoble", "has no function 'duoble'; correct 'helpers_of_test.work:duoble'"),
        ("helpers_of_test.work:CONSTANT", "'helpers_of_test.work:CONSTANT' is a int and cannot be called"),
        ("helpers_of_test.broken:f", "importing 'helpers_of_test.broken' failed: ZeroDivisionError"),
        ("helpers_of_test.needs:f", "importing 'helpers_of_test.needs' needs 'no_such_library_anywhere'"),
    ],
)
def test_a_function_that_cannot_be_loaded_is_named_with_file_and_key(
    make: Callable[[str], MappingNormalizer], name: str, says: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        make(f"[event.a]\nx = {{ each = 'l', item = {{ y = {{ python = '{name}', reads = [] }} }} }}")
    assert str(caught.value).startswith("mappings/test.toml: event.a.x[].y.python: ")
    assert says in str(caught.value)


def test_a_function_makes_whole_events(tmp_path: Path) -> None:
    event = load_function("helpers_of_test.work:event", tmp_path, "normalize.python")
    normalizer = PythonNormalizer(event, ["n", "lines[].sku"])
    assert normalizer.reads == {"n", "lines.sku"}
    rows: list[Any] = [{"n": n, "lines": [{"sku": "s"}]} for n in range(9)]
    rows.insert(0, None)
    answer = normalizer.normalize(batch_of(rows), rows)
    assert answer.bodies == [
        None,
        None,
        {"kind": "no id"},
        *[None] * 6,
        {"id": "i8", "lines": [{"sku": "s"}, "mine"]},
    ]
    assert answer.ids == [*[None] * 9, "i8"]
    assert {row: (error.code, error.field) for row, error in answer.errors.items()} == {
        3: ("missing", "id"),
        4: ("function", None),
        5: ("function", None),
        6: ("missing", "id"),
        7: ("missing", "id"),
        8: ("seven", "n"),
    }
    assert "4711" not in answer.errors[5].reason
    assert rows[1:] == [{"n": n, "lines": [{"sku": "s"}]} for n in range(9)]


def test_events_without_ids_have_none(tmp_path: Path) -> None:
    normalizer = PythonNormalizer(load_function("helpers_of_test.work:event", tmp_path, "normalize.python"), ["*"])
    rows: list[Any] = [{"n": 1, "lines": []}]
    assert normalizer.reads == {"*"}
    assert normalizer.normalize(batch_of(rows), rows) == Normalized([{"kind": "no id"}], None, {})


@pytest.mark.parametrize(
    ("function", "reads", "says"),
    [
        (str, "id", "builtins:str: reads is the text 'id'; write a list, as in reads=['id']"),
        (str, [], 'builtins:str: reads is empty; name the fields that the function reads, or ["*"] for all'),
        (str, ["a..b"], "builtins:str: reads: 'a..b' is no path"),
        (7, ["a"], "int: 7 is a int and cannot be called"),
    ],
)
def test_what_is_no_function_or_reads_nothing_is_refused(function: Any, reads: Any, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        PythonNormalizer(function, reads)
    assert str(caught.value).startswith(says)


def test_errors_name_the_function_that_was_given() -> None:
    def broken(row: dict[str, Any]) -> dict[str, Any]:
        return {"x": row["absent"]}

    rows: list[Any] = [{"n": 1}]
    (error,) = PythonNormalizer(broken, ["n"]).normalize(batch_of(rows), rows).errors.values()
    assert error.reason.endswith("test_errors_name_the_function_that_was_given.<locals>.broken raised KeyError")


def test_both_normalizers_are_stages_of_the_plugin(tmp_path: Path) -> None:
    stages = {spec.name: spec for spec in prism_stages()}
    (tmp_path / "m.toml").write_text("[event]\nx = { python = 'helpers_of_test.work:double', reads = ['a'] }")
    context = BuildContext("p", base=tmp_path)
    mapping = stages["mapping"]
    made = mapping.factory(validate(mapping.config_model, {"file": "m.toml"}, "p"), context)
    assert made.reads == {"a"}
    python = stages["python"]
    settings = {"python": "helpers_of_test.work:event", "reads": ["n", "lines"]}
    assert python.factory(validate(python.config_model, settings, "p"), context).reads == {"n", "lines"}
    with pytest.raises(ConfigError, match=r"normalize.python: there is no Python module"):
        python.factory(validate(python.config_model, {"python": "helpers_of_test.x:f", "reads": ["*"]}, "p"), context)
    for wrong in ({"python": "os.system", "reads": ["a"]}, {"python": "m:f", "reads": ["a..b"]}, {"python": "m:f"}):
        with pytest.raises(ConfigError):
            validate(python.config_model, wrong, "p")
