"""Which contracts were derived from a pipeline that reads other fields by now.

Only repositories with derived contracts pay for it: a pipeline file needs its plugins and its mappings.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from prismlib.contracts.check import Question, make_finding
from prismlib.contracts.consumers import Consumer
from prismlib.contracts.core_rules import CORE_RULES
from prismlib.contracts.report import SubjectReport
from prismlib.contracts.rules import Difference

if TYPE_CHECKING:
    from prismlib.plugin.manager import Plugins


class StaleContracts:
    """Looks at each pipeline once."""

    def __init__(self, base: Path) -> None:
        """``base`` is the folder of ``prism.toml``, from which ``derived_from`` starts."""
        self._base = base
        self._plugins: Plugins | None = None
        self._reads: dict[str, dict[str, frozenset[str]]] = {}

    def look(self, question: Question | SubjectReport) -> Question | SubjectReport:
        """The same question with what was found. Raises ConfigError for a pipeline that is not in order."""
        if isinstance(question, SubjectReport):
            return question
        found, notes = [], list(question.notes)
        for consumer in question.consumers:
            if not consumer.derived_from:
                continue
            if not (self._base / consumer.derived_from).exists():
                notes.append(
                    f"{consumer.derived_from}, which the contract of {consumer.name} was derived from, is not here"
                )
                continue
            now = self._of(consumer.derived_from).get(consumer.subject, frozenset())
            if now != frozenset(consumer.reads):
                rule = CORE_RULES["PSM003"]
                what = Difference(rule.id, "", _difference(consumer, now))
                found.append(make_finding(rule, what, None, consumer=consumer, file=consumer.where))
        return replace(question, found=(*question.found, *found), notes=notes)

    def _of(self, pipeline: str) -> dict[str, frozenset[str]]:
        if pipeline not in self._reads:
            from prismlib.config.pipeline import load_pipeline  # noqa: PLC0415  # see above
            from prismlib.plugin.manager import load_plugins  # noqa: PLC0415
            from prismlib.runtime.assemble import subjects_read  # noqa: PLC0415
            from prismlib.runtime.resolve import resolve  # noqa: PLC0415

            self._plugins = self._plugins or load_plugins()
            resolved = resolve(load_pipeline(self._base / pipeline), self._plugins)
            reads: dict[str, frozenset[str]] = {}
            for one in subjects_read(resolved, self._plugins):
                reads[one.subject] = reads.get(one.subject, frozenset()) | one.reads
            self._reads[pipeline] = reads
        return self._reads[pipeline]


def _difference(consumer: Consumer, now: frozenset[str]) -> str:
    named = frozenset(consumer.reads)
    parts = []
    if now - named:
        parts.append(f"reads {', '.join(sorted(now - named))}, which the contract does not name")
    if named - now:
        parts.append(f"does not read {', '.join(sorted(named - now))} any more")
    return f"{consumer.derived_from} {' and '.join(parts)}"
