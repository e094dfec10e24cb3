"""StartPipelineExecution and its kin."""

from __future__ import annotations

import secrets
import string
from typing import Any

from slipway_sandbox.calls import Caller
from slipway_sandbox.errors import AwsError, validation_error
from slipway_sandbox.sagemaker.pipelines.evaluate import text_of
from slipway_sandbox.sagemaker.pipelines.runner import Runner
from slipway_sandbox.sagemaker.pipelines.service import PipelineRoom, not_found, refuse_aliases, version_of
from slipway_sandbox.sagemaker.pipelines.state import RUNNING, Execution, Pipeline
from slipway_sandbox.sagemaker.resources import page, within
from slipway_sandbox.world import Room, World, operation

ID_LENGTH = 12


class ExecutionRoom(Room):
    """Executions, and their steps.

    Args:
        world: What all rooms share.
        pipelines: The pipelines. They keep their executions.
    """

    service = "sagemaker"

    def __init__(self, world: World, pipelines: PipelineRoom) -> None:
        super().__init__(world)
        self._pipelines = pipelines
        self._runner = Runner(world)

    @operation("StartPipelineExecution")
    def start(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        refuse_aliases(request)
        if "SelectiveExecutionConfig" in request:
            raise AwsError("NotImplemented", "The sandbox runs whole pipelines only: leave SelectiveExecutionConfig out.", 501)
        pipeline = self._pipelines.find(caller, request["PipelineName"])
        token = request["ClientRequestToken"]
        if token in pipeline.start_tokens:
            return {"PipelineExecutionArn": pipeline.start_tokens[token]}
        execution = self._new_execution(caller, pipeline, request)
        pipeline.executions[execution.arn] = execution
        pipeline.start_tokens[token] = execution.arn
        self._runner.advance(execution)
        return {"PipelineExecutionArn": execution.arn}

    @operation("DescribePipelineExecution")
    def describe(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        return self._find(caller, request).described()

    @operation("DescribePipelineDefinitionForExecution")
    def describe_definition(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        execution = self._find(caller, request)
        return {"PipelineDefinition": execution.definition.text, "CreationTime": execution.created}

    @operation("UpdatePipelineExecution")
    def update(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        execution = self._find(caller, request)
        execution.description = request.get("PipelineExecutionDescription", execution.description)
        execution.display_name = request.get("PipelineExecutionDisplayName", execution.display_name)
        execution.parallelism = request.get("ParallelismConfiguration", execution.parallelism)
        execution.modified = self.world.clock.now()
        return {"PipelineExecutionArn": execution.arn}

    @operation("ListPipelineExecutions")
    def list_executions(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        refuse_aliases(request)
        pipeline = self._pipelines.find(caller, request["PipelineName"])
        found = [execution for execution in pipeline.executions.values() if within(execution.created, request, "Created")]
        by_arn = request.get("SortBy") == "PipelineExecutionArn"
        found.sort(
            key=lambda execution: execution.arn if by_arn else execution.created.isoformat(),
            reverse=request.get("SortOrder", "Descending") == "Descending",
        )
        executions, token = page(found, request)
        return {"PipelineExecutionSummaries": [execution.summary() for execution in executions], "NextToken": token}

    @operation("ListPipelineExecutionSteps")
    def list_steps(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        if "PipelineExecutionArn" not in request:
            raise validation_error("PipelineExecutionArn is required.")
        ordered = list(self._find(caller, request).runs.values())
        if request.get("SortOrder", "Descending") == "Descending":
            ordered.reverse()
        runs, token = page(ordered, request)
        return {"PipelineExecutionSteps": [run.shown() for run in runs], "NextToken": token}

    @operation("ListPipelineParametersForExecution")
    def list_parameters(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        execution = self._find(caller, request)
        names, token = page(sorted(execution.parameters), request)
        rows = [{"Name": name, "Value": text_of(execution.parameters[name])} for name in names]
        return {"PipelineParameters": rows, "NextToken": token}

    @operation("StopPipelineExecution")
    def stop(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        execution = self._find(caller, request)
        if execution.status == "Executing":
            self._runner.stop(execution)
        elif execution.status != "Stopping":
            raise validation_error(
                "Only pipelines with 'Executing' status can be stopped. "
                f"Pipeline execution '{execution.arn}' has status '{execution.status}'."
            )
        return {"PipelineExecutionArn": execution.arn}

    @operation("RetryPipelineExecution")
    def retry(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        execution = self._find(caller, request)
        token = request["ClientRequestToken"]
        if token in execution.retry_tokens:
            return {"PipelineExecutionArn": execution.arn}
        if execution.status in RUNNING:
            raise AwsError("ConflictException", f"Pipeline execution '{execution.arn}' has status '{execution.status}'.")
        if execution.status == "Succeeded":
            raise validation_error(
                "Only pipelines with 'Failed' or 'Stopped' status can be retried. "
                f"Pipeline execution '{execution.arn}' has status '{execution.status}'."
            )
        execution.retry_tokens.add(token)
        execution.parallelism = request.get("ParallelismConfiguration", execution.parallelism)
        self._runner.retry(execution)
        return {"PipelineExecutionArn": execution.arn}

    def reset(self, account: str | None) -> None:
        """The pipelines take their executions along."""

    def _find(self, caller: Caller, request: dict[str, Any]) -> Execution:
        arn = request["PipelineExecutionArn"]
        for pipeline in self._pipelines.all_of(caller):
            if arn in pipeline.executions:
                return pipeline.executions[arn]
        raise not_found(f"Pipeline execution '{arn}'")

    def _new_execution(self, caller: Caller, pipeline: Pipeline, request: dict[str, Any]) -> Execution:
        version = version_of(pipeline, request)
        parameters = version.definition.values(request.get("PipelineParameters", ()))
        name = "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(ID_LENGTH))
        now = self.world.clock.now()
        return Execution(
            caller,
            f"{pipeline.arn}/execution/{name}",
            pipeline,
            version.number,
            version.definition,
            parameters,
            now,
            now,
            request.get("PipelineExecutionDisplayName", f"execution-{int(now.timestamp() * 1000)}"),
            request.get("PipelineExecutionDescription"),
            request.get("RoleArn", pipeline.role),
            request.get("ParallelismConfiguration", pipeline.parallelism),
        )
