"""How endpoints are followed on the local AWS: by lists, and woken by events."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from slipway_sandbox.testing import SandboxProcess

from activities.endpoints.activities import EndpointActivities
from activities.endpoints.listing import followed_endpoints
from activities.endpoints.messages import RolloutEnd
from activities.endpoints.served import SageMakerAccount
from activities.repositories import Repositories
from demo.stack import ML_ACCOUNT
from slipway.aws.clients import Aws
from slipway.aws.events import SEEN_ENOUGH, EventQueue, names_in
from slipway.aws.polling import Polling
from tests.activities.serving import Serving

SAMPLES = Path(__file__).parents[2] / "deploy" / "events"
QUEUE = "slipway-events"


class Events:
    """The sample's queue and rule, in an account of their own."""

    def __init__(self, sandbox: SandboxProcess, account: str) -> None:
        self.arn = f"arn:aws:sqs:us-east-1:{account}:{QUEUE}"
        self.sqs = sandbox.client("sqs", account)
        policy = (SAMPLES / "queue-policy.json").read_text().replace(ML_ACCOUNT, account)
        self.url = self.sqs.create_queue(QueueName=QUEUE, Attributes={"Policy": policy})["QueueUrl"]
        events = sandbox.client("events", account)
        events.put_rule(Name=QUEUE, EventPattern=(SAMPLES / "pattern.json").read_text())
        events.put_targets(Rule=QUEUE, Targets=[{"Id": "queue", "Arn": self.arn}])

    def left(self) -> int:
        """Messages that are in the queue, seen or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)

    async def until_empty(self) -> None:
        """Wait until all messages are deleted."""
        async with asyncio.timeout(30):
            # Twice: the two numbers are approximate, and a message that is about to be seen again may be in neither.
            while await asyncio.to_thread(self.left) or await asyncio.to_thread(self.left):  # noqa: ASYNC110 -- another process decides
                await asyncio.sleep(0.1)


@pytest.fixture
def events(sandbox: SandboxProcess, account: str) -> Events:
    return Events(sandbox, account)


@pytest.fixture
def polling() -> Polling:
    """So slow that nothing is seen without an event."""
    return Polling(300)


@pytest.fixture
async def listening(events: Events, polling: Polling, aws: Aws) -> AsyncGenerator[None]:
    """The worker's queue; `aws` has set the account's credentials."""
    task = asyncio.create_task(EventQueue(events.arn, polling.hint).listen())
    yield
    task.cancel()


@pytest.fixture
def activities(aws: Aws, repositories: Repositories, polling: Polling) -> EndpointActivities:
    return EndpointActivities(aws, repositories, polling)


@pytest.mark.usefixtures("listening")
async def test_given_an_update_that_is_followed_when_it_ends_then_the_event_wakes_the_look_that_sees_it(serving: Serving) -> None:
    plan = serving.plan(serving.package("first"))
    await serving.update(plan, None)
    verdict = await asyncio.wait_for(serving.follow(plan), 60)
    assert verdict.end is RolloutEnd.served
    assert serving.calls("ListEndpoints") == 0


@pytest.mark.usefixtures("listening")
async def test_given_messages_of_strangers_when_they_are_received_then_they_are_dropped_and_nothing_is_looked_at(
    serving: Serving, events: Events
) -> None:
    for body in ("{", "[" * 50_000, json.dumps({"resources": "x", "detail": [1]}), json.dumps({"detail": {"EndpointName": {}}})):
        events.sqs.send_message(QueueUrl=events.url, MessageBody=body)
    await events.until_empty()
    assert serving.calls("DescribeEndpoint") == 0


@pytest.mark.usefixtures("listening")
async def test_given_an_event_that_nobody_follows_when_it_was_seen_often_enough_then_it_is_dropped(events: Events) -> None:
    events.sqs.send_message(QueueUrl=events.url, MessageBody=json.dumps({"detail": {"EndpointName": "others"}}))
    began = time.monotonic()
    await events.until_empty()
    assert time.monotonic() - began > SEEN_ENOUGH - 2


async def test_given_a_queue_that_is_not_there_when_it_is_listened_to_then_the_worker_goes_on(
    aws: Aws, account: str, caplog: pytest.LogCaptureFixture
) -> None:
    queue = EventQueue(f"arn:aws:sqs:us-east-1:{account}:none-such", bool)
    task = asyncio.create_task(queue.listen())
    async with asyncio.timeout(30):
        while not caplog.records:  # noqa: ASYNC110 -- a thread decides
            await asyncio.sleep(0.02)
    assert not task.done()
    assert "receiving events from" in caplog.text
    task.cancel()


@pytest.mark.parametrize(
    "event",
    [
        {"resources": ["arn:aws:ecs:us-east-1:1:task/ml/1"], "detail": {"taskArn": "arn:aws:ecs:us-east-1:1:task/ml/1"}},
        {"detail": {"taskArn": "arn:aws:ecs:us-east-1:1:task/ml/1", "EndpointName": "x" * 3_000, "alarmName": None}},
    ],
)
def test_given_an_event_then_the_names_in_it_are_those_of_what_it_is_about(event: dict[str, Any]) -> None:
    assert names_in(json.dumps(event)) == {"arn:aws:ecs:us-east-1:1:task/ml/1"}


@pytest.mark.usefixtures("listening")
async def test_given_followed_endpoints_when_nothing_changes_then_only_the_list_of_changes_is_asked_for(
    serving: Serving, aws: Aws
) -> None:
    await serving.serve()
    source = followed_endpoints(SageMakerAccount(aws, "us-east-1", None))
    await source.look(["screening-prod"])
    listed, described = serving.calls("ListEndpoints"), serving.calls("DescribeEndpoint")
    answers = await source.glance(["screening-prod"])
    assert serving.calls("ListEndpoints") == listed + 1
    assert serving.calls("DescribeEndpoint") == described + 1
    assert answers["screening-prod"]
