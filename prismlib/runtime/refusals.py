"""What a refusal says: which partitions, offsets and hours, and the exact command to run next."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Sequence

from prismlib.errors import DataLossError
from prismlib.records import Loss
from prismlib.runtime.guard import Refusal, Refused
from prismlib.runtime.settings import RunnerSettings
from prismlib.timestamps import utc

MOST_LINES = 50  # partitions that are told one by one; the command and the error's ``losses`` have them all


def refuse(
    settings: RunnerSettings, refusals: Sequence[Refusal], *, while_running: DataLossError | None = None
) -> DataLossError:
    """One error for everything that is refused at once; ``while_running`` is what stopped a worker that had started."""
    ordered = sorted(refusals, key=lambda refusal: refusal.partition)
    losses = [refusal.loss for refusal in ordered if refusal.loss is not None]
    file = settings.file or "PIPELINE.toml"
    recreated = sorted({r.partition.stream for r in ordered if Refused.RECREATED in r.reasons})
    stuck = [r for r in ordered if not r.reasons or r.reasons[0] in (Refused.BEYOND_END, Refused.SPLIT_KEYS)]
    command = "" if stuck else _command(file, recreated, losses)
    lines = [f"pipeline {settings.pipeline} does not start, and nothing was read:"]
    if while_running is not None:
        lines = [str(while_running), f"pipeline {settings.pipeline} stopped, and does not start again as it is:"]
    told = [*_recreated(ordered), *_lost(losses, settings.accept_loss), *(_stuck(r, file) for r in stuck)]
    lines += [f"  {line}" for line in told[:MOST_LINES]]
    if len(told) > MOST_LINES:
        lines.append(f"  and {len(told) - MOST_LINES} more")
    if len(losses) > 1:
        lines.append(f"  in all at most {_count(losses)} are gone")
    if command:
        lines.append(_choice(recreated, losses))
        lines.append(f"  {command}")
    return DataLossError("\n".join(lines), losses=losses, command=command)


def _command(file: str, recreated: Iterable[str], losses: Iterable[Loss]) -> str:
    options = [f"--accept-recreated {shlex.quote(topic)}" for topic in recreated]
    options += [f"--accept-loss {shlex.quote(str(loss))}" for loss in losses]
    return " ".join(["prism run", shlex.quote(file), *options])


def _choice(recreated: Collection[str], losses: Collection[Loss]) -> str:
    if not losses:
        how = "to read the new topic from its beginning"
    elif not recreated:
        how = "to go on without them, at the first record that is still there"
    else:
        how = "to read the new topic from the first record that is still there"
    return f"If that is known to whoever reads the results, start once like this {how}; the ledger records who did so:"


def _lost(losses: Iterable[Loss], accepted: Iterable[Loss]) -> Iterable[str]:
    before = {loss.partition: loss for loss in accepted}
    for loss in losses:
        line = (
            f"{loss.partition}: data is lost: the next record to read has offset {loss.first}, the log now starts at {loss.end};"
            f" at most {_count([loss])}, written {_span(loss)}, {'is' if loss.records == 1 else 'are'} gone"
        )
        other = before.get(loss.partition)
        yield line if other is None else f"{line} (accepted was {other}: that is not what is lost now)"


def _recreated(refusals: Iterable[Refusal]) -> Iterable[str]:
    told = set()
    for refusal in refusals:
        topic = refusal.partition.stream
        if Refused.RECREATED not in refusal.reasons or topic in told:
            continue
        told.add(topic)
        unread = (
            ""
            if refusal.next_offset < 0
            else f"; of the old {refusal.partition} all before {refusal.next_offset} was read"
        )
        yield (
            f"{topic}: the topic was deleted and created again since the last run (it had the id {refusal.topic_id}, now"
            f" {refusal.horizon.topic_id}){unread}, and what was not read of the old topic is gone with it"
        )


def _stuck(refusal: Refusal, file: str) -> str:
    if Refused.SPLIT_KEYS in refusal.reasons:
        return (
            f"{refusal.partition}: the partition is new, and the pipeline says key_fixes_partition = true: the same key may now"
            " arrive in another partition, where its versions would not compare; rebuild the index with a replay before"
            " reading on"
        )
    return (
        f"{refusal.partition}: the next offset {refusal.next_offset} lies beyond the end of the log, {refusal.horizon.end}: the"
        " broker lost records, or the offsets belong to another topic; compare both sides with"
        f" `prism offsets show {shlex.quote(file)}`, and say where to go on with `prism offsets reset`"
    )


def _span(loss: Loss) -> str:
    if loss.from_ms < 0 and loss.to_ms < 0:
        return "at an unknown time"
    if loss.from_ms < 0:
        return f"before {utc(loss.to_ms)}"
    if loss.to_ms < 0:
        return f"after {utc(loss.from_ms)}"
    return f"between {utc(loss.from_ms)} and {utc(loss.to_ms)}"


def _count(losses: Iterable[Loss]) -> str:
    count = sum(loss.records for loss in losses)
    return f"{count:,} record{'' if count == 1 else 's'}"
