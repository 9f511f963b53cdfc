"""Microseconds per record of compiled mappings, beside what a person would write by hand for the same events.

    python -m bench.mapping [--rounds 9]

Three inputs: clicks of 12 plain fields; the flights of the example, with the functions of its mapping; and the orders of
`bench.drawn`, where code by hand passes lists and maps on and a mapping copies them. Rounds alternate between the contenders, and the lowest counts: the others were disturbed. Both must make
equal events, or nothing is printed. By hand means without any check: a missing field, a list in an id, a shared list or
an error that names its field do not occur to that code.
"""

from __future__ import annotations

import argparse
import sys
import time
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from bench.drawn import draw
from prismlib.mapping import MappingNormalizer, load_mapping, mapping_from
from prismlib.records import Partition, RecordBatch

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "air_traffic"
BATCH = 500
Rows = list[dict[str, Any]]


def number(text: str) -> int | None:
    return None if text == "NA" else int(text)


def by_hand_flight(functions: Any, row: dict[str, Any]) -> dict[str, Any]:
    carrier, flight = row["carrier"], row["flight"]
    return {
        "id": f"{carrier}{flight}-{row['origin']}-{row['year']}-{row['month']:02}-{row['day']:02}",
        "kind": "departure",
        "time": functions.scheduled_departure(row["time_hour"], row["minute"]),
        "airport": row["origin"],
        "measures": {
            "departure_delay_minutes": number(row["dep_delay"]),
            "arrival_delay_minutes": number(row["arr_delay"]),
            "air_time_minutes": number(row["air_time"]),
            "distance_miles": row["distance"],
        },
        "attributes": {
            "carrier": carrier,
            "flight": f"{carrier}{flight}",
            "tail_number": None if row["tailnum"] == "NA" else row["tailnum"],
            "destination": row["dest"],
            "cancelled": functions.cancelled(row["dep_time"]),
            "scheduled_departure": functions.clock(row["sched_dep_time"]),
            "scheduled_arrival": functions.clock(row["sched_arr_time"]),
            "departure": functions.clock(row["dep_time"]),
            "arrival": functions.clock(row["arr_time"]),
        },
    }


CLICK = """
[event]
id = "id"
kind = { const = "click" }
time = { from = "at", parse = "epoch_ms" }
[event.attributes]
page = "page"
referrer = "referrer"
browser = "agent.browser"
version = "agent.version"
state = { from = "state", map = { A = "active", B = "blocked" } }
[event.measures]
position = "position"
score = "score"
new = "new"
user = "user"
"""
STATES = {"A": "active", "B": "blocked"}


def by_hand_click(row: dict[str, Any]) -> dict[str, Any]:
    agent = row["agent"]
    return {
        "id": row["id"],
        "kind": "click",
        "time": datetime.fromtimestamp(row["at"] / 1000, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
        "attributes": {
            "page": row["page"],
            "referrer": row["referrer"],
            "browser": agent["browser"],
            "version": agent["version"],
            "state": STATES[row["state"]],
        },
        "measures": {"position": row["position"], "score": row["score"], "new": row["new"], "user": row["user"]},
    }


def click(number: int) -> dict[str, Any]:
    return {
        "id": f"click-{number}",
        "at": 1_700_000_000_001 + number * 1000,
        "page": f"/shop/{number % 97}",
        "referrer": None if number % 3 else "https://example.org/",
        "agent": {"browser": "firefox", "version": 140},
        "state": "AB"[number % 2],
        "position": number % 20,
        "score": number / 7,
        "new": number % 5 == 0,
        "user": f"user-{number % 1009}",
    }


def batches(rows: Rows) -> list[tuple[RecordBatch, Rows]]:
    """Rows with the batches that they came in, as a runner hands them over."""
    made = []
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        n = len(part)
        batch = RecordBatch(Partition("t", 0), range(start, start + n), [-1] * n, [None] * n, [b""] * n, [None] * n)
        made.append((batch, part))
    return made


def compare(
    name: str, normalizer: MappingNormalizer, by_hand: Callable[[dict[str, Any]], Any], rows: Rows, n: int
) -> None:
    given = batches(rows)

    def ours(batch: RecordBatch, part: Rows) -> list[Any]:
        return list(normalizer.normalize(batch, part).bodies)

    def hand(_: RecordBatch, part: Rows) -> list[Any]:
        return [by_hand(row) for row in part]

    assert all(ours(*one) == hand(*one) for one in given), f"{name}: the events differ"
    best = {"compiled mapping": 1e9, "by hand": 1e9}
    for _ in range(n):
        for contender, run in (("compiled mapping", ours), ("by hand", hand)):
            begun = time.process_time()
            for batch, part in given:
                run(batch, part)
            best[contender] = min(best[contender], time.process_time() - begun)
    for contender, seconds in best.items():
        print(f"{name:<24} {contender:<18} {seconds / len(rows) * 1e6:6.2f} us/record")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds

    clicks = [click(number) for number in range(20_000)]
    mapping = mapping_from(tomllib.loads(CLICK), "clicks")
    compare("clicks, 12 fields", MappingNormalizer(mapping, EXAMPLE), by_hand_click, clicks, rounds)

    sys.path.insert(0, str(EXAMPLE))
    from air_traffic import flights, records

    rows = list(records.flights(EXAMPLE / "input"))
    mapping = load_mapping(EXAMPLE / "mappings" / "flights.toml")
    compare("flights, 17 fields", MappingNormalizer(mapping, EXAMPLE), partial(by_hand_flight, flights), rows, rounds)

    for seed in (0, 1, 2):
        drawn = draw(seed)
        scope: dict[str, Any] = {}
        exec(drawn.by_hand, scope)  # our own text, from drawn.py
        # Without whole seconds: of those, the code by hand writes a fraction of zeros, and the mapping none.
        rows = [drawn.record(number) for number in range(20_000) if number % 1000]
        mapping = mapping_from(tomllib.loads(drawn.mapping), f"orders, seed {seed}")
        compare(f"orders, seed {seed}", MappingNormalizer(mapping, EXAMPLE), scope["map_row"], rows, rounds)


if __name__ == "__main__":
    main()
