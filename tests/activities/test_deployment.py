from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.endpoints.deployment import (
    RolloutState,
    Settled,
    config_of_way_back,
    deployment_config,
    is_going_to,
    is_serverless,
    rollout_state,
    smallest_fleet,
    strategy_fallbacks,
)
from activities.endpoints.messages import PlanRollout
from activities.endpoints.plan import plan_rollout
from slipway.api import ModelPackage
from slipway.app.spec import Target, Variant
from slipway.app.strategy import Canary, Linear, Rolling, Strategy
from slipway.names import hashed_name

NOW = datetime.now(UTC)


def endpoint(status: str, config: str = "new", **more: Any) -> Any:
    return {"EndpointName": "ep", "EndpointStatus": status, "EndpointConfigName": config, "LastModifiedTime": NOW, **more}


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (endpoint("Creating"), RolloutState.moving),
        (endpoint("Updating", "old"), RolloutState.moving),
        (endpoint("RollingBack", "old"), RolloutState.moving),
        (endpoint("SystemUpdating"), RolloutState.moving),
        (endpoint("InService", PendingDeploymentSummary={"EndpointConfigName": "other"}), RolloutState.moving),
        (endpoint("InService"), RolloutState.served),
        (endpoint("InService", "old"), RolloutState.rolled_back),
        (endpoint("InService", "old", FailureReason="alarm"), RolloutState.rolled_back),
        (endpoint("InService", FailureReason="odd"), RolloutState.unclear),
        (endpoint("UpdateRollbackFailed", "old"), RolloutState.broken),
        (endpoint("Failed"), RolloutState.broken),
        (endpoint("OutOfService"), RolloutState.broken),
    ],
)
def test_given_an_endpoint_when_it_is_judged_then_in_service_alone_tells_nothing(found: Any, state: RolloutState) -> None:
    assert rollout_state(found, "new") is state


@pytest.mark.parametrize(
    ("looks", "settled"),
    [
        ([endpoint("Updating", "old"), endpoint("InService")], [False, True]),
        ([endpoint("InService", "old"), endpoint("Updating", "old"), endpoint("InService")], [False, False, True]),
        ([endpoint("InService", "old"), endpoint("InService", "old")], [False, True]),
        ([endpoint("InService", "old", FailureReason="alarm")], [True]),
        ([endpoint("Updating", "old"), endpoint("InService", "old")], [False, True]),
        ([endpoint("Failed")], [True]),
        ([None], [True]),
    ],
)
def test_given_a_first_look_at_the_former_config_when_it_may_be_stale_then_a_second_one_decides(
    looks: list[Any], settled: list[bool]
) -> None:
    done = Settled("new")

    assert [done(found) for found in looks] == settled


def test_given_a_pending_config_when_it_is_ours_then_the_endpoint_goes_there() -> None:
    assert is_going_to(endpoint("Updating", "old", PendingDeploymentSummary={"EndpointConfigName": "new"}), "new")
    assert not is_going_to(endpoint("Updating", "old", PendingDeploymentSummary={"EndpointConfigName": "other"}), "new")


def test_given_a_canary_when_the_update_is_described_then_alarms_bake_and_bounds_are_in_it() -> None:
    strategy = Strategy(
        canary=Canary(percent=25, wait=timedelta(minutes=10)),
        bake=timedelta(minutes=30),
        alarms=("5xx",),
        timeout=timedelta(hours=1),
    )
    assert deployment_config(strategy, 4) == {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {
                "Type": "CANARY",
                "WaitIntervalInSeconds": 600,
                "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 25},
            },
            "TerminationWaitInSeconds": 1800,
            "MaximumExecutionTimeoutInSeconds": 3600,
        },
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "5xx"}]},
    }


def test_given_equal_steps_when_the_update_is_described_then_they_are_linear() -> None:
    policy = deployment_config(Strategy(linear=Linear(percent=20, wait=timedelta(minutes=1))), 5)["BlueGreenUpdatePolicy"]
    assert policy["TrafficRoutingConfiguration"]["LinearStepSize"] == {"Type": "CAPACITY_PERCENT", "Value": 20}


def test_given_batches_when_the_update_is_described_then_it_is_rolling_and_has_no_second_policy() -> None:
    rolling = Rolling(percent=25, wait=timedelta(minutes=2), rollback_instances=3)
    assert deployment_config(Strategy(rolling=rolling, alarms=("5xx",), timeout=timedelta(hours=1)), 4) == {
        "RollingUpdatePolicy": {
            "MaximumBatchSize": {"Type": "CAPACITY_PERCENT", "Value": 25},
            "WaitIntervalInSeconds": 120,
            "MaximumExecutionTimeoutInSeconds": 3600,
            "RollbackMaximumBatchSize": {"Type": "INSTANCE_COUNT", "Value": 3},
        },
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "5xx"}]},
    }


def test_given_one_instance_when_batches_are_asked_for_then_it_is_all_at_once_and_says_so() -> None:
    strategy = Strategy(rolling=Rolling(instances=1))
    routing = deployment_config(strategy, 1)["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    assert (routing["Type"], config_of_way_back(strategy, 1)) == ("ALL_AT_ONCE", {})
    fallbacks = strategy_fallbacks(plan_rollout(request(strategy=strategy)), ["ml.m5.large"], 1)
    assert any("too few for a batch: the update is all at once" in found.what for found in fallbacks)


@pytest.mark.parametrize(
    ("rolling", "fleet", "size"),
    [
        (Rolling(percent=30), 4, {"Type": "CAPACITY_PERCENT", "Value": 30}),
        (Rolling(instances=2), 4, {"Type": "INSTANCE_COUNT", "Value": 2}),
        (Rolling(instances=3), 4, {"Type": "CAPACITY_PERCENT", "Value": 50}),
        (Rolling(instances=1), 40, {"Type": "CAPACITY_PERCENT", "Value": 5}),
        (Rolling(instances=2, rollback_instances=9), 4, {"Type": "INSTANCE_COUNT", "Value": 2}),
    ],
)
def test_given_a_rolling_strategy_when_a_former_config_is_restored_then_the_fleet_is_not_doubled_either(
    rolling: Rolling, fleet: int, size: dict[str, Any]
) -> None:
    policy = {"MaximumBatchSize": size, "WaitIntervalInSeconds": 0}
    assert config_of_way_back(Strategy(rolling=rolling, alarms=("5xx",)), fleet) == {"RollingUpdatePolicy": policy}


@pytest.mark.parametrize(
    ("rolling", "fleet", "problem"),
    [
        (Rolling(instances=2), 4, ""),
        (Rolling(instances=3), 4, "a batch is 3 instances of 4, and SageMaker takes 5 to 50 % of the fleet"),
        (Rolling(instances=1), 21, "a batch is 1 instance of 21"),
        (Rolling(instances=1, rollback_instances=5), 4, "a batch of a rollback is 5 instances of 4"),
        (Rolling(percent=5), 2, ""),
    ],
)
def test_given_batches_of_instances_when_they_are_no_part_that_sagemaker_takes_then_it_is_said(
    rolling: Rolling, fleet: int, problem: str
) -> None:
    found = rolling.problem(fleet)
    assert found.startswith(problem) if problem else not found


@pytest.mark.parametrize(("rolling", "batches"), [(Rolling(percent=30), 4), (Rolling(instances=2), 3)])
def test_given_a_fleet_when_it_is_replaced_in_batches_then_their_number_is_known(rolling: Rolling, batches: int) -> None:
    assert rolling.batches(5) == batches


def test_given_one_instance_when_a_canary_is_asked_for_then_it_is_all_at_once_and_says_so() -> None:
    strategy = Strategy(canary=Canary(percent=25))
    routing = deployment_config(strategy, 1)["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    assert routing["Type"] == "ALL_AT_ONCE"
    plan = plan_rollout(request(strategy=strategy))
    assert any("too few for a canary of 25 %" in found.what for found in strategy_fallbacks(plan, ["ml.m5.large"], 1))
    assert not any("too few" in found.what for found in strategy_fallbacks(plan, ["ml.m5.large"], 2))


@pytest.mark.parametrize("types", [["ml.inf1.xlarge"], ["ml.m5.large", "ml.inf1.xlarge"]])
def test_given_instances_that_cannot_shift_when_they_are_planned_then_it_says_so(types: list[str]) -> None:
    assert [found.what for found in strategy_fallbacks(plan_rollout(request()), types, 4)] == [
        "SageMaker updates ml.inf1.xlarge all at once and without a bake, whatever the strategy says"
    ]


def test_given_no_instances_when_a_bake_is_asked_for_then_it_says_that_there_is_none() -> None:
    plan = plan_rollout(request(strategy=Strategy(bake=timedelta(minutes=5))))
    [fallback] = strategy_fallbacks(plan, [], 0)
    assert "has no instances: SageMaker updates it all at once, without a bake" in fallback.what
    assert strategy_fallbacks(plan_rollout(request()), [], 0) == []


def test_given_live_variants_when_instances_are_counted_then_the_wanted_number_of_the_smallest_counts() -> None:
    variants = [
        {"VariantName": "a", "CurrentInstanceCount": 1, "DesiredInstanceCount": 3},
        {"VariantName": "b", "CurrentInstanceCount": 4, "DesiredInstanceCount": 4},
    ]
    assert smallest_fleet(endpoint("InService", ProductionVariants=variants)) == 3
    assert smallest_fleet(endpoint("InService")) == 0


def test_given_a_serverless_variant_when_it_is_looked_at_then_there_are_no_instances() -> None:
    variant = {"VariantName": "a", "CurrentServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 5}}
    found = endpoint("InService", ProductionVariants=[variant])
    assert (is_serverless(found), smallest_fleet(found)) == (True, 0)
    assert not is_serverless(endpoint("InService", ProductionVariants=[{"VariantName": "a", "CurrentInstanceCount": 1}]))


def request(**more: Any) -> PlanRollout:
    return PlanRollout.model_validate(
        {
            "promotion_id": "screening-1",
            "package": ModelPackage(arn="arn:aws:sagemaker:us-east-1:1:model-package/screening/7", version=7, region="us-east-1"),
            "target": Target(endpoint="screening-prod"),
            "variant": Variant(instance_type="ml.m5.large"),
            "strategy": Strategy(),
            "region": "us-east-1",
            **more,
        }
    )


def test_given_a_package_and_a_target_when_a_rollout_is_planned_then_its_names_are_those_of_every_release() -> None:
    """A promotion that an older worker began looks for these names: a changed one would be created a second time."""
    plan = plan_rollout(request())
    assert (plan.model, plan.config) == ("screening-prod-v7-a3055683c9", "screening-prod-v7-fa9b795267")


def test_given_the_same_request_when_it_is_planned_again_then_the_names_are_the_same() -> None:
    assert plan_rollout(request()) == plan_rollout(request())
    assert plan_rollout(request()).config.startswith("screening-prod-v7-")


def test_given_another_variant_when_it_is_planned_then_the_config_has_another_name_and_the_model_the_same() -> None:
    one, other = plan_rollout(request()), plan_rollout(request(variant=Variant(instance_type="ml.m5.xlarge")))
    assert one.model == other.model
    assert one.config != other.config


def test_given_a_live_endpoint_when_a_rollout_is_planned_then_its_names_follow_from_what_it_serves() -> None:
    plan = plan_rollout(request(), "by-hand")
    assert (plan.model, plan.config) == ("screening-prod-v7-95c6b905c2", "screening-prod-v7-b1815d85a1")
    assert plan.former == "by-hand"
    other = plan_rollout(request(), "by-hand-2")
    assert {plan.model, plan.config}.isdisjoint({other.model, other.config})


@given(stem=st.text(max_size=100), content=st.text())
def test_given_any_stem_when_a_name_is_made_then_sagemaker_allows_it(stem: str, content: str) -> None:
    assert re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", hashed_name(stem, "model", 1, content))
