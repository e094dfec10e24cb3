"""How an update goes on, and back, on the stage."""

from __future__ import annotations

import pytest
from slipway_sandbox.sagemaker.hosting.dials import Dial
from slipway_sandbox.sagemaker.hosting.rollout import OutcomeKind

from .conftest import CALLER, Stage, eventually


def test_given_a_canary_when_its_waits_pass_then_the_traffic_moves_in_two_steps_and_the_old_fleet_ends_after_the_bake(
    stage: Stage,
) -> None:
    stage.in_service()
    stage.canary()
    stage.clock.pass_wait(10)
    shown = stage.reaches_stage("Baking", 25)
    assert (shown["EndpointStatus"], shown["EndpointConfigName"]) == ("Updating", "one")
    stage.clock.pass_wait(600)
    stage.reaches_stage("Baking", 100)
    assert not stage.fleets.servers["one"].stopped.is_set()
    stage.clock.pass_wait(1800)
    assert stage.reaches("InService")["EndpointConfigName"] == "two"
    eventually(stage.fleets.servers["one"].stopped.is_set, "the old fleet's end")


@pytest.mark.parametrize("step", ["canary", "bake"])
def test_given_an_alarm_when_it_trips_then_the_old_configuration_is_served_again_and_the_reason_is_told(
    stage: Stage, step: str
) -> None:
    stage.in_service()
    stage.canary()
    stage.clock.pass_wait(10)
    stage.reaches_stage("Baking", 25)
    if step == "bake":
        stage.clock.pass_wait(600)
        stage.reaches_stage("Baking", 100)
    stage.alarms.in_alarm = {"errors"}
    stage.reaches("RollingBack")
    stage.clock.pass_wait(5)
    served = stage.reaches("InService")
    assert served["EndpointConfigName"] == "one"
    assert "errors" in served["FailureReason"]
    assert "PendingDeploymentSummary" not in served
    assert stage.fleets.servers["two"].stopped.is_set()
    assert not stage.fleets.servers["one"].stopped.is_set()


def test_given_an_alarm_that_trips_while_the_new_fleet_starts_when_it_is_up_then_it_gets_no_traffic(stage: Stage) -> None:
    stage.in_service()
    stage.canary()
    stage.alarms.in_alarm = {"errors"}
    stage.clock.pass_wait(10)
    shown = stage.reaches("RollingBack")
    assert shown["PendingDeploymentSummary"]["ProductionVariants"][0]["CurrentWeight"] == 0


def test_given_an_unhealthy_new_fleet_when_an_endpoint_is_updated_then_it_is_rolled_back(stage: Stage) -> None:
    stage.in_service()
    stage.update("broken-three")
    stage.clock.pass_wait(10)
    stage.clock.pass_wait(5)
    served = stage.reaches("InService")
    assert (served["EndpointConfigName"], "ping health check" in served["FailureReason"]) == ("one", True)


def test_given_a_dial_for_a_silent_rollback_when_an_endpoint_is_updated_then_no_reason_is_told(stage: Stage) -> None:
    stage.in_service()
    stage.dials.set(Dial(endpoint="ep", kind=OutcomeKind.rollback))
    stage.update()
    stage.clock.pass_wait(10)
    stage.clock.pass_wait(5)
    served = stage.reaches("InService")
    assert served["EndpointConfigName"] == "one"
    assert "FailureReason" not in served


def test_given_a_dial_for_capacity_when_an_endpoint_is_updated_then_the_reason_is_awss(stage: Stage) -> None:
    stage.in_service()
    stage.dials.set(Dial(endpoint="ep", kind=OutcomeKind.capacity))
    stage.update()
    stage.clock.pass_wait(10)
    stage.clock.pass_wait(5)
    assert "InsufficientInstanceCapacity" in stage.reaches("InService")["FailureReason"]


def test_given_a_dial_for_a_failed_rollback_when_an_endpoint_is_updated_then_a_person_is_needed(stage: Stage) -> None:
    stage.in_service()
    stage.dials.set(Dial(endpoint="ep", kind=OutcomeKind.rollback_failed, reason="no way back"))
    stage.update()
    stage.clock.pass_wait(10)
    stage.clock.pass_wait(5)
    assert stage.reaches("UpdateRollbackFailed")["FailureReason"] == "no way back"


def test_given_a_failure_reason_when_the_next_update_begins_then_it_is_cleared(stage: Stage) -> None:
    stage.in_service()
    stage.update("broken-three")
    stage.clock.pass_wait(10)
    stage.clock.pass_wait(5)
    stage.reaches("InService")
    stage.update()
    assert "FailureReason" not in stage.described()


def test_given_an_update_when_its_time_is_over_then_it_is_rolled_back(stage: Stage) -> None:
    stage.in_service()
    policy = {
        "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0},
        "TerminationWaitInSeconds": 599,
        "MaximumExecutionTimeoutInSeconds": 600,
    }
    stage.update(DeploymentConfig={"BlueGreenUpdatePolicy": policy})
    stage.clock.pass_wait(10)
    stage.reaches_stage("Baking", 100)
    stage.clock.pass_wait(590)
    stage.reaches("RollingBack")
    stage.clock.pass_wait(5)
    assert "maximum execution timeout" in stage.reaches("InService")["FailureReason"]


def test_given_a_running_update_when_the_account_is_reset_then_both_fleets_end(stage: Stage) -> None:
    stage.in_service()
    stage.canary()
    stage.clock.pass_wait(10)
    stage.reaches_stage("Baking", 25)
    with stage.endpoints.lock:
        stage.endpoints.reset(CALLER.account)
    for name in ("one", "two"):
        eventually(stage.fleets.servers[name].stopped.is_set, f"the end of fleet {name}")


def test_given_a_rolling_update_when_a_batch_is_watched_then_the_old_fleet_has_shrunk_by_it(stage: Stage) -> None:
    stage.in_service()
    batch = {"Type": "CAPACITY_PERCENT", "Value": 50}
    stage.update(DeploymentConfig={"RollingUpdatePolicy": {"MaximumBatchSize": batch, "WaitIntervalInSeconds": 60}})
    stage.clock.pass_wait(10)
    shown = stage.reaches_stage("Baking", 50)
    new = shown["PendingDeploymentSummary"]["ProductionVariants"][0]
    assert (shown["ProductionVariants"][0]["CurrentInstanceCount"], new["CurrentInstanceCount"]) == (2, 2)
    stage.clock.pass_wait(60)
    stage.reaches_stage("Baking", 100)
    stage.clock.pass_wait(60)
    served = stage.reaches("InService")
    assert (served["EndpointConfigName"], served["ProductionVariants"][0]["CurrentInstanceCount"]) == ("two", 4)


def test_given_a_fleet_that_was_scaled_out_when_it_is_kept_then_batches_are_a_part_of_it(stage: Stage) -> None:
    stage.in_service()
    desired = [{"VariantName": "AllTraffic", "DesiredInstanceCount": 8}]
    stage.endpoints.update_weights(CALLER, {"EndpointName": "ep", "DesiredWeightsAndCapacities": desired})
    stage.clock.pass_wait(10)
    stage.reaches("InService")
    policy = {"MaximumBatchSize": {"Type": "INSTANCE_COUNT", "Value": 4}, "WaitIntervalInSeconds": 60}
    stage.update(DeploymentConfig={"RollingUpdatePolicy": policy}, RetainAllVariantProperties=True)
    stage.clock.pass_wait(10)
    shown = stage.reaches_stage("Baking", 50)
    assert shown["ProductionVariants"][0]["CurrentInstanceCount"] == 4


def test_given_a_rolling_update_when_it_is_rolled_back_then_the_traffic_comes_back_in_batches(stage: Stage) -> None:
    stage.in_service()
    quarter, half = ({"Type": "CAPACITY_PERCENT", "Value": value} for value in (25, 50))
    policy = {"MaximumBatchSize": half, "WaitIntervalInSeconds": 60, "RollbackMaximumBatchSize": quarter}
    alarms = {"Alarms": [{"AlarmName": "errors"}]}
    stage.update(DeploymentConfig={"RollingUpdatePolicy": policy, "AutoRollbackConfiguration": alarms})
    stage.clock.pass_wait(10)
    stage.reaches_stage("Baking", 50)
    stage.alarms.in_alarm = {"errors"}
    stage.reaches_stage("Deleting", 25)
    stage.clock.pass_wait(5)
    stage.reaches_stage("Deleting", 0)
    stage.clock.pass_wait(5)
    assert stage.reaches("InService")["EndpointConfigName"] == "one"
