"""Moves executions and steps from one status to another, and tells EventBridge. Called under SageMaker's lock."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from slipway_sandbox.core.world import World
from slipway_sandbox.sagemaker.pipelines.state import RUNNING, Execution, StepRun

EXECUTION_CHANGE = "SageMaker Model Building Pipeline Execution Status Change"
STEP_CHANGE = "SageMaker Model Building Pipeline Execution Step Status Change"


def move_execution(world: World, execution: Execution, status: str, failure: str | None = None) -> None:
    """Give an execution another status."""
    previous = execution.status
    execution.status, execution.failure, execution.modified = status, failure, world.clock.now()
    tell_execution(world, execution, previous)


def tell_execution(world: World, execution: Execution, previous: str | None) -> None:
    """Say what status an execution has now."""
    detail = {
        "pipelineExecutionDisplayName": execution.display_name,
        "currentPipelineExecutionStatus": execution.status,
        "previousPipelineExecutionStatus": previous,
        "executionStartTime": spelled(execution.created),
        "executionEndTime": None if execution.status in RUNNING else spelled(execution.modified),
        "pipelineExecutionDescription": execution.description,
        "pipelineArn": execution.pipeline_arn,
        "pipelineExecutionArn": execution.arn,
    }
    _emit(world, execution, EXECUTION_CHANGE, detail)


def move_step(world: World, execution: Execution, run: StepRun, status: str) -> None:
    """Give a step another status."""
    previous, run.status = run.status, status
    tell_step(world, execution, run, previous)


def tell_step(world: World, execution: Execution, run: StepRun, previous: str | None) -> None:
    """Say what status a step has now."""
    detail = {
        "metadata": in_lower_case(run.metadata),
        "stepStartTime": spelled(run.created),
        "stepEndTime": spelled(run.ended) if run.ended else None,
        "stepName": run.name,
        "stepType": execution.step(run.name).type,
        "previousStepStatus": previous,
        "currentStepStatus": run.status,
        "cacheHitResult": {"sourcePipelineExecutionArn": run.cached_from} if run.cached_from else None,
        "failureReason": run.failure,
        "pipelineArn": execution.pipeline_arn,
        "pipelineExecutionArn": execution.arn,
    }
    _emit(world, execution, STEP_CHANGE, detail)


def _emit(world: World, execution: Execution, kind: str, detail: Mapping[str, Any]) -> None:
    told = {name: value for name, value in detail.items() if value is not None}
    world.events.emit(execution.caller, "aws.sagemaker", kind, told, [execution.pipeline_arn, execution.arn])


def spelled(moment: datetime) -> str:
    """A time as these events write it."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def in_lower_case(value: Any) -> Any:
    """A value whose members begin in lower case, as those of events do."""
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        return {name[:1].lower() + name[1:]: in_lower_case(item) for name, item in members.items()}
    if isinstance(value, list):
        return [in_lower_case(item) for item in cast("list[Any]", value)]
    return value
