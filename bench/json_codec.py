"""CPU time of the JSON codec, in microseconds a record: with and without validation, beside what it is made of.

    python -m bench.json_codec [--records 2000] [--rounds 20]

Records are clicks of twelve fields: ids, times, strings, an enum, a nested record, a list and a map. The lowest of the rounds
counts. fastjsonschema is compared where it is installed.
"""

from __future__ import annotations

import argparse
import importlib
import json
from collections.abc import Callable, Sequence
from typing import Any

import jsonschema
import orjson

from bench.protobuf_codec import batch_of, bodies, lowest
from prism_jsonschema.plugin import prism_stages
from prismlib.contracts.framing import header
from prismlib.contracts.registry import RegisteredSchema
from prismlib.plugin.hookspecs import BuildContext

TEXT = {"type": "string"}
NUMBER = {"type": "integer", "minimum": 0}
CLICK = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "additionalProperties": False,
    "required": ["click_id", "user_id", "time", "url", "kind"],
    "properties": {
        "click_id": {"type": "string", "minLength": 1},
        "user_id": TEXT,
        "time": NUMBER,
        "url": TEXT,
        "referrer": {"type": ["string", "null"]},
        "device": {
            "type": "object",
            "required": ["os"],
            "properties": {"os": TEXT, "browser": TEXT, "width": NUMBER, "height": NUMBER},
        },
        "duration_ms": NUMBER,
        "session": NUMBER,
        "price": {"type": ["number", "null"]},
        "tags": {"type": "array", "items": TEXT},
        "kind": {"enum": ["VIEW", "BUY"]},
        "extra": {"type": "object", "additionalProperties": TEXT},
    },
}


class OneSchema:
    """A registry of one schema."""

    def __init__(self) -> None:
        self.only = RegisteredSchema(1, "clicks-value", 1, "jsonschema", json.dumps(CLICK))

    def by_id(self, schema_id: int) -> RegisteredSchema:
        del schema_id
        return self.only

    def latest(self, subject: str) -> RegisteredSchema:
        del subject
        return self.only

    def version(self, subject: str, version: int) -> RegisteredSchema:
        del subject, version
        return self.only

    def versions(self, subject: str) -> Sequence[int]:
        del subject
        return [1]

    def subjects(self) -> Sequence[str]:
        return ["clicks-value"]


def stage(kind: str, reads: tuple[str, ...] = (), **config: Any) -> Any:
    spec = next(one for one in prism_stages() if one.kind == kind)
    settings = spec.config_model.model_validate({"subject": "clicks-value", **config})
    return spec.factory(settings, BuildContext("bench", reads=frozenset(reads), registry=OneSchema()))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--records", type=int, default=2000)
    arguments.add_argument("--rounds", type=int, default=20)
    options = arguments.parse_args()
    given = bodies(options.records)
    payloads = [orjson.dumps(body) for body in given]
    values = [header(1) + payload for payload in payloads]
    batch = batch_of(values)
    modes = ("always", "sample", "never")
    rows = {mode: stage("decoder", ("*",), validate=mode) for mode in modes}
    passing = {mode: stage("decoder", validate=mode) for mode in modes}
    encoders = {mode: stage("encoder", validate=mode) for mode in modes}
    for mode in modes:
        results = (rows[mode].decode(batch), passing[mode].decode(batch), encoders[mode].encode(given))
        right = results[0].rows == given, results[1].rows == payloads, results[2].values == values
        if not all(right) or any(result.errors for result in results):
            raise SystemExit("the codec does not give back what it was given")
    loads, dumps = orjson.loads, orjson.dumps
    fits = rows["always"]._known[values[0][:5]].check.fits
    slow = jsonschema.Draft7Validator(CLICK).is_valid
    start = header(1)
    contenders: dict[str, tuple[Callable[[], object], int]] = {
        "decode: orjson.loads alone": (lambda: [loads(value[5:]) for value in values], 1),
        **{f"decode: ours, rows, {mode}": (lambda d=rows[mode]: d.decode(batch), 1) for mode in modes},
        **{f"decode: ours, payloads, {mode}": (lambda d=passing[mode]: d.decode(batch), 1) for mode in modes},
        "encode: orjson.dumps alone": (lambda: [start + dumps(body) for body in given], 1),
        **{f"encode: ours, dicts, {mode}": (lambda e=encoders[mode]: e.encode(given), 1) for mode in modes},
        **{f"encode: ours, bytes, {mode}": (lambda e=encoders[mode]: e.encode(payloads), 1) for mode in modes},
        "validate: jsonschema-rs": (lambda: [fits(body) for body in given], 1),
        "validate: jsonschema": (lambda: [slow(body) for body in given], 10),
    }
    try:
        fast = importlib.import_module("fastjsonschema").compile(CLICK)
    except ModuleNotFoundError:
        pass
    else:
        contenders["validate: fastjsonschema"] = (lambda: [fast(body) for body in given], 1)
    bad = batch_of([header(1) + dumps({**body, "device": {"os": 1}}) for body in given])
    contenders["decode: ours, rows, always, none of which fits"] = (lambda: rows["always"].decode(bad), 10)
    print(
        f"{options.records} records of {sum(map(len, values)) / options.records:.0f} bytes, CPU time, lowest of {options.rounds} rounds"
    )
    for name, (run, fewer) in contenders.items():
        print(f"{name:<50} {lowest(run, options.records, max(1, options.rounds // fewer)):7.2f} us", flush=True)


if __name__ == "__main__":
    main()
