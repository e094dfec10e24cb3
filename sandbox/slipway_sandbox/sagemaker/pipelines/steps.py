"""What each type of step does. All of it through AWS's API, on the step's own thread, and never under a lock."""

from __future__ import annotations

import contextlib
import hashlib
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from slipway_sandbox.sagemaker.pipelines.conditions import holds
from slipway_sandbox.sagemaker.pipelines.context import ExecutionContext
from slipway_sandbox.sagemaker.pipelines.evaluate import evaluate, text_of
from slipway_sandbox.sagemaker.pipelines.state import Execution, StepRun
from slipway_sandbox.world import World

POLL = 0.2
"""Seconds of true time between two looks at a job, which runs in true time, too."""
LONGEST_NAME = 63


@dataclass(frozen=True)
class Outcome:
    """How a step ended."""

    status: str
    failure: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    properties: dict[str, Any] = field(default_factory=dict[str, Any])


class StepError(Exception):
    """A step that cannot go on; the text is its FailureReason."""


class AbandonedError(Exception):
    """The execution is forgotten; whatever its step did counts for nothing."""


class Work:
    """One attempt at one step.

    Args:
        world: Gives the clients.
        execution: The execution.
        run: The attempt.
    """

    def __init__(self, world: World, execution: Execution, run: StepRun) -> None:
        self._world = world
        self.execution = execution
        self.run = run
        self.client = world.client("sagemaker", execution.caller)

    @property
    def stopping(self) -> bool:
        """Whether the execution is to stop."""
        return self.execution.status == "Stopping"

    def arguments(self) -> dict[str, Any]:
        """The step's arguments, with every expression replaced by its value."""
        return evaluate(self.run.step.own_arguments, ExecutionContext(self._world, self.execution))

    def call(self, operation: str, method: str, **request: Any) -> dict[str, Any]:
        """Call SageMaker as the pipeline's role would.

        Raises:
            StepError: It was refused.
        """
        try:
            return getattr(self.client, method)(**request)
        except ClientError as error:
            said = error.response.get("Error", {}).get("Message", str(error))
        except BotoCoreError as error:
            said = str(error)
        raise StepError(f"ClientError: Failed to invoke sagemaker:{operation}. Error Details: {said}")

    def report(self, metadata: dict[str, Any]) -> None:
        """Show what the step works on."""
        with self._world.lock("sagemaker"):
            self.run.metadata = metadata
            if self.run.status == "Starting":
                self.run.status = "Executing"

    def new_name(self, prefix: str = "pipelines") -> str:
        """A name for the step's resource, as SageMaker makes it."""
        return resource_name(prefix, self.execution.id, self.run.name, secrets.token_hex(5))


def resource_name(prefix: str, execution: str, step: str, ending: str) -> str:
    """`<prefix>-<execution id>-<step>-<ending>`, with the step cut to what a name may have (63 characters, no underscores)."""
    fixed = len(prefix) + len(execution) + len(ending) + 3
    middle = re.sub(r"[^A-Za-z0-9-]", "-", step)[: LONGEST_NAME - fixed]
    return f"{prefix}-{execution}-{middle}-{ending}"


@dataclass(frozen=True)
class JobKind:
    """How a kind of job is called in the API."""

    noun: str
    """As in `TrainingJob`; members of requests and answers begin with it."""
    verb: str
    """As in `create_training_job`; boto3's methods end with it."""

    def perform(self, work: Work) -> Outcome:
        """Run a job to its end, and stop it when the execution stops.

        Raises:
            StepError: It could not be started, or is gone.
            AbandonedError: The execution is forgotten.
        """
        request = work.arguments()
        if work.stopping:
            return Outcome("Stopped")
        name_field = f"{self.noun}Name"
        # A name in the definition is the prefix that the SDK's `use_custom_job_prefix` asks for.
        name = work.new_name(str(request.pop(name_field, "pipelines"))[:20])
        created = work.call(f"Create{self.noun}", f"create_{self.verb}", **request, **{name_field: name})
        metadata = {self.noun: {"Arn": created[f"{self.noun}Arn"]}}
        work.report(metadata)
        return self._outcome(work, self._follow(work, name), metadata)

    def _follow(self, work: Work, name: str) -> dict[str, Any]:
        """The job's description, once it has ended."""
        asked = False
        while True:
            described = work.call(f"Describe{self.noun}", f"describe_{self.verb}", **{f"{self.noun}Name": name})
            if described[f"{self.noun}Status"] in ("Completed", "Failed", "Stopped"):
                return described
            if work.stopping and not asked:
                self._stop(work, name)
                asked = True
            if work.execution.abandoned.wait(POLL):
                self._stop(work, name)
                raise AbandonedError

    def _stop(self, work: Work, name: str) -> None:
        # A job that has just ended refuses; the next look shows that it has.
        with contextlib.suppress(StepError):
            work.call(f"Stop{self.noun}", f"stop_{self.verb}", **{f"{self.noun}Name": name})

    def _outcome(self, work: Work, described: dict[str, Any], metadata: dict[str, Any]) -> Outcome:
        reason = described.get("FailureReason") or described.get("ExitMessage")
        match described[f"{self.noun}Status"]:
            case "Completed":
                return Outcome("Succeeded", None, metadata, described)
            case "Stopped" if work.stopping:
                return Outcome("Stopped", None, metadata)
            case "Stopped":
                return Outcome("Failed", reason or "ClientError: The job was stopped.", metadata)
            case _:
                return Outcome("Failed", reason or "ClientError: The job failed.", metadata)


def check_condition(work: Work) -> Outcome:
    """All conditions together decide which branch runs."""
    outcome = all(holds(condition) for condition in work.arguments().get("Conditions", ()))
    return Outcome("Succeeded", None, {"Condition": {"Outcome": str(outcome)}}, {"Outcome": outcome})


def fail(work: Work) -> Outcome:
    """End the execution with a message."""
    message = text_of(work.arguments().get("ErrorMessage", ""))
    return Outcome("Failed", message, {"Fail": {"ErrorMessage": message}})


def register_model(work: Work) -> Outcome:
    """Register a model package that names the execution as its origin; the group is made where it is missing."""
    request = work.arguments()
    _ensure_group(work, request.get("ModelPackageGroupName"))
    request["MetadataProperties"] = {**request.get("MetadataProperties", {}), "GeneratedBy": work.execution.arn}
    token = _token(work.execution.id, work.run.name, work.run.attempt)
    arn = work.call("CreateModelPackage", "create_model_package", **request, ClientToken=token)["ModelPackageArn"]
    described = work.call("DescribeModelPackage", "describe_model_package", ModelPackageName=arn)
    return Outcome("Succeeded", None, {"RegisterModel": {"Arn": arn}}, described)


def create_model(work: Work) -> Outcome:
    """Create a model."""
    request = work.arguments()
    name = work.new_name(str(request.pop("ModelName", "pipelines"))[:20])
    arn = work.call("CreateModel", "create_model", **request, ModelName=name)["ModelArn"]
    described = work.call("DescribeModel", "describe_model", ModelName=name)
    return Outcome("Succeeded", None, {"Model": {"Arn": arn}}, described)


PERFORM: Mapping[str, Callable[[Work], Outcome]] = {
    "Training": JobKind("TrainingJob", "training_job").perform,
    "Processing": JobKind("ProcessingJob", "processing_job").perform,
    "Condition": check_condition,
    "Fail": fail,
    "RegisterModel": register_model,
    "Model": create_model,
}
"""What a step of each type does."""


def _ensure_group(work: Work, name: str | None) -> None:
    if name is None:
        return
    try:
        work.client.describe_model_package_group(ModelPackageGroupName=name)
    except ClientError:
        # Refused only when another execution made it meanwhile; anything else comes back when the package is registered.
        with contextlib.suppress(ClientError):
            work.client.create_model_package_group(ModelPackageGroupName=name)


def _token(execution: str, step: str, attempt: int) -> str:
    """At most 36 characters of letters, digits and hyphens."""
    return f"{execution}-{hashlib.sha256(f'{step}/{attempt}'.encode()).hexdigest()[:20]}"
