"""Queues that rules send to."""

import json
from dataclasses import dataclass
from typing import Any

from slipway_sandbox.testing import SandboxProcess


@dataclass
class Queue:
    """A queue that a rule sends to."""

    sqs: Any
    url: str
    arn: str

    def next(self, seconds: int = 10) -> dict[str, Any]:
        """The next event; waits for it."""
        found = self.sqs.receive_message(QueueUrl=self.url, WaitTimeSeconds=seconds)["Messages"][0]
        self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=found["ReceiptHandle"])
        return json.loads(found["Body"])


def queue_with(sandbox: SandboxProcess, account: str, pattern: dict[str, Any], region: str = "us-east-1", **of: Any) -> Queue:
    """A queue that a rule with this pattern sends to. `target` and `bus` may say more."""
    sqs, events = sandbox.client("sqs", account, region), sandbox.client("events", account, region)
    url = sqs.create_queue(QueueName="events", **of.get("queue", {}))["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    bus = of.get("bus", "default")
    events.put_rule(Name="rule", EventPattern=json.dumps(pattern), EventBusName=bus)
    events.put_targets(Rule="rule", EventBusName=bus, Targets=[{"Id": "1", "Arn": arn, **of.get("target", {})}])
    return Queue(sqs, url, arn)
