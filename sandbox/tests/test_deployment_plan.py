from typing import Any

import pytest
from slipway_sandbox.core.errors import AwsError
from slipway_sandbox.sagemaker.hosting.deployment import Plan, Shift, plan_of


def variants(count: int = 4, name: str = "AllTraffic", instance_type: str = "ml.m5.large") -> list[dict[str, Any]]:
    return [{"VariantName": name, "InitialInstanceCount": count, "InstanceType": instance_type}]


def blue_green(kind: str, wait: int = 600, **more: Any) -> dict[str, Any]:
    policy: dict[str, Any] = {}
    routing: dict[str, Any] = {"Type": kind, "WaitIntervalInSeconds": wait}
    for name, value in more.items():
        (routing if name.endswith("Size") else policy)[name] = value
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing, **policy}}


def percent(value: int) -> dict[str, Any]:
    return {"Type": "CAPACITY_PERCENT", "Value": value}


def instances(value: int) -> dict[str, Any]:
    return {"Type": "INSTANCE_COUNT", "Value": value}


def plan(config: dict[str, Any] | None, count: int = 4) -> Plan:
    return plan_of(config, variants(count), variants(count))


def refusal(config: dict[str, Any], count: int = 4) -> str:
    with pytest.raises(AwsError) as refused:
        plan(config, count)
    assert refused.value.code == "ValidationException"
    return refused.value.message


def test_given_no_configuration_when_it_is_planned_then_all_traffic_moves_at_once_without_a_bake() -> None:
    assert plan(None) == Plan((Shift(100, 0),))


def test_given_a_canary_when_it_is_planned_then_its_share_is_watched_before_the_rest_moves() -> None:
    config = blue_green("CANARY", 600, CanarySize=percent(25), TerminationWaitInSeconds=1800)
    assert plan(config).shifts == (Shift(25, 600), Shift(100, 0))
    assert plan(config).bake == 1800


def test_given_a_canary_of_instances_when_it_is_planned_then_its_share_is_theirs_of_all() -> None:
    assert plan(blue_green("CANARY", 60, CanarySize=instances(1))).shifts[0].percent == 25


@pytest.mark.parametrize("size", [percent(51), instances(3)])
def test_given_a_canary_above_half_when_it_is_planned_then_it_is_refused(size: dict[str, Any]) -> None:
    assert "less than or equal to 50%" in refusal(blue_green("CANARY", 60, CanarySize=size))


def test_given_linear_steps_when_they_are_planned_then_each_but_the_last_is_watched() -> None:
    steps = plan(blue_green("LINEAR", 60, LinearStepSize=percent(30))).shifts
    assert [(step.percent, step.wait) for step in steps] == [(30, 60), (60, 60), (90, 60), (100, 0)]


@pytest.mark.parametrize("value", [9, 51])
def test_given_a_linear_step_out_of_bounds_when_it_is_planned_then_it_is_refused(value: int) -> None:
    assert "between 10% and 50%" in refusal(blue_green("LINEAR", 60, LinearStepSize=percent(value)))


@pytest.mark.parametrize(
    ("kind", "sizes", "complaint"),
    [
        ("CANARY", {}, "CanarySize is required"),
        ("LINEAR", {}, "LinearStepSize is required"),
        ("LINEAR", {"LinearStepSize": percent(10), "CanarySize": percent(10)}, "CanarySize is only supported"),
        ("ALL_AT_ONCE", {"CanarySize": percent(10)}, "CanarySize is only supported"),
    ],
)
def test_given_sizes_that_do_not_fit_the_type_when_they_are_planned_then_that_is_refused(
    kind: str, sizes: dict[str, Any], complaint: str
) -> None:
    assert complaint in refusal(blue_green(kind, 60, **sizes))


def test_given_a_timeout_below_the_waits_when_it_is_planned_then_it_is_refused() -> None:
    config = blue_green(
        "CANARY", 600, CanarySize=percent(25), TerminationWaitInSeconds=600, MaximumExecutionTimeoutInSeconds=1200
    )
    assert "MaximumExecutionTimeoutInSeconds (1200)" in refusal(config)


def test_given_other_variant_names_when_a_deployment_configuration_is_planned_then_it_is_refused() -> None:
    config = blue_green("ALL_AT_ONCE", 0)
    with pytest.raises(AwsError, match="same variant names"):
        plan_of(config, variants(name="Blue"), variants(name="Green"))


def test_given_both_policies_when_they_are_planned_then_they_are_refused() -> None:
    rolling = {"RollingUpdatePolicy": {"MaximumBatchSize": percent(25), "WaitIntervalInSeconds": 0}}
    assert "only one of" in refusal({**blue_green("ALL_AT_ONCE", 0), **rolling})


@pytest.mark.parametrize(("count", "instance_type"), [(1, "ml.m5.large"), (4, "ml.inf1.xlarge")])
def test_given_a_variant_that_cannot_be_split_when_a_canary_is_planned_then_it_silently_falls_back(
    count: int, instance_type: str
) -> None:
    config = blue_green("CANARY", 600, CanarySize=percent(25), TerminationWaitInSeconds=600)
    new = variants(count, instance_type=instance_type)
    assert plan_of(config, new, new) == Plan((Shift(100, 0),))


def test_given_a_rolling_update_when_it_is_planned_then_every_batch_is_watched() -> None:
    config = {"RollingUpdatePolicy": {"MaximumBatchSize": percent(50), "WaitIntervalInSeconds": 60}}
    assert plan(config).shifts == (Shift(50, 60), Shift(100, 60))
    assert plan(config).rolling


def test_given_several_variants_when_a_rolling_update_is_planned_then_it_is_refused() -> None:
    config = {"RollingUpdatePolicy": {"MaximumBatchSize": percent(50), "WaitIntervalInSeconds": 60}}
    both = [*variants(name="A"), *variants(name="B")]
    with pytest.raises(AwsError, match="multiple production variants"):
        plan_of(config, both, both)


def test_given_alarms_when_they_are_planned_then_their_names_are_watched() -> None:
    config = {**blue_green("ALL_AT_ONCE", 0), "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]}}
    assert plan(config).alarms == ("errors",)


def serverless() -> list[dict[str, Any]]:
    return [{"VariantName": "AllTraffic", "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5}}]


def test_given_a_serverless_variant_when_a_canary_is_planned_then_it_does_not_fall_back() -> None:
    new = serverless()
    assert plan_of(blue_green("CANARY", 60, CanarySize=percent(10)), new, new).shifts == (Shift(10, 60), Shift(100, 0))


def test_given_a_serverless_variant_when_a_canary_counts_instances_then_it_is_refused() -> None:
    with pytest.raises(AwsError, match="CAPACITY_PERCENT"):
        plan_of(blue_green("CANARY", 60, CanarySize=instances(1)), serverless(), serverless())


def test_given_a_marketplace_container_when_a_canary_is_planned_then_it_silently_falls_back() -> None:
    config = blue_green("CANARY", 600, CanarySize=percent(25), TerminationWaitInSeconds=600)
    assert plan_of(config, variants(), variants(), marketplace=True) == Plan((Shift(100, 0),))
