"""What a line of the log looks like."""

import json
import logging

from prismlib.cli.logs import JsonFormatter, TextFormatter

REPORT = "topic orders waits\n  AVR001 type-changed: delay"


def paused() -> logging.LogRecord:
    facts = {"topic": "orders", "reason": "it has changed", "report": REPORT}
    record = logging.makeLogRecord(
        {"msg": "route paused", "levelname": "ERROR", "levelno": logging.ERROR, "created": 0.0}
    )
    record.__dict__.update(facts)
    return record


def test_a_report_stands_below_its_line_for_people() -> None:
    assert TextFormatter("1").format(paused()).splitlines() == [
        '1970-01-01T00:00:00.000Z ERROR [1] route paused topic=orders reason="it has changed"',
        "    topic orders waits",
        "      AVR001 type-changed: delay",
    ]


def test_a_report_is_one_field_for_programs() -> None:
    (line,) = JsonFormatter("1").format(paused()).splitlines()
    assert json.loads(line)["report"] == REPORT
