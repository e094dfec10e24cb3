"""What EventBridge hears of endpoints."""

from __future__ import annotations

from typing import Any

from .conftest import Stage, eventually


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
