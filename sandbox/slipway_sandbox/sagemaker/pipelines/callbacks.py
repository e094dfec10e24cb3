"""Answers to Callback steps."""

from __future__ import annotations

from typing import Any

from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.errors import AwsError, validation_error
from slipway_sandbox.core.world import Room, operation
from slipway_sandbox.sagemaker.pipelines.executions import ExecutionRoom
from slipway_sandbox.sagemaker.pipelines.requests import TOKEN, digest_of, not_found
from slipway_sandbox.sagemaker.pipelines.service import UNVERIFIED, PipelineRoom
from slipway_sandbox.sagemaker.pipelines.state import RUNNING, Execution, StepRun
from slipway_sandbox.sagemaker.pipelines.steps import shown, typed
from slipway_sandbox.sagemaker.pipelines.work import Outcome, StepError


class CallbackRoom(Room):
    """SendPipelineExecutionStepSuccess and SendPipelineExecutionStepFailure.

    Args:
        pipelines: Keep the executions.
        executions: Run them.
    """

    service = "sagemaker"

    def __init__(self, pipelines: PipelineRoom, executions: ExecutionRoom) -> None:
        super().__init__(pipelines.world)
        self._pipelines = pipelines
        self._runner = executions.runner

    @operation("SendPipelineExecutionStepSuccess", differs=f"outputs of a wrong type are refused at once; {UNVERIFIED}")
    def succeed(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        execution, run = self._find(caller, request["CallbackToken"])
        if self._is_repeated(execution, run, request):
            return {"PipelineExecutionArn": execution.arn}
        step = execution.step(run.name)
        given = {item["Name"]: item["Value"] for item in request.get("OutputParameters", ())}
        if unknown := sorted(given.keys() - {output.name for output in step.outputs}):
            raise validation_error(f"The step '{step.name}' has no output parameters {unknown}.")
        try:
            outputs = typed([output for output in step.outputs if output.name in given], given)
        except StepError as error:
            raise validation_error(str(error).removeprefix("ClientError: ")) from error
        metadata = {"Callback": {**run.metadata["Callback"], "OutputParameters": shown(outputs)}}
        self._conclude(execution, run, request, Outcome("Succeeded", None, metadata, {"OutputParameters": outputs}))
        return {"PipelineExecutionArn": execution.arn}

    @operation("SendPipelineExecutionStepFailure", differs=UNVERIFIED)
    def fail(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        execution, run = self._find(caller, request["CallbackToken"])
        if not self._is_repeated(execution, run, request):
            reason = request.get("FailureReason") or "Callback step failed."
            self._conclude(execution, run, request, Outcome("Failed", reason, run.metadata))
        return {"PipelineExecutionArn": execution.arn}

    def reset(self, account: str | None) -> None:
        """The pipelines take their executions along."""

    def _find(self, caller: Caller, token: str) -> tuple[Execution, StepRun]:
        for execution in self._pipelines.executions.values():
            if (execution.caller.account, execution.caller.region) != (caller.account, caller.region):
                continue
            for run in execution.runs.values():
                if run.metadata.get("Callback", {}).get("CallbackToken") == token:
                    return execution, run
        raise not_found(f"Callback token '{token}'")

    @staticmethod
    def _is_repeated(execution: Execution, run: StepRun, request: dict[str, Any]) -> bool:
        """Whether this very answer came before.

        Raises:
            AwsError: Another answer did.
        """
        if run.status in RUNNING:
            return False
        if execution.tokens.get(request.get(TOKEN, "")) == f"callback {digest_of(request)}":
            return True
        raise AwsError("ConflictException", f"Step '{run.name}' of '{execution.arn}' has status '{run.status}' already.")

    def _conclude(self, execution: Execution, run: StepRun, request: dict[str, Any], outcome: Outcome) -> None:
        if TOKEN in request:
            execution.tokens[request[TOKEN]] = f"callback {digest_of(request)}"
        self._runner.conclude(execution, run, outcome)
