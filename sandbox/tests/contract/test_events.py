"""EventBridge, call by call."""

from __future__ import annotations

import json
from typing import Any

from sandbox.testkit.contract import Aws, contract

EVENT: dict[str, Any] = {
    "id": "1",
    "account": "111122223333",
    "source": "my.app",
    "time": "2026-01-02T03:04:05Z",
    "region": "us-east-1",
    "resources": [],
    "detail-type": "Built",
    "detail": {},
}


def entry(**more: Any) -> dict[str, Any]:
    """An entry of PutEvents."""
    return {"Source": "my.app", "DetailType": "Built", "Detail": "{}", **more}


@contract("events", "PutEvents", errors=("ValidationException",))
def test_put_events(aws: Aws) -> None:
    events = aws.client("events")
    answered = events.put_events(Entries=[entry(), entry(Source="aws.ecs"), entry(Detail="{")])
    assert answered["FailedEntryCount"] == 2
    assert [each.get("ErrorCode") for each in answered["Entries"]] == [None, "NotAuthorizedForSourceException", "MalformedDetail"]
    with aws.refused("ValidationException", match="entries"):
        events.put_events(Entries=[entry()] * 11)
    with aws.refused("ValidationException", match="Total size of the entries in the request is over the limit"):
        events.put_events(Entries=[entry(Detail=json.dumps({"much": "x" * 1024 * 1024}))])


@contract("events", "TestEventPattern", errors=("InvalidEventPatternException",))
def test_test_event_pattern(aws: Aws) -> None:
    events, event = aws.client("events"), json.dumps(EVENT)
    assert events.test_event_pattern(EventPattern='{"source": [{"prefix": "my."}]}', Event=event)["Result"] is True
    assert events.test_event_pattern(EventPattern='{"source": ["other"]}', Event=event)["Result"] is False
    with aws.refused("InvalidEventPatternException", match="Event pattern is not valid. Reason: "):
        events.test_event_pattern(EventPattern='{"source": "my.app"}', Event=event)
    with aws.refused("ValidationException", match="Event is not valid"):
        events.test_event_pattern(EventPattern='{"source": ["other"]}', Event="5")


@contract("events", "PutRule", errors=("InvalidEventPatternException", "ResourceNotFoundException"))
@contract("events", "DescribeRule", errors=("ResourceNotFoundException",))
@contract("events", "ListRules")
@contract("events", "PutTargets", errors=("ResourceNotFoundException",))
@contract("events", "ListTargetsByRule")
@contract("events", "DisableRule")
@contract("events", "EnableRule")
@contract("events", "RemoveTargets")
@contract("events", "DeleteRule")
def test_the_life_of_a_rule(aws: Aws) -> None:
    events, name = aws.client("events"), aws.name("rule")
    target = {"Id": "1", "Arn": f"arn:aws:sqs:{aws.region}:{aws.account}:{name}"}
    arn = events.put_rule(Name=name, EventPattern='{"source": ["my.app"]}')["RuleArn"]
    assert arn == f"arn:aws:events:{aws.region}:{aws.account}:rule/{name}"
    assert events.describe_rule(Name=name)["State"] == "ENABLED"
    assert [rule["Name"] for rule in events.list_rules(NamePrefix=name)["Rules"]] == [name]
    assert events.put_targets(Rule=name, Targets=[target])["FailedEntryCount"] == 0
    assert events.list_targets_by_rule(Rule=name)["Targets"] == [target]
    events.disable_rule(Name=name)
    assert events.describe_rule(Name=name)["State"] == "DISABLED"
    events.enable_rule(Name=name)
    assert events.remove_targets(Rule=name, Ids=["1"])["FailedEntryCount"] == 0
    events.delete_rule(Name=name)
    with aws.refused("InvalidEventPatternException"):
        events.put_rule(Name=name, EventPattern='{"source": "my.app"}')
    with aws.refused("ResourceNotFoundException"):
        events.put_rule(Name=name, EventPattern='{"source": ["my.app"]}', EventBusName=f"{name}-none")
    with aws.refused("ResourceNotFoundException", match="does not exist"):
        events.describe_rule(Name=name)
    with aws.refused("ResourceNotFoundException", match="does not exist"):
        events.put_targets(Rule=name, Targets=[target])


@contract("events", "CreateEventBus", errors=("ResourceAlreadyExistsException",))
@contract("events", "DescribeEventBus", errors=("ResourceNotFoundException",))
@contract("events", "ListEventBuses")
@contract("events", "DeleteEventBus")
def test_the_life_of_a_bus(aws: Aws) -> None:
    events, name = aws.client("events"), aws.name("bus")
    events.create_event_bus(Name=name)
    with aws.refused("ResourceAlreadyExistsException", match="already exists"):
        events.create_event_bus(Name=name)
    assert events.describe_event_bus(Name=name)["Name"] == name
    assert [bus["Name"] for bus in events.list_event_buses(NamePrefix=name)["EventBuses"]] == [name]
    events.delete_event_bus(Name=name)
    with aws.refused("ResourceNotFoundException", match="does not exist"):
        events.describe_event_bus(Name=name)
