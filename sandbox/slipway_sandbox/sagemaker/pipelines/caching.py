"""Step caching: which earlier run's result a step may reuse."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from slipway_sandbox.sagemaker.pipelines.durations import parse_duration
from slipway_sandbox.sagemaker.pipelines.parts import Step
from slipway_sandbox.sagemaker.pipelines.state import Execution, StepRun

KEYS: Mapping[str, tuple[str, ...] | None] = {
    "Processing": ("AppSpecification", "Environment", "ProcessingInputs"),
    "Training": (
        "AlgorithmSpecification",
        "CheckpointConfig",
        "DebugHookConfig",
        "DebugRuleConfigurations",
        "Environment",
        "HyperParameters",
        "InputDataConfig",
    ),
    "Transform": ("DataProcessing", "Environment", "ModelName", "TransformInput"),
    "Callback": None,
    "Lambda": None,
}
"""The arguments that AWS compares, by type of step; None: all of them. Other types are not cached."""


def is_cached(step: Step) -> bool:
    """Whether a step may reuse an earlier run's result."""
    return step.cache.enabled and step.type in KEYS


def signature_of(step: Step, arguments: Mapping[str, Any], target: Any) -> str:
    """What two runs have in common when one may take the other's place.

    Args:
        step: The step.
        arguments: Its arguments, evaluated.
        target: The queue or function that it calls; None for others.
    """
    keys = KEYS[step.type]
    compared = {name: value for name, value in arguments.items() if keys is None or name in keys}
    outputs = [(output.name, output.type) for output in step.outputs]
    text = json.dumps([step.type, compared, target, outputs], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def find_hit(step: Step, signature: str, executions: Iterable[Execution], now: float) -> tuple[Execution, StepRun] | None:
    """The latest successful run of the step that did the same.

    Args:
        step: The step.
        signature: What it is about to do.
        executions: The pipeline's executions.
        now: The time in simulated seconds.
    """
    oldest = now - parse_duration(step.cache.expire_after).total_seconds() if step.cache.expire_after else None
    hits = [
        (run.ended_at, execution, run)
        for execution in executions
        if (run := execution.runs.get(step.name)) is not None
        and run.status == "Succeeded"
        and run.signature == signature
        and run.cached_from is None
        and run.ended_at is not None
        and (oldest is None or run.ended_at >= oldest)
    ]
    if not hits:
        return None
    _, execution, run = max(hits, key=lambda hit: hit[0])
    return execution, run
