"""``scripts/soak``: both workers through random faults on real servers, and nothing is lost or doubled.

    scripts/soak                                     1,000,000 records, 200 faults
    scripts/soak --records 50000 --faults 10 --seed 7

A seed draws the same faults again; what they meet is a matter of the machine. Ends with 0 when every acknowledged record
is in the topic and in the index exactly once and every poison record in the dead letters, and with 1 otherwise; then
everything is kept: logs of workers and servers, their data, and the faults with their times in faults.jsonl.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.soak.run import Outcome, Progress, soak

LINE_SECONDS = 15.0


class Teller:
    """Progress on standard error: one line that is written over on a terminal, a new line now and then elsewhere."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._next = 0.0

    def __call__(self, at: Progress) -> None:
        terminal, now = sys.stderr.isatty(), time.monotonic()
        if not terminal and now < self._next:
            return
        self._next = now + LINE_SECONDS
        line = (
            f"{now - self._began:5.0f} s  published {at.published:,} of {at.records:,}  in the index {at.indexed:,}"
            f"  faults {at.faults} of {at.all_faults}  restarted by the supervisor {at.ended}"
        )
        print(f"\r\x1b[K{line}" if terminal else line, end="" if terminal else "\n", file=sys.stderr, flush=True)

    def end(self) -> None:
        if sys.stderr.isatty():
            print(file=sys.stderr)


def report(outcome: Outcome) -> str:
    lines = [
        f"seed {outcome.seed}, {outcome.seconds:.0f} s: {outcome.acknowledged:,} of {outcome.records:,} records acknowledged,",
        f"{outcome.poison} poison records, {sum(outcome.faults.values())} faults",
        *(f"  {count:5}  {kind}" for kind, count in outcome.faults.items()),
        "",
        f"{'':24}{'records':>10}{'lost':>8}{'double':>8}{'strangers':>11}",
        *(
            f"{found.place:24}{found.records:10,}{found.lost:8,}{found.double:8,}{found.strangers:11,}"
            for found in outcome.found
        ),
    ]
    if outcome.ended:
        lines += ["", "workers that ended by themselves and were started again:"]
        lines += [f"  {count:5}  {sentence}" for sentence, count in outcome.ended.items()]
    lines += ["", "PASSED" if outcome.passed else "FAILED", *(f"  {each}" for each in outcome.wrong)]
    return "\n".join(lines)


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))  # on the way out the workers are ended, as by Ctrl-C
    parser = argparse.ArgumentParser(
        prog="scripts/soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, default=1_000_000, help="default 1000000")
    parser.add_argument("--faults", type=int, default=200, help="default 200")
    parser.add_argument("--seed", type=int, help="default: a new one, which is printed")
    parser.add_argument(
        "--rate", type=float, default=1500, help="most records that are published a second; default 1500"
    )
    parser.add_argument("--folder", type=Path, help="a new folder for everything; kept. Default: a temporary one")
    parser.add_argument("--json", action="store_true", help="the result as JSON on standard output")
    options = parser.parse_args()
    seed = random.randrange(1 << 32) if options.seed is None else options.seed
    if options.folder is not None:
        options.folder.mkdir(parents=True)
    folder: Path = options.folder or Path(tempfile.mkdtemp(prefix="prism-soak-"))
    print(f"seed {seed}, everything is in {folder}", file=sys.stderr)
    teller = Teller()
    outcome = soak(folder, records=options.records, faults=options.faults, seed=seed, rate=options.rate, tell=teller)
    teller.end()
    (folder / "outcome.json").write_text(json.dumps(outcome.as_json(), indent=2))
    print(json.dumps(outcome.as_json(), indent=2) if options.json else report(outcome))
    if outcome.passed and options.folder is None:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"logs of workers and servers, and faults.jsonl: {folder}", file=sys.stderr)
    return 0 if outcome.passed else 1


if __name__ == "__main__":
    sys.exit(main())
