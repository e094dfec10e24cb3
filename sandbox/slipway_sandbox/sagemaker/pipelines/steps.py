"""What each type of step does. All of it through AWS's API, on the step's own thread, and never under a lock."""

from __future__ import annotations

import contextlib
import json
import secrets
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from slipway_sandbox.sagemaker.pipelines.conditions import holds
from slipway_sandbox.sagemaker.pipelines.evaluate import text_of
from slipway_sandbox.sagemaker.pipelines.functions import FunctionError
from slipway_sandbox.sagemaker.pipelines.job_steps import JobKind
from slipway_sandbox.sagemaker.pipelines.parts import OutputParameter, fits, read_text
from slipway_sandbox.sagemaker.pipelines.work import Outcome, StepError, Work, idempotency_token

TOKEN_LENGTH = 10


def check_condition(work: Work) -> Outcome:
    """All conditions together decide which branch runs."""
    outcome = all(holds(condition) for condition in work.arguments.get("Conditions", ()))
    return Outcome("Succeeded", None, {"Condition": {"Outcome": str(outcome)}}, {"Outcome": outcome})


def fail(work: Work) -> Outcome:
    """End the execution with a message."""
    message = text_of(work.arguments.get("ErrorMessage", ""))
    return Outcome("Failed", message, {"Fail": {"ErrorMessage": message}})


def register_model(work: Work) -> Outcome:
    """Register a model package that names the execution as its origin; the group is made where it is missing."""
    request = {**work.arguments}
    _ensure_group(work, request.get("ModelPackageGroupName"))
    request["MetadataProperties"] = {**request.get("MetadataProperties", {}), "GeneratedBy": work.execution.arn}
    token = idempotency_token(work.execution.id, work.run.name, work.run.attempt)
    created = work.call("sagemaker", "CreateModelPackage", "create_model_package", **request, ClientToken=token)
    arn = created["ModelPackageArn"]
    described = work.call("sagemaker", "DescribeModelPackage", "describe_model_package", ModelPackageName=arn)
    return Outcome("Succeeded", None, {"RegisterModel": {"Arn": arn}}, described_only(described))


def create_model(work: Work) -> Outcome:
    """Create a model."""
    request = {**work.arguments, "ModelName": work.resource}
    arn = work.call("sagemaker", "CreateModel", "create_model", **request)["ModelArn"]
    described = work.call("sagemaker", "DescribeModel", "describe_model", ModelName=work.resource)
    return Outcome("Succeeded", None, {"Model": {"Arn": arn}}, described_only(described))


def call_back(work: Work) -> Outcome | None:
    """Send a message with a token; its receiver ends the step. It is sent once."""
    if work.run.metadata:
        return None
    if work.stopping:
        return Outcome("Stopped")
    token = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(TOKEN_LENGTH))
    queue = text_of(work.value(work.step.queue))
    # The receiver may answer at once: the token is stored first.
    work.report({"Callback": {"CallbackToken": token, "SqsQueueUrl": queue}})
    try:
        send_callback(work, "Executing")
    except StepError:
        work.report({})
        raise
    return None


def send_callback(work: Work, status: str) -> None:
    """Send a Callback step's message.

    Raises:
        StepError: It was refused.
    """
    callback = work.run.metadata["Callback"]
    body = {
        "token": callback["CallbackToken"],
        "pipelineExecutionArn": work.execution.arn,
        "arguments": work.arguments,
        "status": status,
    }
    work.call("sqs", "SendMessage", "send_message", QueueUrl=callback["SqsQueueUrl"], MessageBody=json.dumps(body))


def invoke_function(work: Work) -> Outcome:
    """Take the answer that is set for the function's ARN.

    Raises:
        StepError: It failed, or does not give what the step says it does.
    """
    if work.stopping:
        return Outcome("Stopped")
    arn = text_of(work.value(work.step.function))
    work.report({"Lambda": {"Arn": arn}})
    try:
        answer = work.tools.functions.invoke(work.execution.caller, work.role_keys, arn)
    except FunctionError as error:
        raise StepError(f"ClientError: {error}") from error
    outputs = typed(work.step.outputs, answer)
    return Outcome("Succeeded", None, {"Lambda": {"Arn": arn, "OutputParameters": shown(outputs)}}, {"OutputParameters": outputs})


PERFORM: Mapping[str, Callable[[Work], Outcome | None]] = {
    "Training": JobKind("TrainingJob", "training_job").perform,
    "Processing": JobKind("ProcessingJob", "processing_job").perform,
    "Transform": JobKind("TransformJob", "transform_job").perform,
    "Condition": check_condition,
    "Fail": fail,
    "RegisterModel": register_model,
    "Model": create_model,
    "Callback": call_back,
    "Lambda": invoke_function,
}
"""What a step of each type does. None: somebody else will say how it ended."""


def typed(wanted: Sequence[OutputParameter], given: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs that a step says it has, each of its own type. Text counts as what it spells.

    Raises:
        StepError: One is missing, or of another type.
    """
    outputs: dict[str, Any] = {}
    for output in wanted:
        if output.name not in given:
            raise StepError(f"ClientError: The output parameter '{output.name}' is missing.")
        value = given[output.name]
        try:
            outputs[output.name] = value if fits(value, output.type) else read_text(str(value), output.type)
        except ValueError as error:
            raise StepError(f"ClientError: The output parameter '{output.name}' is not of type {output.type}.") from error
    return outputs


def shown(outputs: Mapping[str, Any]) -> list[dict[str, str]]:
    """Outputs as a step's metadata lists them."""
    return [{"Name": name, "Value": text_of(value)} for name, value in outputs.items()]


def described_only(answer: dict[str, Any]) -> dict[str, Any]:
    """A Describe call's answer, without what boto3 adds to it."""
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


def _ensure_group(work: Work, name: str | None) -> None:
    if name is None:
        return
    try:
        work.look("describe_model_package_group", ModelPackageGroupName=name)
    except ClientError:
        # Refused only when another execution made it meanwhile; anything else comes back when the package is registered.
        with contextlib.suppress(StepError):
            work.call("sagemaker", "CreateModelPackageGroup", "create_model_package_group", ModelPackageGroupName=name)
