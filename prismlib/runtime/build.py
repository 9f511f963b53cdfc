"""From a pipeline to its runner, for code that embeds one."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping

from prismlib.config.pipeline import PipelineConfig
from prismlib.config.project import load_project
from prismlib.config.values import is_name
from prismlib.contracts.registry import Registry
from prismlib.errors import ConfigError
from prismlib.plugin.manager import load_plugins
from prismlib.plugin.registries import open_project_registry
from prismlib.records import Loss
from prismlib.runtime.assemble import assemble
from prismlib.runtime.given import GivenStages
from prismlib.runtime.notices import Tell
from prismlib.runtime.runner import Runner
from prismlib.stages import Decoder, Encoder, Normalizer, Sink, Source

log = logging.getLogger(__name__)


def build_runner(
    pipeline: PipelineConfig,
    *,
    source: Source | None = None,
    decoders: Mapping[str, Decoder] | None = None,
    normalizers: Mapping[str, Normalizer] | None = None,
    encoder: Encoder | None = None,
    sink: Sink | None = None,
    dead_letters: Sink | None = None,
    registry: Registry | None = None,
    worker: str = "1",
    accept_recreated: Collection[str] = (),
    accept_loss: Collection[Loss] = (),
    until_idle: float | None = None,
    watch: bool = False,
    tell: Tell | None = None,
) -> Runner:
    """Build the runner of one worker; nothing is connected yet.

    Stages that are given replace the tables of the pipeline, which may leave those out. Several runners may live in one
    process: no global is kept, no signal handler set and no logging configured. A stage belongs to one runner.

    Args:
        pipeline: from :func:`load_pipeline` or :func:`pipeline_from`.
        source: in place of ``[source]``.
        decoders: by topic, in place of a route's ``decode``. Such a decoder is not told what the normalizer reads.
        normalizers: by topic, in place of a route's ``normalize``; for a function, a :class:`PythonNormalizer`.
        encoder: in place of ``[sink] encode``. A sink that is given gets plain JSON when neither is there.
        sink: in place of ``[sink]``, whose keys ``encode`` and ``commit_interval`` go on applying.
        dead_letters: where bad records go, durable once its ``flush`` returns; by default to where the source's type
            keeps them. A sink with transactions takes them itself.
        registry: where schemas come from; by default what the ``prism.toml`` above the pipeline says.
        worker: a name that is unique in the pipeline; of two workers with one name, the later one stops the earlier one.
        accept_recreated: topics that are read although they were deleted and created again.
        accept_loss: what a :class:`DataLossError` had in its ``losses``, to go on without exactly that.
        until_idle: seconds without a record after which ``run`` returns; None runs until ``stop``.
        watch: look at the pipeline's file and its mappings twice a second, and go on with new routes when they change;
            what is given here stays as it is. ``Runner.reload`` does so at once.
        tell: takes what somebody must be told of: that of :func:`open_alerts`, or a function of your own. Without it nobody
            is told, also not the addresses of ``prism.toml``.

    Raises:
        ConfigError: something in the pipeline or ``prism.toml`` is wrong, or a stage is neither named nor given.
        StageContractError: a stage that is given lacks what its interface asks for.
        PrismError: a plugin cannot be loaded, or a schema cannot be read.
    """
    if not is_name(worker):
        raise ConfigError(
            f"worker {worker!r}: letters, digits, '.', '_' and '-' only, beginning with a letter or digit"
        )
    for topic in accept_recreated:
        pipeline.require_topic(topic, "accept_recreated")
    for loss in accept_loss:
        pipeline.require_topic(loss.partition.stream, "accept_loss")
    project = load_project(pipeline.base)
    if tell is None and project.alerts.to:
        log.warning("nobody will be told: build_runner was given no tell", extra={"pipeline": pipeline.name})
    plugins = load_plugins()
    given = GivenStages(source, decoders or {}, normalizers or {}, encoder, sink, dead_letters)
    return assemble(
        pipeline,
        plugins,
        worker=worker,
        registry=registry if registry is not None else open_project_registry(project, plugins),
        storage=project.storage_path,
        accept_recreated=frozenset(accept_recreated),
        accept_loss=frozenset(accept_loss),
        until_idle=until_idle,
        given=given,
        watch=watch,
    ).runner(tell)
