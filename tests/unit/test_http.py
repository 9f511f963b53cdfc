"""Headers of servers, sound and not."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from prismlib.http import retry_after_seconds


@pytest.mark.parametrize(("header", "seconds"), [("0", 0.0), (" 120 ", 120.0), (formatdate(0, usegmt=True), 0.0)])
def test_seconds_and_dates_are_understood(header: str, seconds: float) -> None:
    assert retry_after_seconds(header) == seconds


def test_a_date_to_come_is_that_far_away() -> None:
    found = retry_after_seconds(formatdate(4e9, usegmt=True))
    assert found is not None
    assert found > 0


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "soon",
        "-1",
        "1.5",
        "\xb2",
        "9" * 400,
        "Mon, 01 Jan 0001 00:00:00 -0000",
        "Mon, 99 Jan 2001 00:00:00 GMT",
        "Fri, 31 Dec 99999999999999 23:59:59 GMT",
    ],
)
def test_what_says_nothing_is_no_error(header: str | None) -> None:
    """A server or proxy can send any bytes."""
    assert retry_after_seconds(header) in {None, 0.0}
