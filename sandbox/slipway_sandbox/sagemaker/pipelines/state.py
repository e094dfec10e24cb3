"""Pipelines, their versions, executions and steps, as they are stored and shown."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.sagemaker.pipelines.definition import Definition, definition_of
from slipway_sandbox.sagemaker.pipelines.parts import Placed, Step

MOST_PARALLEL = 50
"""Steps that run at once where the pipeline does not say."""
RUNNING = frozenset({"Starting", "Executing", "Stopping"})
"""States of a step, or of an execution, that go on."""
MEETS: Mapping[str, frozenset[str]] = {
    "Completed": frozenset({"Succeeded"}),
    "Failed": frozenset({"Failed"}),
    "Stopped": frozenset({"Stopped"}),
    "Any": frozenset({"Succeeded", "Failed", "Stopped"}),
}
"""How a step that another depends on has to have ended, by trigger."""
UNHAPPY = frozenset({"Failed", "Stopped"})
STEP_FAILURE = "Step failure: One or multiple steps failed."


@dataclass
class StepRun:
    """What became of a step in an execution. Its policies may try it more than once; a retry of the execution makes another."""

    name: str
    attempt: int
    created: datetime
    began: float
    """The simulated second at which it began."""
    status: str = "Starting"
    ended: datetime | None = None
    ended_at: float | None = None
    """The simulated second at which it ended."""
    failure: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    properties: dict[str, Any] = field(default_factory=dict[str, Any])
    """What the step's resource describes itself as, once it succeeded."""
    signature: str | None = None
    """By which a later run with the same arguments finds this one; None where the step is not cached."""
    cached_from: str | None = None
    """The execution whose result took the place of a run."""
    tries: int = 1
    """How often it was started, by its retry policies too."""
    waiting: bool = False
    """Whether it waits for its next attempt."""

    def shown(self, step: Step) -> dict[str, Any]:
        """The step as ListPipelineExecutionSteps shows it."""
        return {
            "StepName": self.name,
            "StepDisplayName": step.display_name,
            "StepDescription": step.description,
            "StartTime": self.created,
            "EndTime": self.ended,
            "StepStatus": self.status,
            "CacheHitResult": {"SourcePipelineExecutionArn": self.cached_from} if self.cached_from else None,
            "FailureReason": self.failure,
            "Metadata": self.metadata,
            "AttemptCount": self.attempt,
        }


@dataclass
class Execution:
    """One execution. It keeps the text of the definition that it was started with."""

    caller: Caller
    arn: str
    pipeline_arn: str
    pipeline_name: str
    version: int
    text: str
    parameters: dict[str, Any]
    created: datetime
    modified: datetime
    display_name: str
    role: str
    description: str | None = None
    parallelism: dict[str, Any] | None = None
    status: str = "Executing"
    failure: str | None = None
    runs: dict[str, StepRun] = field(default_factory=dict[str, StepRun])
    """Steps that have begun, in that order."""
    attempts: dict[str, int] = field(default_factory=dict[str, int])
    tokens: dict[str, str] = field(default_factory=dict[str, str])
    """What was asked for with each ClientRequestToken: `stop` or `retry`."""
    abandoned: threading.Event = field(default_factory=threading.Event)
    """Set when the sandbox forgets the execution: what still runs ends without an event."""

    @property
    def id(self) -> str:
        """The last part of the ARN."""
        return self.arn.rpartition("/")[2]

    @property
    def definition(self) -> Definition:
        """The definition, read."""
        return definition_of(self.text)

    @property
    def busy(self) -> list[StepRun]:
        """The steps that run."""
        return [run for run in self.runs.values() if run.status in RUNNING]

    def step(self, name: str) -> Step:
        """A step of its definition."""
        return self.definition.placed[name].step

    def ready(self) -> list[Placed]:
        """The steps that may begin now.

        After a Fail step none does. After any other failure those do that need nothing of what failed, or that wait for it.
        """
        if self.status != "Executing" or any(self.step(name).type == "Fail" for name in self.runs):
            return []
        waiting = [placed for name, placed in self.definition.placed.items() if name not in self.runs and self._may(placed)]
        most = (self.parallelism or {}).get("MaxParallelExecutionSteps", MOST_PARALLEL)
        return waiting[: max(0, most - len(self.busy))]

    def _may(self, placed: Placed) -> bool:
        for name, trigger in placed.needs.items():
            run = self.runs.get(name)
            if run is None or run.status not in MEETS[trigger]:
                return False
        return placed.parent is None or self.runs[placed.parent].properties["Outcome"] is placed.outcome

    def verdict(self) -> str:
        """How it ends, once nothing runs any more.

        Failures that other steps were there for, and ran because of, make it `CompletedWithFailures`.
        """
        unhappy = {name for name, run in self.runs.items() if run.status in UNHAPPY}
        if not unhappy:
            return "Succeeded"
        expected = {
            name
            for placed in self.definition.placed.values()
            if placed.step.name in self.runs
            for name, trigger in placed.needs.items()
            if trigger != "Completed"
        }
        return "CompletedWithFailures" if unhappy <= expected else "Failed"

    def summary(self, aliases: list[str]) -> dict[str, Any]:
        """The execution as lists show it."""
        return {
            "PipelineExecutionArn": self.arn,
            "StartTime": self.created,
            "PipelineExecutionStatus": self.status,
            "PipelineExecutionDescription": self.description,
            "PipelineExecutionDisplayName": self.display_name,
            "PipelineExecutionFailureReason": self.failure,
            "PipelineVersionAliases": aliases or None,
        }

    def described(self, aliases: list[str]) -> dict[str, Any]:
        """The execution as DescribePipelineExecution shows it.

        AWS says there neither who started it nor, for pipelines of one's own, the role.
        """
        return {
            "PipelineArn": self.pipeline_arn,
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
            "PipelineVersionAliases": aliases or None,
        }


@dataclass
class Version:
    """One definition of a pipeline."""

    number: int
    text: str
    created: datetime
    display_name: str | None = None
    description: str | None = None
    aliases: list[str] = field(default_factory=list[str])
    last_execution: str | None = None

    def shown(self) -> dict[str, Any]:
        """What DescribePipeline and ListPipelineVersions both say of it."""
        return {
            "PipelineVersionDisplayName": self.display_name,
            "PipelineVersionDescription": self.description,
            "PipelineVersionAliases": self.aliases or None,
        }

    def summary(self, pipeline_arn: str) -> dict[str, Any]:
        """The version as ListPipelineVersions shows it."""
        return {
            **self.shown(),
            "PipelineArn": pipeline_arn,
            "PipelineVersionId": self.number,
            "CreationTime": self.created,
            "LastExecutionPipelineExecutionArn": self.last_execution,
        }


@dataclass
class Pipeline:
    """A pipeline. Its executions are stored beside it; it has their ARNs."""

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
    asked: str = ""
    """What CreatePipeline asked for, as a digest."""
    last_run: datetime | None = None
    executions: list[str] = field(default_factory=list[str])
    starts: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    """By ClientRequestToken: what StartPipelineExecution asked for, as a digest, and the execution's ARN."""

    @property
    def latest(self) -> Version:
        """The newest version."""
        return self.versions[-1]

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
            **version.shown(),
            "PipelineDefinition": version.text,
            "PipelineStatus": "Active",
            "LastRunTime": self.last_run,
            "CreatedBy": {},
            "LastModifiedBy": {},
            "ParallelismConfiguration": self.parallelism,
        }
