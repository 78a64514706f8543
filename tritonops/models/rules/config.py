"""A config by itself: what Triton's core refuses before any backend sees it.

The rules, and the words in quotes, are those of the core's model_config_utils.cc.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tritonops.models.configs.pbtxt import ModelConfig
from tritonops.models.rules.core.backend import backend_problems
from tritonops.models.rules.core.effective import effective_backend, served_versions
from tritonops.models.rules.core.instance_groups import instance_group_problems
from tritonops.models.rules.core.model_metrics import model_metrics_problems
from tritonops.models.rules.core.release_fields import release_field_problems
from tritonops.models.rules.core.tensorrt import tensorrt_problems
from tritonops.models.rules.finding import Problem, Subject
from tritonops.models.rules.scheduling import scheduling_problems
from tritonops.models.rules.sequences.sequence import BATCH_STRATEGY
from tritonops.triton_image import parse_image

__all__ = ["config_problems", "effective_backend", "served_versions"]


def config_problems(subject: Subject) -> Iterator[Problem]:
    """Find what is wrong with a config, whatever its model looks like."""
    if unread := list(release_field_problems(subject)):
        yield from unread
        return
    yield from _name(subject)
    yield from backend_problems(subject)
    yield from _batching(subject)
    yield from _latest(subject.config)
    yield from _strategy(subject)
    for rule in (scheduling_problems, model_metrics_problems, _cache):
        yield from rule(subject.config)
    yield from tensorrt_problems(subject)
    yield from instance_group_problems(subject)
    yield from _agents(subject)


def _name(subject: Subject) -> Iterator[Problem]:
    if subject.config.name and subject.config.name != subject.name:
        yield Problem(
            "name-differs",
            f"`name` is {subject.config.name!r}, the model's folder is {subject.name!r}",
            "Triton refuses it: 'directory name must equal model name'",
            "leave `name` out, or make it the folder's",
        )


def _batching(subject: Subject) -> Iterator[Problem]:
    config = subject.config
    if config.max_batch_size < 0:
        yield Problem(
            "negative-batch",
            f"`max_batch_size` is {config.max_batch_size}",
            "Triton refuses it: it 'must be non-negative'",
            "write the largest batch, or 0 where the model takes none",
        )


def _latest(config: ModelConfig) -> Iterator[Problem]:
    if config.version_policy.HasField("latest") and config.version_policy.latest.num_versions == 0:
        yield Problem(
            "no-versions-listed",
            "`version_policy` serves the latest 0 versions",
            "Triton does not load it: 'at least one version must be available under the version policy'",
            "write how many: version_policy: { latest: { num_versions: 1 } }",
        )


def _strategy(subject: Subject) -> Iterator[Problem]:
    """Find a batching library that is not there; a relative path begins where the server was started."""
    config = subject.config
    if subject.is_ensemble or config.HasField("sequence_batching") or BATCH_STRATEGY not in config.parameters:
        return
    value = config.parameters[BATCH_STRATEGY].string_value
    if not value or (Path(value).is_absolute() and not Path(value).exists()):
        is_certain = not value or subject.server.is_embedded
        yield Problem(
            "batch-strategy",
            f"parameter {BATCH_STRATEGY}: " + (f"there is no {value} on this machine" if value else "it is empty"),
            "Triton does not load the model: 'Batching library path not found'",
            "put the library there, or take the parameter out",
            "error" if is_certain else "warning",  # an image may have it
        )


def _cache(config: ModelConfig) -> Iterator[Problem]:
    if not config.response_cache.enable:
        return
    if config.model_transaction_policy.decoupled or config.HasField("sequence_batching"):
        yield Problem(
            "cache-unsupported",
            "`response_cache` with sequence batching, or a decoupled transaction policy",
            "Triton refuses it: 'Response Cache does not currently support' those",
            "take `response_cache` out",
        )
    else:
        yield Problem(
            "cache-needs-server",
            "`response_cache` is on",
            "Triton serves the model without a cache, unless the server is started with --cache-config",
            "start the server with --cache-config=local,size=…, or take `response_cache` out",
            "warning",
        )


def _agents(subject: Subject) -> Iterator[Problem]:
    server = subject.server
    there = frozenset[str]() if server.is_embedded else parse_image(server.name).agents
    for agent in subject.config.model_repository_agents.agents:
        if there is not None and agent.name not in there:
            listed = ", ".join(map(repr, there)) or "none"
            yield Problem(
                "unknown-agent",
                f"`model_repository_agents` names {agent.name!r}; {server.name} has {listed}",
                "Triton refuses it: it is 'unable to find' the agent's library",
                "take it out, or use an image that has it",
            )
