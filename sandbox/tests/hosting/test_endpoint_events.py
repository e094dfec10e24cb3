"""What EventBridge hears of endpoints."""

from __future__ import annotations

from typing import Any

from .conftest import CALLER, Stage, eventually


def emitted(stage: Stage, detail_type: str) -> list[dict[str, Any]]:
    """The details of the events of a kind, oldest first."""
    return [dict(event.detail) for event in stage.told if event.detail_type == detail_type]


def test_given_an_endpoint_when_it_comes_into_service_then_eventbridge_hears_of_each_state(stage: Stage) -> None:
    stage.in_service()
    eventually(lambda: len(emitted(stage, "SageMaker Endpoint State Change")) == 2, "two events")
    events = emitted(stage, "SageMaker Endpoint State Change")
    assert [event["EndpointStatus"] for event in events] == ["CREATING", "IN_SERVICE"]
    assert (events[1]["EndpointName"], events[1]["EndpointConfigName"]) == ("ep", "one")
    assert isinstance(events[1]["CreationTime"], int)


def test_given_a_canary_when_it_goes_on_then_eventbridge_hears_of_each_stage(stage: Stage) -> None:
    stage.in_service()
    stage.canary()
    stage.clock.pass_wait(10)
    stage.reaches_stage("Baking", 25)
    kind = "SageMaker Endpoint Deployment State Change"
    eventually(lambda: len(emitted(stage, kind)) == 3, "three events")
    pending = [event["PendingDeploymentSummary"]["ProductionVariants"][0] for event in emitted(stage, kind)]
    stages = [variant["VariantStatus"][0]["Status"] for variant in pending]
    assert stages == ["Creating", "ActivatingTraffic", "Baking"]
    assert pending[2]["CurrentWeight"] == 0.25


def test_given_more_instances_when_they_are_on_their_way_then_describe_endpoint_and_eventbridge_say_so(stage: Stage) -> None:
    stage.in_service()
    wish = {"VariantName": "AllTraffic", "DesiredInstanceCount": 6}
    stage.endpoints.update_weights(CALLER, {"EndpointName": "ep", "DesiredWeightsAndCapacities": [wish]})

    shown = stage.described()["ProductionVariants"][0]
    kind = "SageMaker Endpoint Deployment State Change"
    eventually(lambda: len(emitted(stage, kind)) == 1, "the event")
    (told,) = emitted(stage, kind)

    assert (shown["CurrentInstanceCount"], shown["DesiredInstanceCount"]) == (4, 6)
    assert shown["VariantStatus"][0]["StatusMessage"] == "Scaling out desired instance count to 6."
    assert (told["EndpointStatus"], "PendingDeploymentSummary" in told) == ("UPDATING", False)
    assert told["ProductionVariants"][0]["VariantStatus"][0]["Status"] == "Updating"
    stage.clock.pass_wait(10)
    served = stage.reaches("InService")["ProductionVariants"][0]
    assert (served["CurrentInstanceCount"], served["DesiredInstanceCount"], "VariantStatus" in served) == (6, 6, False)
