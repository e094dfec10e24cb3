"""Words for what tests do with pipelines.

Example:
    desk = PipelineDesk(sandbox, account)
    execution = desk.run([{"Name": "Stop", "Type": "Fail", "Arguments": {"ErrorMessage": "enough"}}])
    assert desk.describe(execution)["PipelineExecutionStatus"] == "Failed"
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any

from slipway_sandbox.testing import SandboxProcess, wait_until

RUNNING = ("Executing", "Stopping")

CREATE_TOKEN = "create-" + "0" * 32


def finished(sagemaker: Any, execution: str) -> dict[str, Any]:
    """Wait for an execution's end; returns its description."""
    described: dict[str, Any] = {}

    def has_ended() -> bool:
        described.update(sagemaker.describe_pipeline_execution(PipelineExecutionArn=execution))
        return described["PipelineExecutionStatus"] not in RUNNING

    wait_until(has_ended, f"the end of {execution}")
    return sagemaker.describe_pipeline_execution(PipelineExecutionArn=execution)


def received(sqs: Any, queue: str) -> dict[str, Any]:
    """Wait for a message, and take it out of the queue; returns its body."""
    messages: list[dict[str, Any]] = []

    def is_there() -> bool:
        messages.extend(sqs.receive_message(QueueUrl=queue).get("Messages", []))
        return bool(messages)

    wait_until(is_there, f"a message in {queue}")
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=messages[0]["ReceiptHandle"])
    return json.loads(messages[0]["Body"])


class PipelineDesk:
    """One account's pipelines."""

    def __init__(self, sandbox: SandboxProcess, account: str) -> None:
        self.sandbox = sandbox
        self.account = account
        self.client = sandbox.client("sagemaker", account)
        self.role = f"arn:aws:iam::{account}:role/pipeline"
        self._tokens = (f"start-{number:032d}" for number in itertools.count())

    def create(self, definition: object, name: str = "Training", token: str = CREATE_TOKEN) -> str:
        """Create a pipeline; returns its ARN."""
        text = definition if isinstance(definition, str) else json.dumps(definition)
        return self.client.create_pipeline(
            PipelineName=name, PipelineDefinition=text, RoleArn=self.role, ClientRequestToken=token
        )["PipelineArn"]

    def start(self, name: str = "Training", parameters: dict[str, str] | None = None, **more: Any) -> str:
        """Start an execution; returns its ARN."""
        given = [{"Name": key, "Value": value} for key, value in (parameters or {}).items()]
        request = {"ClientRequestToken": next(self._tokens), **more}
        return self.client.start_pipeline_execution(PipelineName=name, PipelineParameters=given, **request)[
            "PipelineExecutionArn"
        ]

    def describe(self, execution: str) -> dict[str, Any]:
        """DescribePipelineExecution's answer."""
        return self.client.describe_pipeline_execution(PipelineExecutionArn=execution)

    def steps(self, execution: str) -> dict[str, dict[str, Any]]:
        """The steps by name, the oldest first."""
        listed = self.client.list_pipeline_execution_steps(PipelineExecutionArn=execution, SortOrder="Ascending", MaxResults=100)
        return {step["StepName"]: step for step in listed["PipelineExecutionSteps"]}

    def finish(self, execution: str) -> dict[str, Any]:
        """Wait for the end; returns the description."""
        return finished(self.client, execution)

    def queue(self, name: str = "callbacks") -> str:
        """Create a queue; returns its URL."""
        return self.sandbox.client("sqs", self.account).create_queue(QueueName=name)["QueueUrl"]

    def message(self, queue: str) -> dict[str, Any]:
        """Wait for a message, and take it out of the queue; returns its body."""
        return received(self.sandbox.client("sqs", self.account), queue)

    def function(self, **answer: Any) -> str:
        """Set what a Lambda function answers; returns its ARN."""
        arn = f"arn:aws:lambda:us-east-1:{self.account}:function:function"
        self.sandbox.control("POST", "sagemaker/lambda", {"functionArn": arn, "answer": answer})
        return arn

    def run(self, steps: Sequence[dict[str, Any]], parameters: Sequence[dict[str, Any]] = ()) -> str:
        """Create a pipeline of these steps, and run it to its end; returns the execution's ARN."""
        self.create({"Version": "2020-12-01", "Parameters": list(parameters), "Steps": list(steps)})
        execution = self.start()
        self.finish(execution)
        return execution


def reasons(desk: PipelineDesk, execution: str) -> dict[str, str]:
    """Why steps failed, by name."""
    return {name: step["FailureReason"] for name, step in desk.steps(execution).items() if "FailureReason" in step}
