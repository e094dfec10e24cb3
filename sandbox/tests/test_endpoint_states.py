"""The endpoints' states, by a clock that is wound by hand and fleets that come up at once."""

from __future__ import annotations

import heapq
import itertools
import pickle
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from slipway_sandbox.autoscaling import ScalableTargets
from slipway_sandbox.autoscaling.targets import Target
from slipway_sandbox.calls import Caller
from slipway_sandbox.clock import Clock, Timer
from slipway_sandbox.errors import AwsError
from slipway_sandbox.events import Event
from slipway_sandbox.sagemaker.hosting.alarms import AlarmWatch
from slipway_sandbox.sagemaker.hosting.configs import EndpointConfig, EndpointConfigRoom
from slipway_sandbox.sagemaker.hosting.dials import Dial, DialRoom
from slipway_sandbox.sagemaker.hosting.endpoints import EndpointRoom
from slipway_sandbox.sagemaker.hosting.fleet import Fleet
from slipway_sandbox.sagemaker.hosting.model_containers import NoPackages
from slipway_sandbox.sagemaker.hosting.models import ModelRoom
from slipway_sandbox.sagemaker.hosting.rollout import FateKind, Workshop
from slipway_sandbox.sagemaker.hosting.servers import DeployedImage, FleetError
from slipway_sandbox.sagemaker.tags import TagRoom
from slipway_sandbox.world import World

CALLER = Caller("111111111111", "us-east-1", "111111111111")
ROLE = "arn:aws:iam::111111111111:role/serving"


class HandClock(Clock):
    """Time that passes only when it is told to."""

    def __init__(self) -> None:
        self._scale = 1.0
        self._now = 0.0
        self._timers: list[tuple[float, int, Timer]] = []
        self._numbers = itertools.count()
        self._guard = threading.Lock()

    def seconds(self) -> float:
        return self._now

    def now(self) -> datetime:
        return datetime.now(UTC)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        timer = Timer(callback)
        with self._guard:
            heapq.heappush(self._timers, (self._now + seconds, next(self._numbers), timer))
        if seconds <= 0:
            timer.fire()
        return timer

    def waits(self) -> list[float]:
        """Seconds until each call that is due."""
        with self._guard:
            return sorted(due - self._now for due, _, timer in self._timers if not timer._cancelled)  # pyright: ignore[reportPrivateUsage]

    def pass_wait(self, seconds: float) -> None:
        """Let a wait of so many seconds pass, once somebody waits that long."""
        eventually(lambda: seconds in self.waits(), f"a wait of {seconds:g} s; there are {self.waits()}")
        with self._guard:
            self._now += seconds
            due = [heapq.heappop(self._timers)[2] for _ in [entry for entry in self._timers if entry[0] <= self._now]]
        for timer in due:
            timer.fire()


class QuickServer:
    """A server that only counts whether it was stopped."""

    direct = False

    def __init__(self) -> None:
        self.images = [DeployedImage("repository:tag", "repository@sha256:1", datetime.now(UTC))]
        self.limit: int | None = None
        self.stopped = threading.Event()

    def set_limit(self, limit: int | None) -> None:
        self.limit = limit

    def urls(self, hostname: str | None) -> list[tuple[str, str]]:  # noqa: ARG002  (hosting's own signature)
        return [("primary", "http://127.0.0.1:1")]

    def enter(self) -> bool:
        """Room for any number."""
        return True

    def leave(self) -> None:
        """Nothing to count."""

    def stop(self) -> None:
        self.stopped.set()


class QuickFleets:
    """Fleets that come up at once, unless their configuration is a broken one."""

    def __init__(self) -> None:
        self.servers: dict[str, QuickServer] = {}

    def start(self, caller: Caller, endpoint: str, config: EndpointConfig, halted: threading.Event) -> Fleet:  # noqa: ARG002  (hosting's own signature)
        if config.name.startswith("broken"):
            raise FleetError("The primary container for production variant AllTraffic did not pass the ping health check.")
        self.servers[config.name] = QuickServer()
        shadows = {variant["VariantName"]: QuickServer() for variant in config.shadows}
        return Fleet({variant["VariantName"]: self.servers[config.name] for variant in config.variants}, shadows)


class HandAlarms(AlarmWatch):
    """Alarms that are set by hand."""

    def __init__(self) -> None:
        self.in_alarm: set[str] = set()

    def watch(self, caller: Caller) -> None:
        """Nothing to look at."""

    def forget(self, account: str | None) -> None:
        """Nothing was looked at."""

    def tripped(self, caller: Caller, names: Sequence[str]) -> list[str]:  # noqa: ARG002  (hosting's own signature)
        return [name for name in names if name in self.in_alarm]


def eventually(condition: Callable[[], bool], what: str, timeout: float = 5) -> None:
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"timeout after {timeout:g} s waiting for {what}")
        pause.wait(0.005)


class Stage:
    """The rooms of hosting, and shorthands for what a client does."""

    def __init__(self, folder: Path) -> None:
        self.clock = HandClock()
        self.world = World(data=folder, clock=self.clock)
        self.fleets = QuickFleets()
        self.alarms = HandAlarms()
        self.dial_room = DialRoom(self.world)
        self.dials = self.dial_room.fates
        self.targets = ScalableTargets()
        self.told: list[Event] = []
        self.world.events.subscribe(self.told.append)
        tags = TagRoom(self.world)
        self.models = ModelRoom(self.world, NoPackages(), tags)
        self.configs = EndpointConfigRoom(self.world, self.models, tags)
        shop = Workshop(self.clock, self.world.lock("sagemaker"), self.fleets, self.alarms, self.world.events)
        self.endpoints = EndpointRoom(self.world, self.configs, shop, self.dial_room, tags, self.targets)
        image = {"Image": "111111111111.dkr.ecr.us-east-1.amazonaws.com/model:1"}
        self.models.create_model(CALLER, {"ModelName": "model", "PrimaryContainer": image, "ExecutionRoleArn": ROLE})
        for name in ("one", "two", "broken-three"):
            self.config(name)

    def config(self, name: str, *variants: str, count: int = 4) -> None:
        rows = [
            {"VariantName": variant, "ModelName": "model", "InitialInstanceCount": count, "InstanceType": "ml.m5.large"}
            for variant in variants or ("AllTraffic",)
        ]
        self.configs.create_endpoint_config(CALLER, {"EndpointConfigName": name, "ProductionVariants": rows})

    def create(self, config: str = "one") -> None:
        self.endpoints.create_endpoint(CALLER, {"EndpointName": "ep", "EndpointConfigName": config})

    def in_service(self, config: str = "one") -> None:
        self.create(config)
        self.clock.pass_wait(10)
        self.reaches("InService")

    def update(self, config: str = "two", **more: Any) -> None:
        self.endpoints.update_endpoint(CALLER, {"EndpointName": "ep", "EndpointConfigName": config, **more})

    def canary(self, config: str = "two") -> None:
        routing = {
            "Type": "CANARY",
            "WaitIntervalInSeconds": 600,
            "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 25},
        }
        policy = {"TrafficRoutingConfiguration": routing, "TerminationWaitInSeconds": 1800}
        alarms = {"Alarms": [{"AlarmName": "errors"}]}
        self.update(config, DeploymentConfig={"BlueGreenUpdatePolicy": policy, "AutoRollbackConfiguration": alarms})

    def described(self) -> dict[str, Any]:
        found = self.endpoints.describe_endpoint(CALLER, {"EndpointName": "ep"})
        return {name: value for name, value in found.items() if value is not None}

    def reaches(self, status: str) -> dict[str, Any]:
        eventually(lambda: self.described()["EndpointStatus"] == status, f"status {status}; it is {self.described()}")
        return self.described()

    def reaches_stage(self, stage: str, percent: float) -> dict[str, Any]:
        def there() -> bool:
            pending = self.described().get("PendingDeploymentSummary")
            if pending is None:
                return False
            variant: dict[str, Any] = pending["ProductionVariants"][0]
            return variant["VariantStatus"][0]["Status"] == stage and variant["CurrentWeight"] == percent / 100

        eventually(there, f"{stage} at {percent:g} %; it is {self.described()}")
        return self.described()

    def refused(self, call: Callable[..., Any], *arguments: Any, **more: Any) -> str:
        with pytest.raises(AwsError) as refusal:
            call(*arguments, **more)
        assert refusal.value.code == "ValidationException"
        return refusal.value.message


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_given_a_configuration_when_an_endpoint_is_created_then_it_serves_after_its_instances_are_there(stage: Stage) -> None:
    stage.create()
    assert stage.described()["EndpointStatus"] == "Creating"
    stage.clock.pass_wait(10)
    served = stage.reaches("InService")
    assert served["EndpointConfigName"] == "one"
    variant = served["ProductionVariants"][0]
    assert (variant["CurrentInstanceCount"], variant["CurrentWeight"]) == (4, 1.0)
    assert variant["DeployedImages"][0]["ResolvedImage"] == "repository@sha256:1"


def test_given_a_container_that_never_gets_healthy_when_an_endpoint_is_created_then_it_failed(stage: Stage) -> None:
    stage.create("broken-three")
    stage.clock.pass_wait(10)
    assert "did not pass the ping health check" in stage.reaches("Failed")["FailureReason"]


def test_given_a_failed_endpoint_when_it_is_updated_then_it_is_refused(stage: Stage) -> None:
    stage.create("broken-three")
    stage.clock.pass_wait(10)
    stage.reaches("Failed")
    assert "can only be deleted" in stage.refused(stage.update)


def test_given_an_update_all_at_once_when_the_fleet_is_up_then_the_new_configuration_is_served(stage: Stage) -> None:
    stage.in_service()
    stage.update()
    assert stage.described()["PendingDeploymentSummary"]["EndpointConfigName"] == "two"
    stage.clock.pass_wait(10)
    served = stage.reaches("InService")
    assert served["EndpointConfigName"] == "two"
    assert "PendingDeploymentSummary" not in served
    eventually(stage.fleets.servers["one"].stopped.is_set, "the old fleet's end")


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


def test_given_an_unhealthy_new_fleet_when_an_endpoint_is_updated_then_it_is_rolled_back(stage: Stage) -> None:
    stage.in_service()
    stage.update("broken-three")
    stage.clock.pass_wait(10)
    stage.clock.pass_wait(5)
    served = stage.reaches("InService")
    assert (served["EndpointConfigName"], "ping health check" in served["FailureReason"]) == ("one", True)


def test_given_a_dial_for_a_silent_rollback_when_an_endpoint_is_updated_then_no_reason_is_told(stage: Stage) -> None:
    stage.in_service()
    stage.dials.set(Dial(endpoint="ep", kind=FateKind.rollback))
    stage.update()
    stage.clock.pass_wait(10)
    stage.clock.pass_wait(5)
    served = stage.reaches("InService")
    assert served["EndpointConfigName"] == "one"
    assert "FailureReason" not in served


def test_given_a_dial_for_capacity_when_an_endpoint_is_updated_then_the_reason_is_awss(stage: Stage) -> None:
    stage.in_service()
    stage.dials.set(Dial(endpoint="ep", kind=FateKind.capacity))
    stage.update()
    stage.clock.pass_wait(10)
    stage.clock.pass_wait(5)
    assert "InsufficientInstanceCapacity" in stage.reaches("InService")["FailureReason"]


def test_given_a_dial_for_a_failed_rollback_when_an_endpoint_is_updated_then_a_person_is_needed(stage: Stage) -> None:
    stage.in_service()
    stage.dials.set(Dial(endpoint="ep", kind=FateKind.rollback_failed, reason="no way back"))
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


def test_given_an_update_under_way_when_another_comes_then_it_is_refused_in_awss_words(stage: Stage) -> None:
    stage.in_service()
    stage.update()
    arn = stage.described()["EndpointArn"]
    assert stage.refused(stage.update) == f'Cannot update in-progress endpoint "{arn}".'


def test_given_an_update_under_way_when_the_endpoint_is_deleted_then_it_is_refused(stage: Stage) -> None:
    stage.in_service()
    stage.update()
    assert "Cannot update in-progress endpoint" in stage.refused(stage.endpoints.delete_endpoint, CALLER, {"EndpointName": "ep"})


def test_given_a_deleted_served_configuration_when_the_endpoint_is_updated_then_it_is_refused(stage: Stage) -> None:
    stage.in_service()
    stage.configs.delete_endpoint_config(CALLER, {"EndpointConfigName": "one"})
    assert "Could not find endpoint configuration" in stage.refused(stage.update)


def test_given_an_existing_endpoint_when_it_is_created_again_then_it_is_refused_in_awss_words(stage: Stage) -> None:
    stage.in_service()
    assert stage.refused(stage.create) == (
        'Cannot create already existing endpoint "arn:aws:sagemaker:us-east-1:111111111111:endpoint/ep".'
    )


def test_given_an_endpoint_when_it_is_deleted_then_its_fleet_ends_and_it_is_gone(stage: Stage) -> None:
    stage.in_service()
    stage.endpoints.delete_endpoint(CALLER, {"EndpointName": "ep"})
    assert stage.described()["EndpointStatus"] == "Deleting"
    stage.clock.pass_wait(5)
    assert "Could not find endpoint" in stage.refused(stage.described)
    eventually(stage.fleets.servers["one"].stopped.is_set, "the fleet's end")


def test_given_retained_properties_when_an_endpoint_is_updated_then_live_counts_and_weights_stay(stage: Stage) -> None:
    stage.in_service()
    wish = {"VariantName": "AllTraffic", "DesiredInstanceCount": 9, "DesiredWeight": 0.5}
    stage.endpoints.update_weights(CALLER, {"EndpointName": "ep", "DesiredWeightsAndCapacities": [wish]})
    stage.clock.pass_wait(10)
    stage.reaches("InService")
    stage.update(RetainAllVariantProperties=True, ExcludeRetainedVariantProperties=[{"VariantPropertyType": "DesiredWeight"}])
    stage.clock.pass_wait(10)
    variant = stage.reaches("InService")["ProductionVariants"][0]
    assert (variant["DesiredInstanceCount"], variant["DesiredWeight"]) == (9, 1.0)


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


def test_given_two_variants_when_one_is_shifted_weight_then_the_split_follows(stage: Stage) -> None:
    stage.config("pair", "A", "B")
    stage.in_service("pair")
    wish = {"VariantName": "A", "DesiredWeight": 3}
    stage.endpoints.update_weights(CALLER, {"EndpointName": "ep", "DesiredWeightsAndCapacities": [wish]})
    stage.clock.pass_wait(10)
    stage.reaches("InService")
    endpoint = stage.endpoints.endpoints.get(CALLER, "ep")
    routes = [endpoint.router.take() for _ in range(8)]
    assert sorted(route.variant for route in routes if route) == ["A"] * 6 + ["B"] * 2


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


def test_given_a_quota_when_an_endpoint_would_exceed_it_then_it_is_refused_in_awss_words(stage: Stage) -> None:
    stage.dial_room.set_quota({"instanceType": "ml.m5.large", "instances": 3})
    with pytest.raises(AwsError) as refused:
        stage.create()
    assert refused.value.code == "ResourceLimitExceeded"
    assert refused.value.message.startswith(
        "The account-level service limit 'ml.m5.large for endpoint usage' is 3 Instances, with current utilization of 0 "
        "Instances and a request delta of 4 Instances."
    )


def test_given_a_quota_for_one_fleet_when_an_endpoint_is_updated_then_a_second_one_has_no_room(stage: Stage) -> None:
    stage.dial_room.set_quota({"instanceType": "ml.m5.large", "instances": 7})
    stage.in_service()
    with pytest.raises(AwsError, match="with current utilization of 4 Instances and a request delta of 4 Instances"):
        stage.update()


def register(stage: Stage, variant: str = "AllTraffic") -> None:
    """Let Application Auto Scaling look after a variant."""
    key = (CALLER.account, CALLER.region, "sagemaker", f"endpoint/ep/variant/{variant}", "sagemaker:variant:DesiredInstanceCount")
    stage.targets.put(key, Target(*key[2:], 1, 9, ROLE, "arn", datetime.now(UTC)))


def test_given_a_scaled_variant_when_its_instance_type_would_change_then_the_update_is_refused(stage: Stage) -> None:
    stage.in_service()
    register(stage)
    other = {"VariantName": "AllTraffic", "ModelName": "model", "InitialInstanceCount": 4, "InstanceType": "ml.c5.large"}
    stage.configs.create_endpoint_config(CALLER, {"EndpointConfigName": "larger", "ProductionVariants": [other]})
    assert "registered as scalable targets" in stage.refused(stage.update, "larger")


def test_given_a_scaled_variant_when_only_its_model_changes_then_it_is_updated(stage: Stage) -> None:
    stage.in_service()
    register(stage)
    stage.update()
    assert stage.described()["EndpointStatus"] == "Updating"


def test_given_a_scaled_variant_when_its_endpoint_is_deleted_then_its_target_goes_too(stage: Stage) -> None:
    stage.in_service()
    register(stage)
    stage.endpoints.delete_endpoint(CALLER, {"EndpointName": "ep"})
    assert stage.targets.variants(CALLER, "ep") == set()


def test_given_a_late_configuration_when_an_endpoint_is_created_then_it_is_found_after_a_while_only(stage: Stage) -> None:
    stage.configs.set_consistency({"seconds": 30, "account": CALLER.account})
    stage.config("late")
    shown = stage.configs.describe_endpoint_config(CALLER, {"EndpointConfigName": "late"})
    assert "Could not find endpoint configuration" in stage.refused(stage.create, "late")
    assert shown["EndpointConfigName"] == "late"
    stage.clock.call_later(30, lambda: None)
    stage.clock.pass_wait(30)
    stage.create("late")
    assert stage.described()["EndpointStatus"] == "Creating"


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


def restored(stage: Stage) -> None:
    """What a restart makes of the endpoints: saved, read, taken up."""
    rows = pickle.loads(pickle.dumps(stage.endpoints.endpoints.rows))  # noqa: S301  (made here)
    with stage.endpoints.lock:
        stage.endpoints.reset(None)
        stage.endpoints.endpoints.rows.update(rows)
        stage.endpoints.take_up(None)


def test_given_an_endpoint_in_service_when_the_sandbox_starts_anew_then_it_serves_again(stage: Stage) -> None:
    stage.in_service()
    old = stage.fleets.servers["one"]
    restored(stage)
    assert stage.described()["EndpointStatus"] == "InService"
    eventually(lambda: stage.fleets.servers["one"] is not old, "a new fleet")
    endpoint = stage.endpoints.endpoints.get(CALLER, "ep")
    eventually(endpoint.ready.is_set, "a fleet that is ready")
    route = endpoint.router.take()
    assert route is not None
    assert route.server is stage.fleets.servers["one"]


def test_given_an_update_under_way_when_the_sandbox_starts_anew_then_it_is_rolled_back(stage: Stage) -> None:
    stage.in_service()
    stage.canary()
    stage.clock.pass_wait(10)
    stage.reaches_stage("Baking", 25)
    restored(stage)
    served = stage.reaches("InService")
    assert (served["EndpointConfigName"], "rolled back" in served["FailureReason"]) == ("one", True)
    assert "PendingDeploymentSummary" not in served


def test_given_a_creation_under_way_when_the_sandbox_starts_anew_then_it_goes_on(stage: Stage) -> None:
    stage.create()
    restored(stage)
    stage.clock.pass_wait(10)
    stage.reaches("InService")


def test_given_a_deletion_under_way_when_the_sandbox_starts_anew_then_it_ends(stage: Stage) -> None:
    stage.in_service()
    stage.endpoints.delete_endpoint(CALLER, {"EndpointName": "ep"})
    restored(stage)
    stage.clock.pass_wait(5)
    assert "Could not find endpoint" in stage.refused(stage.described)


def shadowed(stage: Stage, shadow_weight: float) -> None:
    """A configuration with a shadow variant, in service."""
    instances = {"ModelName": "model", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    config = {
        "EndpointConfigName": "shadowed",
        "ProductionVariants": [{"VariantName": "Main", **instances}],
        "ShadowProductionVariants": [{"VariantName": "Shadow", "InitialVariantWeight": shadow_weight, **instances}],
    }
    stage.configs.create_endpoint_config(CALLER, config)
    stage.in_service("shadowed")


def test_given_a_shadow_of_half_the_weight_when_requests_come_then_it_gets_every_second_one(stage: Stage) -> None:
    shadowed(stage, 0.5)
    endpoint = stage.endpoints.endpoints.get(CALLER, "ep")
    routes = [endpoint.router.take() for _ in range(10)]
    assert {route.variant for route in routes if route} == {"Main"}
    assert sum(route.shadow.sampler.take() for route in routes if route and route.shadow) == 5


def test_given_a_shadow_variant_when_the_endpoint_is_described_then_it_is_shown_beside_the_production_variant(
    stage: Stage,
) -> None:
    shadowed(stage, 0.5)
    (shown,) = stage.described()["ShadowProductionVariants"]
    assert (shown["VariantName"], shown["CurrentWeight"], shown["CurrentInstanceCount"]) == ("Shadow", 0.5, 1)


def test_given_a_data_capture_when_an_update_retains_the_variants_properties_then_it_stays(stage: Stage) -> None:
    capture = {"InitialSamplingPercentage": 50, "DestinationS3Uri": "s3://bucket/x", "CaptureOptions": [{"CaptureMode": "Input"}]}
    variant = {"VariantName": "AllTraffic", "ModelName": "model", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    stage.configs.create_endpoint_config(
        CALLER, {"EndpointConfigName": "captured", "ProductionVariants": [variant], "DataCaptureConfig": capture}
    )
    stage.in_service("captured")
    stage.update(RetainAllVariantProperties=True)
    stage.clock.pass_wait(10)
    eventually(lambda: stage.described()["EndpointConfigName"] == "two", "the update's end")
    assert stage.described()["DataCaptureConfig"]["CurrentSamplingPercentage"] == 50
