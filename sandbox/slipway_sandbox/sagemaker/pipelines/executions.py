"""Executions: start, stop, retry, describe and list."""

from __future__ import annotations

import secrets
import string
from typing import Any

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.errors import AwsError, validation_error
from slipway_sandbox.core.world import Room, operation
from slipway_sandbox.sagemaker.pipelines.evaluate import text_of
from slipway_sandbox.sagemaker.pipelines.notices import tell_execution
from slipway_sandbox.sagemaker.pipelines.requests import TOKEN, digest_of, refuse_other, version_of, version_with
from slipway_sandbox.sagemaker.pipelines.runner import Runner
from slipway_sandbox.sagemaker.pipelines.service import UNVERIFIED, PipelineRoom
from slipway_sandbox.sagemaker.pipelines.state import RUNNING, Execution, Pipeline
from slipway_sandbox.sagemaker.pipelines.work import Tools
from slipway_sandbox.sagemaker.quotas import SageMakerQuotas
from slipway_sandbox.sagemaker.resources import page, within

ID_LENGTH = 12
QUOTA = "Maximum number of concurrent pipeline executions allowed per account"


class ExecutionRoom(Room):
    """Executions, and their steps.

    Args:
        tools: What their steps work with.
        pipelines: The pipelines. They keep the executions.
        quotas: How many executions may run at a time.
    """

    service = "sagemaker"

    def __init__(self, tools: Tools, pipelines: PipelineRoom, quotas: SageMakerQuotas) -> None:
        super().__init__(tools.world)
        self._pipelines = pipelines
        self._quotas = quotas
        self.runner = Runner(tools, lambda execution: pipelines.executions_of(pipelines.pipeline_of(execution)))

    @operation(
        "StartPipelineExecution",
        differs="the code for a token that comes with other parameters is not verified; SelectiveExecutionConfig and "
        f"MlflowExperimentName answer `NotImplemented`; tokens do not expire; {UNVERIFIED}",
    )
    def start(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        pipeline = self._pipelines.find(caller, request["PipelineName"])
        token, asked = request[TOKEN], digest_of(request)
        if token in pipeline.starts:
            before, arn = pipeline.starts[token]
            refuse_other(token, before, asked)
            return {"PipelineExecutionArn": arn}
        refuse(request)
        execution = self._new_execution(caller, pipeline, request)
        self._refuse_too_many(caller)
        self._pipelines.executions[execution.arn] = execution
        pipeline.executions.append(execution.arn)
        pipeline.starts[token] = (asked, execution.arn)
        pipeline.last_run = execution.created
        tell_execution(self.world, execution, None)
        self.runner.advance(execution)
        return {"PipelineExecutionArn": execution.arn}

    @operation("DescribePipelineExecution", differs="there are no experiments and trials")
    def describe(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        execution = self._find(caller, request)
        return execution.described(self._aliases(execution))

    @operation("DescribePipelineDefinitionForExecution")
    def describe_definition(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        execution = self._find(caller, request)
        return {"PipelineDefinition": execution.text, "CreationTime": execution.created}

    @operation("UpdatePipelineExecution")
    def update(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        execution = self._find(caller, request)
        execution.description = request.get("PipelineExecutionDescription", execution.description)
        execution.display_name = request.get("PipelineExecutionDisplayName", execution.display_name)
        execution.parallelism = request.get("ParallelismConfiguration", execution.parallelism)
        execution.modified = self.world.clock.now()
        self.runner.advance(execution)
        return {"PipelineExecutionArn": execution.arn}

    @operation("ListPipelineExecutions")
    def list_executions(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        pipeline = self._pipelines.find(caller, request["PipelineName"])
        alias = request.get("PipelineVersionAlias")
        version = None if alias is None else version_with(pipeline, alias).number
        found = [
            execution
            for execution in self._pipelines.executions_of(pipeline)
            if within(execution.created, request, "Created") and version in (None, execution.version)
        ]
        by_arn = request.get("SortBy") == "PipelineExecutionArn"
        found.sort(
            key=lambda execution: execution.arn if by_arn else execution.created.isoformat(),
            reverse=request.get("SortOrder", "Descending") == "Descending",
        )
        executions, token = page(found, request)
        rows = [execution.summary(self._aliases(execution)) for execution in executions]
        return {"PipelineExecutionSummaries": rows, "NextToken": token}

    @operation(
        "ListPipelineExecutionSteps", differs="CacheHitResult is left out where there is no hit; AWS may show an empty one"
    )
    def list_steps(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        if "PipelineExecutionArn" not in request:
            raise validation_error("PipelineExecutionArn is required.")
        execution = self._find(caller, request)
        ordered = list(execution.runs.values())
        if request.get("SortOrder", "Descending") == "Descending":
            ordered.reverse()
        runs, token = page(ordered, request)
        return {"PipelineExecutionSteps": [run.shown(execution.step(run.name)) for run in runs], "NextToken": token}

    @operation("ListPipelineParametersForExecution")
    def list_parameters(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        execution = self._find(caller, request)
        names, token = page(sorted(execution.parameters), request)
        rows = [{"Name": name, "Value": text_of(execution.parameters[name])} for name in names]
        return {"PipelineParameters": rows, "NextToken": token}

    @operation("StopPipelineExecution", differs="a second stop of an execution that is stopping is accepted with any token")
    def stop(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        execution = self._find(caller, request)
        if execution.tokens.get(request[TOKEN]) == "stop":
            return {"PipelineExecutionArn": execution.arn}
        if execution.status == "Executing":
            execution.tokens[request[TOKEN]] = "stop"
            self.runner.stop(execution)
        elif execution.status != "Stopping":
            raise validation_error(
                "Only pipelines with 'Executing' status can be stopped. "
                f"Pipeline execution '{execution.arn}' has status '{execution.status}'."
            )
        return {"PipelineExecutionArn": execution.arn}

    @operation(
        "RetryPipelineExecution",
        differs=f"`CompletedWithFailures` is refused as `Succeeded` is, which is not verified on AWS; {UNVERIFIED}",
    )
    def retry(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        execution = self._find(caller, request)
        if execution.tokens.get(request[TOKEN]) == "retry":
            return {"PipelineExecutionArn": execution.arn}
        if execution.status in RUNNING:
            raise AwsError("ConflictException", f"Pipeline execution '{execution.arn}' has status '{execution.status}'.")
        if execution.status not in ("Failed", "Stopped"):
            raise validation_error(
                "Only pipelines with 'Failed' or 'Stopped' status can be retried. "
                f"Pipeline execution '{execution.arn}' has status '{execution.status}'."
            )
        self._refuse_too_many(caller)
        execution.tokens[request[TOKEN]] = "retry"
        execution.parallelism = request.get("ParallelismConfiguration", execution.parallelism)
        self.runner.retry(execution)
        return {"PipelineExecutionArn": execution.arn}

    def reset(self, account: str | None) -> None:
        """The pipelines take their executions along."""

    def _refuse_too_many(self, caller: Caller) -> None:
        """Refuse one more execution where the account's quota is used up."""

        def running() -> int:
            mine = [each for each in self._pipelines.executions.values() if each.status in RUNNING]
            return sum((each.caller.account, each.caller.region) == (caller.account, caller.region) for each in mine)

        self._quotas.check(caller, QUOTA, running, unit="executions")

    def _find(self, caller: Caller, request: dict[str, Any]) -> Execution:
        return self._pipelines.find_execution(caller, request["PipelineExecutionArn"])

    def _aliases(self, execution: Execution) -> list[str]:
        return self._pipelines.pipeline_of(execution).versions[execution.version - 1].aliases

    def _new_execution(self, caller: Caller, pipeline: Pipeline, request: dict[str, Any]) -> Execution:
        version = version_of(pipeline, request)
        name = "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(ID_LENGTH))
        now = self.world.clock.now()
        execution = Execution(
            caller=caller,
            arn=f"{pipeline.arn}/execution/{name}",
            pipeline_arn=pipeline.arn,
            pipeline_name=pipeline.name,
            version=version.number,
            text=version.text,
            parameters={},
            created=now,
            modified=now,
            display_name=request.get("PipelineExecutionDisplayName", f"execution-{int(now.timestamp() * 1000)}"),
            role=pipeline.role,
            description=request.get("PipelineExecutionDescription"),
            parallelism=request.get("ParallelismConfiguration", pipeline.parallelism),
        )
        execution.parameters = execution.definition.values(request.get("PipelineParameters", ()))
        version.last_execution = execution.arn
        return execution


def refuse(request: dict[str, Any]) -> None:
    """Refuse what AWS does not take for a pipeline of one's own, and what the sandbox cannot do.

    Raises:
        AwsError: It is one of these.
    """
    if "RoleArn" in request:
        raise validation_error("RoleArn can't be specified for a pipeline that is not managed by AWS.")
    for member in ("MlflowExperimentName", "SelectiveExecutionConfig"):
        if member in request:
            raise AwsError("NotImplemented", f"The sandbox has no {member}: leave it out.", 501)
