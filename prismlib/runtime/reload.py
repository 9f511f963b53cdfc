"""New routes for a running worker: made when the pipeline file or a mapping changes, taken over between two batches.

    files -> a thread of its own: changed? stable? built? -> the runner's thread: takes the routes over

The thread may wait for a registry as long as that takes; no record waits for it. A change is taken as a whole or not at
all: when a part of it needs a restart, or a file is wrong, the worker goes on with everything as it was.
"""

from __future__ import annotations

import logging
import math
import queue
import shlex
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from prismlib.config.model import file_digest
from prismlib.config.pipeline import PipelineConfig, load_pipeline
from prismlib.contracts.registry import Registry
from prismlib.errors import PrismError
from prismlib.plugin.manager import Plugins
from prismlib.runtime.building import Builder
from prismlib.runtime.given import NOTHING, GivenStages
from prismlib.runtime.inputs import Inputs
from prismlib.runtime.notices import Notice, Tell
from prismlib.runtime.resolve import resolve
from prismlib.runtime.retries import Backoff
from prismlib.runtime.route import Route
from prismlib.runtime.usage import Reads, reads_of

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
"""Between two looks at the files. A change counts when two looks in a row find the same: editors write in pieces."""
LAST = 5.0
"""Seconds that the end of a worker waits for a build under way, which nobody needs any more."""


@dataclass(frozen=True, slots=True)
class NewRoutes:
    """What takes the place of a worker's routes.

    Attributes:
        routes: by topic; the topics are those from before.
        reads: what they read of subjects.
        on_drift: what the pipeline file says now.
        changed: the files that differ from those in use before.
    """

    routes: Mapping[str, Route]
    reads: Reads = field(default_factory=dict)
    on_drift: Literal["pause", "dead_letter", "stop"] = "pause"
    changed: tuple[str, ...] = ()


class RouteFactory:
    """Builds routes with everything that stays the same while a worker runs."""

    def __init__(
        self,
        plugins: Plugins,
        worker: str,
        registry: Registry | None,
        storage: Path | None,
        given: GivenStages = NOTHING,
        *,
        versioned: bool,
    ) -> None:
        """``versioned`` is what the policy of the sink says; the others are as for ``assemble``."""
        self._plugins = plugins
        self._worker = worker
        self._registry = registry
        self._storage = storage
        self._given = given
        self._versioned = versioned

    def build(self, config: PipelineConfig, inputs: Inputs) -> tuple[dict[str, Route], Reads]:
        """All routes of a pipeline, and what they read of subjects; ``inputs`` is told of every file.

        Raises:
            ConfigError, PluginLoadError, StageContractError: as for ``assemble``.
            ContractError: a schema cannot be had.
        """
        resolved = resolve(config, self._plugins, self._given)
        builder = Builder(self._plugins, config, self._worker, self._registry, self._storage, self._given, inputs)
        routes = builder.routes(resolved.routes, builder.encoder(resolved, versioned=self._versioned))
        return routes, reads_of(resolved, routes)


class Reloader:
    """Looks at the files of one worker, and builds its routes again when they change."""

    def __init__(self, factory: RouteFactory, config: PipelineConfig, inputs: Inputs) -> None:
        """Nothing is looked at yet.

        Args:
            factory: builds the routes.
            config: the pipeline in use. One that was made in code stays as it is; its mappings are looked at.
            inputs: what the routes in use were made of.
        """
        self._factory = factory
        self._config = config
        self._from_file = config.digest is not None
        self._used = dict(inputs.files)  # the files of the routes in use
        if self._from_file:
            self._used[config.path] = config.digest
        self._code = inputs.code()  # as it was imported: Python does not forget it
        self._tried = self._used | self._code  # at the last build, whatever came of it
        self._seen = self._tried  # at the last look
        self._problem = ""  # that was logged last
        self._retry_at = math.inf
        self._backoff = Backoff(first=2.0, longest=60.0)
        self._tell: Tell = lambda _: None
        self._ready: NewRoutes | None = None
        self._lock = threading.Lock()
        self._closed = False
        # Not an Event, whose lock a signal handler could find held by the very thread that it interrupts.
        self._asked: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def ask(self) -> None:
        """Build again now, whether or not a file looks changed. May be called from a signal handler or any thread."""
        self._asked.put(None)

    def take(self) -> NewRoutes | None:
        """New routes, once; None while there are none."""
        if self._ready is None:
            return None
        with self._lock:
            ready, self._ready = self._ready, None
        return ready

    def start(self, tell: Tell) -> None:
        """Begin to look; ``tell`` takes notices of files that are wrong."""
        self._tell = tell
        self._thread = threading.Thread(target=self._run, name=f"prism-reload-{self._config.name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread. May be called twice."""
        self._closed = True
        self.ask()
        if self._thread is not None:
            self._thread.join(LAST)
            self._thread = None

    def _run(self) -> None:
        while not self._closed:
            asked = self._wait()
            if not self._closed:
                self.look(asked=asked)

    def _wait(self) -> bool:
        """Until the next look; True when somebody asked for it, however often."""
        try:
            self._asked.get(timeout=LOOK_SECONDS)
        except queue.Empty:
            return False
        while not self._asked.empty():
            self._asked.get()
        return True

    # --- looking -------------------------------------------------------------------------------------------------------

    def look(self, *, asked: bool = False) -> None:
        """Look at the files once, and build when they have changed and hold still, or when it was asked for."""
        now = {path: file_digest(path) for path in self._tried}
        stable, self._seen = now == self._seen, now
        if asked:
            self._problem = ""  # who asks is answered, even if nothing is new
        if asked or (stable and (now != self._tried or time.monotonic() >= self._retry_at)):
            self._build()

    def _build(self) -> None:
        inputs = Inputs()
        code = {path: file_digest(path) for path in self._code}
        new: NewRoutes | None = None
        self._retry_at = math.inf
        try:
            new = self._new(inputs, code)
        except PrismError as error:
            self._failed(str(error))
        except Exception as error:  # noqa: BLE001  # the thread must live on, or nobody would notice the file that mends it
            self._failed(f"internal error, please report it: {type(error).__name__}: {error}", exc_info=True)
        imported = inputs.code()
        self._code = imported | self._code
        files = inputs.files | inputs.missing_code(self._config.base)
        if new is None:
            files = {path: file_digest(path) for path in self._used} | files
        else:
            self._used = inputs.files
        self._tried = self._seen = files | imported | code
        if new is not None:
            self._succeeded(new)

    def _new(self, inputs: Inputs, code: Mapping[Path, bytes | None]) -> NewRoutes | None:
        """Routes of the files as they are now; None where only a restart can change what was changed."""
        config = self._config
        if self._from_file:
            inputs.note_file(config.path)
            config = load_pipeline(config.path)
        restart = [*_fixed_keys(config, self._config), *(str(p) for p in code if code[p] != self._code[p])]
        if restart:
            self._say(
                "a change needs a restart, the worker goes on with everything as it was",
                f"{config.path}: only a restart can change {', '.join(restart)}",
                logging.WARNING,
            )
            return None
        routes, reads = self._factory.build(config, inputs)
        self._config = config
        changed = [str(path) for path, digest in inputs.files.items() if self._used.get(path, b"") != digest]
        return NewRoutes(routes, reads, config.on_drift, tuple(changed))

    def _succeeded(self, new: NewRoutes) -> None:
        self._problem = ""
        self._backoff.reset()
        with self._lock:
            self._ready = new

    def _failed(self, reason: str, *, exc_info: bool = False) -> None:
        """A wrong file, or a registry that cannot say yet: tried again now and then, and when a file changes again."""
        self._retry_at = time.monotonic() + self._backoff.next()
        if self._say(
            "changed files cannot be used, the worker goes on with what it read before", reason, logging.ERROR, exc_info
        ):
            path = str(self._config.path)
            what = f"Changed files cannot be used: {reason}"
            stake = "The worker goes on with its old files, and a paused topic that waits for the change stays paused."
            self._tell(Notice("reload-failed", path, what, stake, f"prism check {shlex.quote(path)}"))

    def _say(self, what: str, reason: str, level: int, exc_info: bool = False) -> bool:  # noqa: FBT001, FBT002  # private
        """Log it, unless that was the last thing said. True when it was new."""
        if reason == self._problem:
            return False
        self._problem = reason
        log.log(level, what, extra={"reason": reason}, exc_info=exc_info)
        return True


def _fixed_keys(new: PipelineConfig, old: PipelineConfig) -> list[str]:
    """What differs of that which a running worker cannot change."""
    one, two = _fixed(new), _fixed(old)
    return sorted(key for key in one | two if one.get(key) != two.get(key))


def _fixed(config: PipelineConfig) -> dict[str, str]:
    """As text, in which all secrets are alike: one that was renewed must not keep a mapping from being mended."""
    keys: dict[str, object] = {
        "name": config.name,
        "start": config.start,
        "key_fixes_partition": config.key_fixes_partition,
        "the topics of [[route]]": sorted(config.topics),
        "[sink] commit_interval": config.sink.commit_interval,
        "[dead_letters]": config.dead_letters,
        "the folder that paths start from": config.base.resolve(),
    }
    for side, table in (("[source]", config.source), ("[sink]", config.sink)):
        if table is not None:
            keys[f"{side} type"] = table.type
            keys |= {f"{side} {key}": value for key, value in table.settings.items()}
    return {key: repr(value) for key, value in keys.items()}
