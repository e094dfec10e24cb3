"""An endpoint whose variant is scaled automatically, before, during and after a rollout."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import Any

import pytest

from activities.endpoints.messages import ChangeScaling, EndpointPlan, RestoreEndpoint, RolloutEnd, UpdateEndpoint
from activities.endpoints.preflight import require_not_scaled_now
from activities.endpoints.scaling import digest_of, is_over
from activities.endpoints.scaling_activities import ScalingActivities
from slipway.api import LedgerState
from slipway.app.strategy import Strategy
from slipway.aws.clients import Aws
from slipway.errors import NeedsPersonError, TransientError
from tests.activities.by_hand import ENDPOINT, SIZED, ByHand, with_package
from tests.activities.serving import Serving
from tests.support.scaling import described_scaling, scaled_by_count

LARGER = "ml.c5.2xlarge"
OF = scaled_by_count(f"endpoint/{ENDPOINT}/variant/main")
TRACKING = {
    "TargetValue": 70.0,
    "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
    "ScaleInCooldown": 600,
    "DisableScaleIn": True,
}
CUSTOM = {
    "TargetValue": 5.0,
    "CustomizedMetricSpecification": {
        "Namespace": "screening",
        "MetricName": "Backlog",
        "Dimensions": [{"Name": "EndpointName", "Value": ENDPOINT}],
        "Statistic": "Average",
    },
}
EFFECTS = ("DeregisterScalableTarget", "RegisterScalableTarget", "PutScalingPolicy", "PutScheduledAction")


class Scaled:
    """An endpoint that was made by hand and has been scaled out, and what a rollout does to its scaling."""

    def __init__(self, serving: Serving, by_hand: ByHand, aws: Aws) -> None:
        self.serving, self.by_hand = serving, by_hand
        self.client = serving.sandbox.client("application-autoscaling", serving.account)
        self.activities = ScalingActivities(aws)
        by_hand.serve({"VariantName": "main", "ModelName": by_hand.model(), **SIZED})
        desired = [{"VariantName": "main", "DesiredInstanceCount": 5}]
        by_hand.sagemaker.update_endpoint_weights_and_capacities(EndpointName=ENDPOINT, DesiredWeightsAndCapacities=desired)
        by_hand.wait()
        suspended = {"DynamicScalingInSuspended": True, "DynamicScalingOutSuspended": False, "ScheduledScalingSuspended": False}
        self.client.register_scalable_target(**OF, MinCapacity=2, MaxCapacity=9, SuspendedState=suspended, Tags={"team": "risk"})
        self.track("requests", TRACKING)
        self.track("backlog", CUSTOM)
        self.schedule("night", "cron(0 22 * * ? *)", Timezone="Europe/Berlin", EndTime=datetime(2090, 1, 1, tzinfo=UTC))
        self.schedule("fair", "at(2089-12-24T08:00:00)")

    def track(self, name: str, configuration: dict[str, Any]) -> None:
        self.client.put_scaling_policy(
            **OF,
            PolicyName=name,
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration=configuration,
        )

    def schedule(self, name: str, schedule: str, **more: Any) -> None:
        bounds = {"MinCapacity": 1, "MaxCapacity": 3}
        self.client.put_scheduled_action(**OF, ScheduledActionName=name, Schedule=schedule, ScalableTargetAction=bounds, **more)

    def described(self) -> dict[str, Any]:
        return described_scaling(self.client, OF["ResourceId"])

    def instances(self) -> int:
        [variant] = self.by_hand.sagemaker.describe_endpoint(EndpointName=ENDPOINT)["ProductionVariants"]
        return variant["DesiredInstanceCount"]

    def instance_type(self) -> str:
        config = self.by_hand.sagemaker.describe_endpoint_config(EndpointConfigName=self.serving.served())
        return config["ProductionVariants"][0]["InstanceType"]

    async def planned(self, instance_type: str | None = LARGER) -> ChangeScaling:
        """What preflight records, with the model and the config made."""
        found = await self.serving.preflight(self.serving.package("new"), Strategy(), instance_type=instance_type)
        assert found.scaling
        await self.serving.run(self.serving.activities.prepare_endpoint, found.plan)
        return ChangeScaling(plan=found.plan, scaling=found.scaling)

    async def off(self, change: ChangeScaling) -> None:
        await self.serving.run(self.activities.take_off_scaling, change)

    async def back(self, change: ChangeScaling) -> str:
        done = await self.serving.run(self.activities.put_back_scaling, change)
        return f"{done.state}: {done.note}"

    async def update(self, plan: EndpointPlan) -> None:
        update = UpdateEndpoint(plan=plan, previous_config="by-hand")
        await self.serving.run(self.serving.activities.update_endpoint, update)
        assert (await self.serving.follow(plan)).end is RolloutEnd.served

    async def rolled_out(self) -> ChangeScaling:
        change = await self.planned()
        await self.off(change)
        await self.update(change.plan)
        await self.back(change)
        return change

    async def way_back(self, change: ChangeScaling) -> None:
        """What the ledger does."""
        await self.serving.run(self.activities.take_off_scaling_again, change)
        restore = RestoreEndpoint(plan=change.plan, previous_config="by-hand", reason="test")
        assert (await self.serving.run(self.serving.activities.restore_endpoint, restore)).state is LedgerState.undone
        await self.back(change)

    def calls(self, operation: str) -> int:
        made = self.serving.sandbox.calls("application-autoscaling", operation, self.serving.account)
        return len([call for call in made if not call["error"]])


@pytest.fixture
def scaled(serving: Serving, by_hand: ByHand, aws: Aws) -> Scaled:
    return Scaled(serving, by_hand, aws)


async def test_given_a_scaled_endpoint_when_its_model_alone_changes_then_its_scaling_is_left_alone(scaled: Scaled) -> None:
    before, serving = scaled.described(), scaled.serving
    config = scaled.by_hand.described("by-hand")
    found = await serving.preflight(package := serving.package("new"), Strategy(), instance_type=None)
    assert (found.scaling, found.warnings) == (None, ())
    await serving.update(found.plan, "by-hand")
    assert (await serving.follow(found.plan)).end is RolloutEnd.served
    assert scaled.by_hand.described(found.plan.config) == with_package(config, package.arn)
    assert (scaled.described(), scaled.instances(), scaled.calls("DeregisterScalableTarget")) == (before, 5, 0)


async def test_given_a_scaled_endpoint_when_its_instance_type_changes_then_it_is_scaled_as_before_by_as_many_instances(
    scaled: Scaled,
) -> None:
    before = scaled.described()
    change = await scaled.planned()
    await scaled.off(change)
    assert scaled.described() == {"rows": [], "tags": []}
    await scaled.update(change.plan)
    assert await scaled.back(change) == "undone: it is scaled automatically as before"
    assert (scaled.described(), scaled.instances(), scaled.instance_type()) == (before, 5, LARGER)


async def test_given_a_rollout_that_is_undone_when_the_former_type_serves_again_then_it_is_scaled_as_before(
    scaled: Scaled,
) -> None:
    before = scaled.described()
    change = await scaled.rolled_out()
    await scaled.way_back(change)
    assert (scaled.described(), scaled.instances(), scaled.instance_type()) == (before, 5, "ml.c5.xlarge")


async def test_given_an_abort_right_after_it_was_taken_off_when_that_is_undone_then_it_is_scaled_as_before(
    scaled: Scaled,
) -> None:
    before = scaled.described()
    change = await scaled.planned()
    await scaled.off(change)
    await scaled.way_back(change)
    assert (scaled.described(), scaled.serving.served()) == (before, "by-hand")


async def test_given_an_abort_before_it_was_taken_off_when_that_is_undone_then_nothing_is_done_to_it(scaled: Scaled) -> None:
    before = scaled.described()
    change = await scaled.planned()
    await scaled.way_back(change)
    assert scaled.described() == before
    assert [scaled.calls(operation) for operation in EFFECTS] == [0, 1, 2, 2]


@pytest.mark.parametrize("operation", EFFECTS)
async def test_given_a_worker_killed_right_after_an_effect_when_it_is_retried_then_everything_is_there(
    scaled: Scaled, operation: str
) -> None:
    before, serving = scaled.described(), scaled.serving
    change = await scaled.planned()
    if operation != "DeregisterScalableTarget":
        await scaled.off(change)
    # botocore tries three times by itself: each answer of this call is lost.
    service = "application-autoscaling"
    serving.sandbox.plant_fault(service, operation, "lost-answer", account=serving.account, count=3)
    act = scaled.off if operation == "DeregisterScalableTarget" else scaled.back
    with pytest.raises(TransientError):
        await act(change)
    await act(change)
    if operation == "DeregisterScalableTarget":
        assert scaled.described() == {"rows": [], "tags": []}
        await scaled.back(change)
    assert scaled.described() == before


async def test_given_a_worker_killed_after_it_noted_what_it_takes_off_when_it_is_retried_then_it_is_taken_off(
    scaled: Scaled,
) -> None:
    serving, before = scaled.serving, scaled.described()
    change = await scaled.planned()
    serving.sandbox.plant_fault("sagemaker", "AddTags", "lost-answer", account=serving.account, count=3)
    with pytest.raises(TransientError):
        await scaled.off(change)
    assert scaled.described() == before
    await scaled.off(change)
    assert scaled.described() == {"rows": [], "tags": []}


async def test_given_scaling_that_changed_since_preflight_when_it_is_to_be_taken_off_then_it_stays(scaled: Scaled) -> None:
    change = await scaled.planned()
    scaled.client.register_scalable_target(**OF, MaxCapacity=20)
    before = scaled.described()
    with pytest.raises(NeedsPersonError, match="its automatic scaling is not as preflight found it"):
        await scaled.off(change)
    assert scaled.described() == before


async def test_given_scaling_that_somebody_changed_after_the_rollout_when_it_is_undone_then_a_person_is_asked(
    scaled: Scaled,
) -> None:
    change = await scaled.rolled_out()
    scaled.client.register_scalable_target(**OF, MaxCapacity=20)
    before = scaled.described()
    with pytest.raises(NeedsPersonError, match="its automatic scaling is not as preflight found it"):
        await scaled.way_back(change)
    assert await scaled.back(change) == "kept: somebody has set up its automatic scaling otherwise since"
    assert scaled.described() == before


async def test_given_scaling_that_was_never_there_when_it_is_to_be_put_back_then_it_is_not(scaled: Scaled) -> None:
    change = await scaled.planned()
    await scaled.off(change)
    wide = change.scaling.model_copy(update={"target": {**change.scaling.target, "MinCapacity": 9}})
    assert digest_of(wide) != digest_of(change.scaling)
    assert await scaled.back(change.model_copy(update={"scaling": wide})) == "kept: its automatic scaling was not taken off"
    assert scaled.described() == {"rows": [], "tags": []}


async def test_given_the_next_rollout_when_it_begins_then_the_last_ones_note_is_not_carried_over(scaled: Scaled) -> None:
    await scaled.rolled_out()
    found = await scaled.serving.preflight(scaled.serving.package("next"), Strategy(), instance_type="ml.c5.xlarge")
    await scaled.serving.run(scaled.serving.activities.prepare_endpoint, found.plan)
    assert found.scaling
    assert (
        await scaled.back(ChangeScaling(plan=found.plan, scaling=found.scaling))
        == "kept: its automatic scaling was not taken off"
    )


async def test_given_step_policies_when_preflight_looks_then_it_says_that_their_alarms_would_lose_them(scaled: Scaled) -> None:
    steps = {"AdjustmentType": "ChangeInCapacity", "StepAdjustments": [{"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": 1}]}
    scaled.client.put_scaling_policy(**OF, PolicyName="steps", PolicyType="StepScaling", StepScalingPolicyConfiguration=steps)
    with pytest.raises(NeedsPersonError, match="it has the step scaling policies steps, which people's alarms name"):
        await scaled.planned()
    found = await scaled.serving.preflight(scaled.serving.package("same"), Strategy(), instance_type=None)
    assert found.scaling is None


async def test_given_instances_that_are_never_scaled_when_preflight_looks_then_it_says_so(scaled: Scaled) -> None:
    with pytest.raises(NeedsPersonError, match=r"SageMaker scales no ml\.t2\.large automatically"):
        await scaled.planned("ml.t2.large")


async def test_given_more_scaling_than_is_recorded_when_preflight_looks_then_it_says_so(scaled: Scaled) -> None:
    for number in range(40):
        scaled.schedule(f"day-{number}", "cron(0 22 * * ? *)")
    with pytest.raises(NeedsPersonError, match="take more than 8192 bytes"):
        await scaled.planned()


@pytest.mark.parametrize(
    ("action", "over"),
    [
        ({"Schedule": "at(2026-03-01T08:00:00)", "Timezone": "Europe/Berlin"}, True),
        ({"Schedule": "at(2026-03-01T09:00:00)", "Timezone": "Europe/Berlin"}, False),
        ({"Schedule": "at(2026-03-01T07:00:00)"}, True),
        ({"Schedule": "at(soon)"}, False),
        ({"Schedule": "rate(1 day)", "EndTime": "2026-03-01T07:00:00+00:00"}, True),
        ({"Schedule": "rate(1 day)"}, False),
    ],
)
def test_given_a_scheduled_action_when_its_time_is_over_then_it_is_known(action: dict[str, Any], over: bool) -> None:
    assert is_over(action, datetime(2026, 3, 1, 7, 30, tzinfo=UTC)) is over


def test_given_an_endpoint_that_is_scaled_at_this_moment_when_it_is_looked_at_then_that_is_awaited() -> None:
    scaling: Any = {"EndpointStatus": "Updating", "EndpointConfigName": "by-hand"}
    with pytest.raises(TransientError, match="as its number of instances or its weights change"):
        require_not_scaled_now("looking", scaling)
    others: list[Any] = [{"PendingDeploymentSummary": {"EndpointConfigName": "other"}}, {"EndpointStatus": "InService"}]
    for other in others:
        require_not_scaled_now("looking", scaling | other)


async def test_given_an_endpoint_that_is_scaled_when_it_is_to_be_updated_then_it_gets_the_new_number_of_instances(
    scaled: Scaled,
) -> None:
    desired = [{"VariantName": "main", "DesiredInstanceCount": 6}]
    found = await scaled.serving.preflight(scaled.serving.package("new"), Strategy(), instance_type=None)
    await scaled.serving.run(scaled.serving.activities.prepare_endpoint, found.plan)
    scaled.by_hand.sagemaker.update_endpoint_weights_and_capacities(EndpointName=ENDPOINT, DesiredWeightsAndCapacities=desired)
    with contextlib.suppress(TransientError):  # it may be over already
        await scaled.update(found.plan)
    scaled.by_hand.wait()
    await scaled.update(found.plan)
    assert scaled.instances() == 6
