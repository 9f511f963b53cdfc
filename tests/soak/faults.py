"""Doing it: every kind of fault is one method. Faults at different places overlap, at one place they follow each other."""

from __future__ import annotations

import itertools
import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.integration.harness import Worker
from tests.soak.plan import Fault, Kind
from tests.soak.producers import BAD_AVRO, BAD_AVRO_ONCE, BAD_JSON, Producers
from tests.soak.world import World, end, last_error, new_rng

AT_ONCE = 3
AHEAD = 2  # faults that the producers may be ahead of
WAIT = 0.05
FENCED_SECONDS = 120.0
PAUSE_SECONDS = 90.0


class FaultFailedError(Exception):
    """What should have followed from a fault did not."""


class Faults:
    """Begins each fault when enough records were published, and lets the producers run only a little ahead.

    Attributes:
        done: faults that came to their end, by kind.
        failures: what went wrong with them.
    """

    def __init__(self, world: World, producers: Producers, plan: Sequence[Fault], records: int, log: Path) -> None:
        self._world, self._producers, self._plan, self._records = world, producers, plan, records
        self.done: Counter[Kind] = Counter()
        self.failures: list[str] = []
        self._log, self._log_lock = log, threading.Lock()
        self._places: dict[str, threading.Thread] = {}
        self._guests = itertools.count(1)
        self._unknown_id_at = 0.0
        self._began = time.monotonic()
        self._how: dict[Kind, Callable[[Fault], None]] = {
            "kill worker": self._kill_worker,
            "kill broker": self._kill_broker,
            "kill elasticsearch": self._kill_elasticsearch,
            "restart worker": self._restart_worker,
            "throttle": self._throttle,
            "refuse documents": self._refuse_documents,
            "lose answers": self._lose_answers,
            "poison": self._poison,
            "rebalance": self._rebalance,
            "freeze worker": self._freeze_worker,
            "replace worker": self._replace_worker,
            "drift": self._drift,
        }

    def run(self, watch: Callable[[], None]) -> None:
        """All of them, to the end; ``watch`` is called all the time, and may raise."""
        for number, fault in enumerate(self._plan):
            ahead = number + AHEAD
            self._producers.allowed = self._plan[ahead].after if ahead < len(self._plan) else self._records
            place = _place(fault)
            while self._producers.published() < fault.after or self._taken(place) or self._running() >= AT_ONCE:
                self._producers.check()
                watch()
                time.sleep(WAIT)
            thread = threading.Thread(target=self._perform, args=(number, fault), name=f"fault-{number}")
            self._places[place] = thread
            thread.start()
        self._producers.allowed = self._records
        while self._running():
            watch()
            time.sleep(WAIT)

    def join(self) -> None:
        """Wait for those that run, after :meth:`run` was left early."""
        for thread in self._places.values():
            thread.join()

    def _taken(self, place: str) -> bool:
        return place in self._places and self._places[place].is_alive()

    def _running(self) -> int:
        return sum(thread.is_alive() for thread in self._places.values())

    def _perform(self, number: int, fault: Fault) -> None:
        self._note(number, fault, "begins")
        try:
            self._how[fault.kind](fault)
        except Exception as error:  # noqa: BLE001  # told at the end, with all others
            self.failures.append(f"fault {number}, {fault.kind}: {type(error).__name__}: {error}")
            self._note(number, fault, f"failed: {error}")
        else:
            self.done[fault.kind] += 1
            self._note(number, fault, "ends")

    def _note(self, number: int, fault: Fault, what: str) -> None:
        line: dict[str, Any] = {
            "seconds": round(time.monotonic() - self._began, 2),
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "fault": number,
            "kind": fault.kind,
            "what": what,
            "worker": fault.worker,
            "lasts": round(fault.lasts, 2),
            "published": self._producers.published(),
        }
        with self._log_lock, self._log.open("a") as log:
            log.write(json.dumps(line) + "\n")

    # --- workers -------------------------------------------------------------------------------------------------------

    def _kill_worker(self, fault: Fault) -> None:
        post = self._world.posts[fault.worker]
        post.kill()
        time.sleep(fault.lasts if fault.strength < 0.5 else 0)
        post.start()

    def _restart_worker(self, fault: Fault) -> None:
        post = self._world.posts[fault.worker]
        code = post.stop()
        if code:
            raise FaultFailedError(f"{fault.worker} ended with {code} after SIGTERM: {last_error(post.worker)}")
        time.sleep(fault.lasts)
        post.start()

    def _freeze_worker(self, fault: Fault) -> None:
        """SIGSTOP, often for longer than its session lasts, so that it wakes as a zombie."""
        post = self._world.posts[fault.worker]
        post.signal(signal.SIGSTOP)
        time.sleep(fault.lasts)
        post.signal(signal.SIGCONT)

    def _replace_worker(self, fault: Fault) -> None:
        """A worker freezes, a successor of its name starts, and it wakes: it must end, and say why."""
        post = self._world.posts[fault.worker]
        post.signal(signal.SIGSTOP)
        zombie = post.replace()
        try:
            time.sleep(fault.lasts + 3)
            assert zombie.process is not None
            zombie.process.send_signal(signal.SIGCONT)
            deadline = time.monotonic() + FENCED_SECONDS
            while zombie.running():
                if time.monotonic() > deadline:
                    raise FaultFailedError(f"a second {fault.worker} still runs {FENCED_SECONDS:.0f} s after it woke")
                time.sleep(WAIT)
            if zombie.process.returncode != 3:
                raise FaultFailedError(f"a second {fault.worker} ended with {zombie.process.returncode} and not with 3")
        finally:
            end(zombie)

    def _rebalance(self, fault: Fault) -> None:
        """A guest joins, works, and leaves: in order, or by kill -9."""
        guest = Worker(self._world.pipelines[fault.worker], f"guest{next(self._guests)}").start()
        try:
            time.sleep(fault.lasts)
            if fault.strength < 0.5 and guest.running():
                code = guest.stop(120)
                if code not in (0, 3):  # 3: servers were away when it started
                    raise FaultFailedError(f"{guest.name} ended with {code} after SIGTERM: {last_error(guest)}")
        finally:
            end(guest)

    # --- servers -------------------------------------------------------------------------------------------------------

    def _kill_broker(self, fault: Fault) -> None:
        self._world.kafka.kill()
        time.sleep(fault.lasts)
        self._world.kafka.start()

    def _kill_elasticsearch(self, fault: Fault) -> None:
        self._world.elasticsearch.kill()
        time.sleep(fault.lasts)
        self._world.elasticsearch.start()

    def _throttle(self, fault: Fault) -> None:
        """Every bulk request is too much."""

        def busy(_method: str, path: str, _body: bytes, _headers: dict[str, str]) -> Any:
            return (429, {"retry-after": "1"}, b'{"error":"busy"}') if "_bulk" in path else None

        self._world.proxy.fault = busy
        time.sleep(fault.lasts)
        self._world.proxy.fault = None

    def _refuse_documents(self, fault: Fault) -> None:
        """Some documents of each bulk request are too much: from one in a hundred to all."""
        rng = new_rng(fault.seed)
        share = 10 ** (-2 + 2 * fault.strength)
        refusal = {"type": "es_rejected_execution_exception", "reason": "rejected by the soak"}

        def refuse(_id: str) -> dict[str, Any] | None:
            return {"status": 429, "error": refusal} if rng.random() < share else None

        self._world.proxy.item_fault = refuse
        time.sleep(fault.lasts)
        self._world.proxy.item_fault = None

    def _lose_answers(self, fault: Fault) -> None:
        """What was written is said not to have been."""
        rng = new_rng(fault.seed)
        share = 0.1 + 0.6 * fault.strength
        self._world.proxy.loses = lambda path: "_bulk" in path and rng.random() < share
        time.sleep(fault.lasts)
        self._world.proxy.loses = None

    # --- records -------------------------------------------------------------------------------------------------------

    def _poison(self, fault: Fault) -> None:
        """Bad records among the good ones, for each worker."""
        rng = new_rng(fault.seed)
        count = 1 + int(40 * fault.strength)
        stream = rng.choice(list(self._world.streams.values()))
        self._producers.poison_some(stream.topic, stream.framing, BAD_AVRO, rng, count)
        self._producers.poison_some(stream.topic, stream.framing, BAD_AVRO_ONCE, rng, 1)
        self._producers.poison_some("events", self._world.events_framing, BAD_JSON, rng, count)

    def _drift(self, fault: Fault) -> None:
        """A schema breaks what a mapping reads, and that route pauses; a while later schema and mapping are mended."""
        name = new_rng(fault.seed).choice(list(self._world.streams))
        before = self._world.pauses(name)
        self._world.break_schema(name)
        deadline = time.monotonic() + PAUSE_SECONDS
        while self._world.pauses(name) == before:
            if time.monotonic() > deadline:
                raise FaultFailedError(f"no worker paused {name} within {PAUSE_SECONDS:.0f} s of a breaking schema")
            time.sleep(0.5)
        time.sleep(fault.lasts)
        self._world.mend_schema(name)


def _place(fault: Fault) -> str:
    """What a fault needs for itself."""
    match fault.kind:
        case "kill broker":
            return "broker"
        case "kill elasticsearch":
            return "elasticsearch"
        case "throttle" | "refuse documents" | "lose answers":
            return "proxy"
        case "poison":
            return "producers"
        case "rebalance":
            return "guests"
        case "drift":
            return "schemas"
        case _:
            return fault.worker
