"""Events that AWS's services and users send come to the queues of rules that wait for them."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from slipway_sandbox.testing import SandboxProcess, fresh_account
from slipway_sandbox.testing.iam import document

from sandbox.testkit.contract import behaviour

from .conftest import Queue, queue_with

DETAIL = {"result": "SUCCESS", "tag": "v1"}


def put(sandbox: SandboxProcess, account: str, region: str = "us-east-1", **more: Any) -> dict[str, Any]:
    """Send one event of a user."""
    entry = {"Source": "my.app", "DetailType": "Built", "Detail": json.dumps(DETAIL), **more}
    return sandbox.client("events", account, region).put_events(Entries=[entry])["Entries"][0]


@pytest.fixture
def built(sandbox: SandboxProcess, account: str) -> Queue:
    """A queue for the test's own events."""
    return queue_with(sandbox, account, {"source": ["my.app"]})


@behaviour(
    "Events",
    "delivery",
    like="AWS's envelope, by rules' patterns, to SQS, log groups, archives and other buses; own events by PutEvents; "
    "those of ECR, ECS, SageMaker and CloudWatch's alarms",
    differs="no other targets, as Lambda; no schedules",
)
def test_given_a_rule_when_an_event_comes_then_the_envelope_is_awss(sandbox: SandboxProcess, account: str, built: Queue) -> None:
    answered = put(sandbox, account, Resources=["arn:x"], Time="2026-01-02T03:04:05Z")

    event = built.next()

    assert list(event) == ["version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail"]
    assert event == {
        "version": "0",
        "id": answered["EventId"],
        "detail-type": "Built",
        "source": "my.app",
        "account": account,
        "time": "2026-01-02T03:04:05Z",
        "region": "us-east-1",
        "resources": ["arn:x"],
        "detail": DETAIL,
    }


def test_given_another_region_and_account_when_an_event_comes_then_their_rules_do_not_see_it(
    sandbox: SandboxProcess, account: str, built: Queue
) -> None:
    elsewhere = queue_with(sandbox, account, {"source": ["my.app"]}, region="eu-west-1")
    other = queue_with(sandbox, fresh_account(), {"source": ["my.app"]})
    put(sandbox, account)
    put(sandbox, account, region="eu-west-1", Detail=json.dumps({"there": True}))

    assert built.next()["detail"] == DETAIL
    assert elsewhere.next()["detail"] == {"there": True}
    assert "Messages" not in other.sqs.receive_message(QueueUrl=other.url)


def test_given_a_pattern_when_others_events_come_then_only_what_matches_is_sent(sandbox: SandboxProcess, account: str) -> None:
    queue = queue_with(sandbox, account, {"detail": {"n": [{"numeric": [">", 1]}]}})
    for number in (1, 2):
        put(sandbox, account, Detail=json.dumps({"n": number}))

    assert queue.next()["detail"] == {"n": 2}


def test_given_a_disabled_rule_when_it_is_enabled_again_then_only_later_events_come(
    sandbox: SandboxProcess, account: str, built: Queue
) -> None:
    events = sandbox.client("events", account)
    events.disable_rule(Name="rule")
    marker = queue_with(
        sandbox, account, {"source": ["marker"]}, bus=events.create_event_bus(Name="m")["EventBusArn"].split("/")[1]
    )
    put(sandbox, account)
    put(sandbox, account, Source="marker", EventBusName="m")
    marker.next()
    events.enable_rule(Name="rule")
    put(sandbox, account, Detail=json.dumps({"later": True}))

    assert built.next()["detail"] == {"later": True}


@pytest.mark.parametrize(
    ("entry", "code", "message"),
    [
        ({"Source": "aws.ecs"}, "NotAuthorizedForSourceException", "Not authorized for the source."),
        ({"Detail": "{"}, "MalformedDetail", "Detail is malformed."),
        ({"Detail": "[1]"}, "MalformedDetail", "Detail is malformed."),
        ({"Source": ""}, "InvalidArgument", "Parameter Source is not valid. Reason: Source is a required argument."),
    ],
)
def test_given_an_entry_that_aws_refuses_when_it_is_put_then_its_own_answer_says_so(
    sandbox: SandboxProcess, account: str, entry: dict[str, str], code: str, message: str
) -> None:
    assert put(sandbox, account, **entry) == {"ErrorCode": code, "ErrorMessage": message}


def test_given_the_dial_says_twice_when_an_event_comes_then_it_comes_twice_under_one_id(
    sandbox: SandboxProcess, account: str, built: Queue
) -> None:
    sandbox.control("POST", "events/deliveries", {"account": account, "repeated": 1})
    put(sandbox, account)

    assert built.next()["id"] == built.next()["id"]


def test_given_the_dial_says_lost_when_events_come_then_only_those_of_other_types_arrive(
    sandbox: SandboxProcess, account: str, built: Queue
) -> None:
    sandbox.control("POST", "events/deliveries", {"account": account, "detailType": "Built", "lost": 1})
    put(sandbox, account)
    put(sandbox, account, DetailType="Other")

    assert built.next()["detail-type"] == "Other"


@behaviour(
    "Events",
    "lost, late and repeated events",
    like="an event may be lost, come twice under one id, or be overtaken",
    differs="only by the dial `events/deliveries`, with its probabilities",
)
def test_given_the_dial_says_late_when_events_come_then_one_overtakes_another(
    sandbox: SandboxProcess, account: str, built: Queue
) -> None:
    sandbox.control("POST", "events/deliveries", {"account": account, "detailType": "Built", "late": 1, "delay": 120})
    put(sandbox, account)
    put(sandbox, account, DetailType="Other")

    assert [built.next()["detail-type"], built.next()["detail-type"]] == ["Other", "Built"]


@behaviour(
    "Events",
    "inputs",
    like="Input, InputPath and InputTransformer, with AWS's own variables",
)
def test_given_a_template_when_an_event_comes_then_the_target_gets_what_it_makes(sandbox: SandboxProcess, account: str) -> None:
    transformer = {"InputPathsMap": {"tag": "$.detail.tag"}, "InputTemplate": '{"tag": <tag>, "rule": <aws.events.rule-name>}'}
    queue = queue_with(sandbox, account, {"source": ["my.app"]}, target={"InputTransformer": transformer})
    put(sandbox, account)

    assert queue.next() == {"tag": "v1", "rule": "rule"}


def test_given_a_fifo_queue_when_an_event_comes_then_it_is_in_its_group(sandbox: SandboxProcess, account: str) -> None:
    sqs, events = sandbox.client("sqs", account), sandbox.client("events", account)
    attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    url = sqs.create_queue(QueueName="e.fifo", Attributes=attributes)["QueueUrl"]
    events.put_rule(Name="rule", EventPattern='{"source": ["my.app"]}')
    target = {"Id": "1", "Arn": f"arn:aws:sqs:us-east-1:{account}:e.fifo", "SqsParameters": {"MessageGroupId": "g"}}
    events.put_targets(Rule="rule", Targets=[target])
    put(sandbox, account)

    message = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=10, AttributeNames=["All"])["Messages"][0]

    assert message["Attributes"]["MessageGroupId"] == "g"


@behaviour(
    "Events",
    "dead letters",
    like="what a queue's policy refuses goes to the target's dead letters, with the reason",
    differs="a queue without a policy takes all; nothing is tried again",
)
def test_given_a_queue_that_lets_only_another_rule_in_when_an_event_comes_then_it_goes_to_the_dead_letters(
    sandbox: SandboxProcess, account: str
) -> None:
    dead = queue_with(sandbox, account, {"source": ["nothing"]})
    arn = f"arn:aws:sqs:us-east-1:{account}:closed"
    policy = document(
        {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": f"arn:aws:events:us-east-1:{account}:rule/another"}},
        }
    )
    sandbox.client("sqs", account).create_queue(QueueName="closed", Attributes={"Policy": policy})
    events = sandbox.client("events", account)
    events.put_rule(Name="mine", EventPattern='{"source": ["my.app"]}')
    events.put_targets(Rule="mine", Targets=[{"Id": "1", "Arn": arn, "DeadLetterConfig": {"Arn": dead.arn}}])
    put(sandbox, account)

    found = dead.sqs.receive_message(QueueUrl=dead.url, WaitTimeSeconds=10, MessageAttributeNames=["All"])["Messages"][0]

    assert json.loads(found["Body"])["detail"] == DETAIL
    assert found["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "NO_PERMISSIONS"
    assert found["MessageAttributes"]["TARGET_ARN"]["StringValue"] == arn


def test_given_a_bus_of_another_account_when_it_lets_this_one_then_events_go_on_to_it(
    sandbox: SandboxProcess, account: str
) -> None:
    hub = fresh_account()
    there = queue_with(sandbox, hub, {"source": ["my.app"]})
    sandbox.client("events", hub).put_permission(Action="events:PutEvents", Principal=account, StatementId="team")
    events = sandbox.client("events", account)
    events.put_rule(Name="on", EventPattern='{"source": ["my.app"]}')
    events.put_targets(Rule="on", Targets=[{"Id": "1", "Arn": f"arn:aws:events:us-east-1:{hub}:event-bus/default"}])
    put(sandbox, account)

    assert there.next()["account"] == account


def test_given_a_log_group_when_an_event_comes_then_it_is_a_line_in_it(
    sandbox: SandboxProcess, account: str, built: Queue
) -> None:
    logs, events = sandbox.client("logs", account), sandbox.client("events", account)
    logs.create_log_group(logGroupName="/aws/events/all")
    events.put_rule(Name="a-log", EventPattern='{"source": ["my.app"]}')
    events.put_targets(Rule="a-log", Targets=[{"Id": "1", "Arn": f"arn:aws:logs:us-east-1:{account}:log-group:/aws/events/all"}])
    put(sandbox, account)
    put(sandbox, account, DetailType="Last")
    assert {built.next()["detail-type"], built.next()["detail-type"]} == {"Built", "Last"}

    lines = logs.filter_log_events(logGroupName="/aws/events/all")["events"]

    assert json.loads(lines[0]["message"])["detail"] == DETAIL


@behaviour(
    "Events",
    "waiting for messages",
    like="WaitTimeSeconds ends with the first message",
)
def test_given_somebody_who_waits_for_a_message_when_it_is_sent_then_it_comes_at_once(
    sandbox: SandboxProcess, account: str
) -> None:
    queue = queue_with(sandbox, account, {"source": ["my.app"]})
    with ThreadPoolExecutor(1) as waiting:
        got = waiting.submit(queue.next, 20)
        put(sandbox, account)

        assert got.result(timeout=15)["detail"] == DETAIL
