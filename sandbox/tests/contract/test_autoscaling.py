"""Scheduled actions and tags of scalable targets, call by call."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sandbox.testkit.contract import Aws, contract

OF = {"ServiceNamespace": "dynamodb", "ResourceId": "table/none", "ScalableDimension": "dynamodb:table:ReadCapacityUnits"}
LISTED = {"ServiceNamespace": "dynamodb", "ResourceId": "table/none"}
NIGHT: dict[str, Any] = {"Schedule": "cron(0 22 * * ? *)", "ScalableTargetAction": {"MinCapacity": 1, "MaxCapacity": 2}}


@contract("application-autoscaling", "ListTagsForResource", errors=("ResourceNotFoundException",))
def test_tags_of_targets(aws: Aws) -> None:
    scaling = aws.client("application-autoscaling")
    arn = scaling.register_scalable_target(**OF, MinCapacity=1, MaxCapacity=2, Tags={"team": "risk"})["ScalableTargetARN"]
    assert scaling.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"team": "risk"}
    with aws.refused("ResourceNotFoundException"):
        scaling.list_tags_for_resource(ResourceARN=f"{arn}0")


@contract("application-autoscaling", "PutScheduledAction", errors=("ObjectNotFoundException", "ValidationException"))
@contract("application-autoscaling", "DescribeScheduledActions", errors=("InvalidNextTokenException", "ValidationException"))
@contract("application-autoscaling", "DeleteScheduledAction", errors=("ObjectNotFoundException", "ValidationException"))
def test_scheduled_actions(aws: Aws) -> None:
    scaling = aws.client("application-autoscaling")
    with aws.refused("ObjectNotFoundException", match="No scalable target registered for service namespace: dynamodb"):
        scaling.put_scheduled_action(**OF, ScheduledActionName="night", **NIGHT)
    scaling.register_scalable_target(**OF, MinCapacity=1, MaxCapacity=2)
    for wrong in ("tomorrow", "at(1999-01-01T00:00:00)", "at(tomorrow)"):
        with aws.refused("ValidationException"):
            scaling.put_scheduled_action(**OF, ScheduledActionName="night", **{**NIGHT, "Schedule": wrong})
    with aws.refused("ValidationException"):
        scaling.put_scheduled_action(**OF, ScheduledActionName="night", **NIGHT, EndTime=datetime(1999, 1, 1, tzinfo=UTC))
    with aws.refused("ValidationException"):
        scaling.put_scheduled_action(**OF, ScheduledActionName="night", Schedule="rate(1 day)")
    scaling.put_scheduled_action(**OF, ScheduledActionName="night", Timezone="Europe/Berlin", **NIGHT)
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    scaling.put_scheduled_action(**OF, ScheduledActionName="night", EndTime=end)
    (action,) = scaling.describe_scheduled_actions(**LISTED)["ScheduledActions"]
    assert {name: action[name] for name in (*NIGHT, "Timezone", "EndTime")} == {
        **NIGHT,
        "Timezone": "Europe/Berlin",
        "EndTime": end,
    }
    with aws.refused("InvalidNextTokenException"):
        scaling.describe_scheduled_actions(**LISTED, NextToken="no token")
    with aws.refused("ValidationException"):
        scaling.describe_scheduled_actions(ServiceNamespace="no-service")
    scaling.delete_scheduled_action(**OF, ScheduledActionName="night")
    with aws.refused("ObjectNotFoundException", match="No scheduled action found for service namespace: dynamodb"):
        scaling.delete_scheduled_action(**OF, ScheduledActionName="night")
    with aws.refused("ValidationException", match="Unsupported service namespace"):
        scaling.delete_scheduled_action(**{**OF, "ScalableDimension": "ecs:service:DesiredCount"}, ScheduledActionName="night")
    scaling.put_scheduled_action(**OF, ScheduledActionName="night", **NIGHT)
    scaling.deregister_scalable_target(**OF)
    assert scaling.describe_scheduled_actions(**LISTED)["ScheduledActions"] == []


@contract("application-autoscaling", "PutScheduledAction", errors=("LimitExceededException",))
def test_quota_of_scheduled_actions(aws: Aws) -> None:
    scaling = aws.client("application-autoscaling")
    scaling.register_scalable_target(**OF, MinCapacity=1, MaxCapacity=2)
    with aws.quota("application-autoscaling", "Scheduled actions per scalable target", 1):
        for _ in range(2):
            scaling.put_scheduled_action(**OF, ScheduledActionName="one", **NIGHT)
        with aws.refused("LimitExceededException", match="Scheduled actions per scalable target"):
            scaling.put_scheduled_action(**OF, ScheduledActionName="two", **NIGHT)
