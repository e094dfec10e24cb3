"""One attempt at one step: its arguments, and the calls that it makes as the pipeline's role."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from slipway_sandbox.core.faults import FaultKind, error_of
from slipway_sandbox.core.world import World
from slipway_sandbox.iam.trust import SAGEMAKER
from slipway_sandbox.roles.acting import ActingRole
from slipway_sandbox.sagemaker.pipelines.context import ExecutionContext
from slipway_sandbox.sagemaker.pipelines.evaluate import evaluate
from slipway_sandbox.sagemaker.pipelines.functions import FunctionRoom
from slipway_sandbox.sagemaker.pipelines.notices import move_step
from slipway_sandbox.sagemaker.pipelines.parts import Step
from slipway_sandbox.sagemaker.pipelines.state import Execution, StepRun

SESSION = "SageMakerPipelines"
"""The session's name in the ARN under which a pipeline acts."""
ATTEMPTS = 1
"""Steps have retry policies of their own."""
USER_AGENT = "sagemaker-pipelines"
NAMES = {
    "Training": "TrainingJobName",
    "Processing": "ProcessingJobName",
    "Transform": "TransformJobName",
    "Model": "ModelName",
}
"""The argument that names what a step creates."""
LONGEST_NAME = 63
LONGEST_PREFIX = 20
LONGEST_REASON = 1024
"""Characters of a FailureReason, by the service's model."""
FAULTS = "pipelines."
"""Faults that are planted for `sagemaker` `pipelines.<Operation>` apply to what steps call, under any role."""
THROTTLES = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "SlowDown",
        "LimitExceededException",
    }
)
SERVICE_FAULT, THROTTLING = "Step.SERVICE_FAULT", "Step.THROTTLING"
INTERNAL_ERROR, CAPACITY_ERROR = "SageMaker.JOB_INTERNAL_ERROR", "SageMaker.CAPACITY_ERROR"
RESOURCE_LIMIT = "SageMaker.RESOURCE_LIMIT"


@dataclass(frozen=True)
class Outcome:
    """How a step ended."""

    status: str
    failure: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    properties: dict[str, Any] = field(default_factory=dict[str, Any])
    exception: str | None = None
    """The type by which retry policies know what went wrong."""


class StepError(Exception):
    """A step that cannot go on; the text is its FailureReason.

    Args:
        reason: The text.
        exception: The type by which retry policies know it.
    """

    def __init__(self, reason: str, exception: str | None = None) -> None:
        super().__init__(reason[:LONGEST_REASON])
        self.exception = exception


class AbandonedError(Exception):
    """The execution is forgotten; the result of its step is dropped."""


@dataclass(frozen=True)
class Tools:
    """What steps work with."""

    world: World
    functions: FunctionRoom


class Work:
    """One attempt at one step.

    Args:
        tools: What steps work with.
        execution: The execution.
        run: The attempt.
    """

    def __init__(self, tools: Tools, execution: Execution, run: StepRun) -> None:
        self.world = tools.world
        self.tools = tools
        self.execution = execution
        self.run = run
        self.step: Step = execution.step(run.name)
        self._role = ActingRole(tools.world, execution.caller, SAGEMAKER, execution.role, SESSION)

    @property
    def stopping(self) -> bool:
        """Whether the execution is to stop."""
        return self.execution.status == "Stopping"

    @cached_property
    def resource(self) -> str:
        """The name of the job or model that the step creates.

        A name in the definition is the prefix that the SDK's `use_custom_job_prefix` asks for.
        """
        given = self.step.arguments.get(NAMES.get(self.step.type, ""))
        prefix = "pipelines" if given is None else self._evaluated(given)
        return resource_name(str(prefix)[:LONGEST_PREFIX], self.execution.id, self.run.name, secrets.token_hex(5))

    @cached_property
    def arguments(self) -> dict[str, Any]:
        """The step's arguments, with every expression replaced by its value."""
        jobs = {f"{self.step.type}JobName": self.resource} if self.step.type in ("Training", "Processing") else {}
        return self._evaluated(self.step.own_arguments if self.step.type == "Condition" else self.step.arguments, jobs)

    def value(self, expression: Any) -> Any:
        """The value of an expression beside the arguments."""
        return self._evaluated(expression)

    def call(self, service: str, operation: str, method: str, **request: Any) -> dict[str, Any]:
        """Call a service as the pipeline's role.

        Raises:
            StepError: It was refused.
        """
        try:
            self._strike(operation)
            return getattr(self._role.client(service, attempts=ATTEMPTS, user_agent=USER_AGENT), method)(**request)
        except ClientError as error:
            raise refused(service, operation, error) from error
        except BotoCoreError as error:
            raise StepError(failed_call(service, operation, str(error)), SERVICE_FAULT) from error

    def look(self, method: str, **request: Any) -> dict[str, Any]:
        """Look at a resource of SageMaker's, as SageMaker does."""
        return getattr(self.world.client("sagemaker", self.execution.caller), method)(**request)

    @property
    def role_keys(self) -> dict[str, Any] | None:
        """The credentials of the pipeline's role, if IAM knows it."""
        return self._role.keys()

    def report(self, metadata: dict[str, Any]) -> None:
        """Show what the step works on."""
        with self.world.lock("sagemaker"):
            self.run.metadata = metadata
            if self.run.status == "Starting":
                move_step(self.world, self.execution, self.run, "Executing")

    def _evaluated(self, value: Any, jobs: dict[str, str] | None = None) -> Any:
        return evaluate(value, ExecutionContext(self.execution, self._role, self.world.clock.now(), jobs))

    def _strike(self, operation: str) -> None:
        planted = self.world.faults.strike("sagemaker", f"{FAULTS}{operation}", self.execution.caller.account)
        if planted is None:
            return
        if planted.fault.kind is FaultKind.delay:
            time.sleep(planted.fault.seconds)
            return
        error = error_of(planted.fault)
        if error is None:
            raise StepError(failed_call("sagemaker", operation, "Connection was closed"), SERVICE_FAULT)
        answer: Any = {
            "Error": {"Code": error.code, "Message": error.message},
            "ResponseMetadata": {"HTTPStatusCode": error.status},
        }
        raise ClientError(answer, operation)


def resource_name(prefix: str, execution: str, step: str, ending: str) -> str:
    """`<prefix>-<execution id>-<step>-<ending>`, with the step cut to what a name may have (63 characters, no underscores)."""
    fixed = len(prefix) + len(execution) + len(ending) + 3
    middle = re.sub(r"[^A-Za-z0-9-]", "-", step)[: LONGEST_NAME - fixed]
    return f"{prefix}-{execution}-{middle}-{ending}"


def failed_call(service: str, operation: str, said: str) -> str:
    """The FailureReason of a step that a call was refused to."""
    return f"ClientError: Failed to invoke {service}:{operation}. Error Details: {said}"


def refused(service: str, operation: str, error: ClientError) -> StepError:
    """A refused call as the step's failure."""
    answer: Any = error.response
    code = answer.get("Error", {}).get("Code", "")
    said = answer.get("Error", {}).get("Message", str(error))
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", HTTPStatus.BAD_REQUEST)
    exception = None
    if code in THROTTLES:
        exception = THROTTLING
    elif status >= HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.NOT_IMPLEMENTED:
        exception = SERVICE_FAULT
    elif code == "ResourceLimitExceeded":
        exception = RESOURCE_LIMIT
    return StepError(failed_call(service, operation, said), exception)


def idempotency_token(execution: str, step: str, attempt: int) -> str:
    """At most 36 characters of letters, digits and hyphens."""
    return f"{execution}-{hashlib.sha256(f'{step}/{attempt}'.encode()).hexdigest()[:20]}"
