"""What the suites call the same."""

import pytest

from prismlib.testing.equality import same

NAN = float("nan")


@pytest.mark.parametrize("value", [None, True, 1, 1.0, -0.0, NAN, "a", b"a", [1, [NAN]], {"a": {"b": (1, None)}}, {}])
def test_a_value_is_the_same_as_its_twin(value):
    assert same(value, value)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (1, 1.0),
        (0.0, -0.0),
        ("a", b"a"),
        ([1], (1,)),
        ([1], [1, 2]),
        ([1, 2], [2, 1]),
        ({"a": [0]}, {"a": [False]}),
        ({"a": None}, {}),
        ({1: "a"}, {True: "a"}),
        (NAN, 1.0),
        (b"{}", {}),
        (None, {}),
    ],
)
def test_values_that_differ_somewhere_are_not(one, other):
    assert not same(one, other)
    assert not same(other, one)
