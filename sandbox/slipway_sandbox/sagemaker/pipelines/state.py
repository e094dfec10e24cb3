"""Pipelines, their versions, executions and steps, as they are kept and shown."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from slipway_sandbox.calls import Caller
from slipway_sandbox.sagemaker.pipelines.definition import Definition, Placed, Step

MOST_PARALLEL = 50
"""Steps that run at once where the pipeline does not say."""
RUNNING = frozenset({"Starting", "Executing", "Stopping"})
"""States of a step, or of an execution, that go on."""
STEP_FAILURE = "Step failure: One or multiple steps failed."


@dataclass
class StepRun:
    """The latest attempt at a step."""

    step: Step
    attempt: int
    created: datetime
    status: str = "Starting"
    ended: datetime | None = None
    failure: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    properties: dict[str, Any] = field(default_factory=dict[str, Any])
    """What the step's resource describes itself as, once it succeeded."""

    @property
    def name(self) -> str:
        """The step's name."""
        return self.step.name

    def shown(self) -> dict[str, Any]:
        """The step as ListPipelineExecutionSteps shows it."""
        return {
            "StepName": self.name,
            "StepDisplayName": self.step.display_name,
            "StepDescription": self.step.description,
            "StartTime": self.created,
            "EndTime": self.ended,
            "StepStatus": self.status,
            "FailureReason": self.failure,
            "Metadata": self.metadata,
            "AttemptCount": self.attempt,
        }


@dataclass
class Execution:
    """One execution. It keeps the definition that it was started with."""

    caller: Caller
    arn: str
    pipeline: Pipeline
    version: int
    definition: Definition
    parameters: dict[str, Any]
    created: datetime
    modified: datetime
    display_name: str
    description: str | None = None
    role: str | None = None
    parallelism: dict[str, Any] | None = None
    status: str = "Executing"
    failure: str | None = None
    runs: dict[str, StepRun] = field(default_factory=dict[str, StepRun])
    """Steps that have begun, in that order."""
    attempts: dict[str, int] = field(default_factory=dict[str, int])
    retry_tokens: set[str] = field(default_factory=set[str])
    abandoned: threading.Event = field(default_factory=threading.Event)
    """Set when the sandbox forgets the execution: what still runs ends without a word."""

    @property
    def name(self) -> str:
        """What lists sort by."""
        return self.display_name

    @property
    def id(self) -> str:
        """The last part of the ARN."""
        return self.arn.rpartition("/")[2]

    @property
    def busy(self) -> list[StepRun]:
        """The steps that run."""
        return [run for run in self.runs.values() if run.status in RUNNING]

    def ready(self) -> list[Placed]:
        """The steps that may begin now.

        After a Fail step none does. After any other failure those do that need nothing of what failed.
        """
        if self.status != "Executing" or any(run.step.type == "Fail" for run in self.runs.values()):
            return []
        waiting = [placed for name, placed in self.definition.placed.items() if name not in self.runs and self._may(placed)]
        most = (self.parallelism or {}).get("MaxParallelExecutionSteps", MOST_PARALLEL)
        return waiting[: max(0, most - len(self.busy))]

    def _may(self, placed: Placed) -> bool:
        done = {name: run for name, run in self.runs.items() if run.status == "Succeeded"}
        if not placed.needs <= done.keys():
            return False
        return placed.parent is None or done[placed.parent].properties["Outcome"] is placed.outcome

    def summary(self) -> dict[str, Any]:
        """The execution as lists show it."""
        return {
            "PipelineExecutionArn": self.arn,
            "StartTime": self.created,
            "PipelineExecutionStatus": self.status,
            "PipelineExecutionDescription": self.description,
            "PipelineExecutionDisplayName": self.display_name,
            "PipelineExecutionFailureReason": self.failure,
        }

    def described(self) -> dict[str, Any]:
        """The execution as DescribePipelineExecution shows it."""
        return {
            "PipelineArn": self.pipeline.arn,
            "PipelineExecutionArn": self.arn,
            "PipelineExecutionDisplayName": self.display_name,
            "PipelineExecutionStatus": self.status,
            "PipelineExecutionDescription": self.description,
            "FailureReason": self.failure,
            "CreationTime": self.created,
            "LastModifiedTime": self.modified,
            "CreatedBy": {},
            "LastModifiedBy": {},
            "ParallelismConfiguration": self.parallelism,
            "PipelineVersionId": self.version,
            "RoleArn": self.role,
        }


@dataclass(frozen=True)
class Version:
    """One definition of a pipeline. Creating makes the first, each update another."""

    number: int
    definition: Definition
    created: datetime


@dataclass
class Pipeline:
    """A pipeline with its executions, by ARN."""

    name: str
    arn: str
    created: datetime
    modified: datetime
    role: str
    versions: list[Version]
    display_name: str
    description: str | None = None
    parallelism: dict[str, Any] | None = None
    token: str = ""
    executions: dict[str, Execution] = field(default_factory=dict[str, Execution])
    start_tokens: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def last_run(self) -> datetime | None:
        """When its newest execution was started."""
        return max((execution.created for execution in self.executions.values()), default=None)

    def abandon(self) -> None:
        """End what runs, without a word."""
        for execution in self.executions.values():
            execution.abandoned.set()

    def summary(self) -> dict[str, Any]:
        """The pipeline as lists show it."""
        return {
            "PipelineArn": self.arn,
            "PipelineName": self.name,
            "PipelineDisplayName": self.display_name,
            "PipelineDescription": self.description,
            "RoleArn": self.role,
            "CreationTime": self.created,
            "LastModifiedTime": self.modified,
            "LastExecutionTime": self.last_run,
        }

    def described(self, version: Version) -> dict[str, Any]:
        """The pipeline as DescribePipeline shows it, with the definition of a version."""
        shown = {name: value for name, value in self.summary().items() if name != "LastExecutionTime"}
        return {
            **shown,
            "PipelineDefinition": version.definition.text,
            "PipelineStatus": "Active",
            "LastRunTime": self.last_run,
            "CreatedBy": {},
            "LastModifiedBy": {},
            "ParallelismConfiguration": self.parallelism,
        }
