"""Variants that follow their traffic, minute by minute."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from slipway_sandbox.autoscaling.targets import VARIANT, Policy, ScalableTargets, Target
from slipway_sandbox.autoscaling.tracking import Tracker
from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.world import World

from .conftest import CALLER, HandClock, eventually

MINUTE = 60.0
TRACKED = {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}


class Traffic:
    """A variant whose invocations for each instance are as said."""

    def __init__(self, instances: int) -> None:
        self.count = instances
        self.metric: float | None = 0.0
        self.looks = 0
        self.busy = False

    def instances(self, caller: Caller, endpoint: str, variant: str) -> int:  # noqa: ARG002  (scaling's own signature)
        return self.count

    def invocations(self, caller: Caller, endpoint: str, variant: str, seconds: float) -> float | None:  # noqa: ARG002
        self.looks += 1
        return self.metric

    def scale(self, caller: Caller, endpoint: str, variant: str, instances: int) -> bool:  # noqa: ARG002
        if not self.busy:
            self.count = instances
        return not self.busy


class Followed:
    """A policy that is followed, with a target of ten invocations an instance and up to eight instances."""

    def __init__(self, folder: Path, instances: int, **configuration: Any) -> None:
        self.clock = HandClock()
        self.traffic = Traffic(instances)
        targets, now = ScalableTargets(), datetime.now(UTC)
        key = (CALLER.account, CALLER.region, "sagemaker", "endpoint/ep/variant/AllTraffic", VARIANT)
        targets.put(key, Target(*key[2:], 1, 8, "role", "arn", now))
        rules = {"TargetValue": 10.0, "PredefinedMetricSpecification": TRACKED, **configuration}
        targets.put_policy((*key, "track"), Policy("track", "arn", "TargetTrackingScaling", now, rules))
        self.tracker = Tracker(World(data=folder, clock=self.clock), targets, self.traffic)
        self.tracker.start()

    def pass_minutes(self, number: int, metric: float | None) -> int:
        """Let minutes pass with that much traffic; returns how many instances there are then."""
        self.traffic.metric = metric
        for _ in range(number):
            looks = self.traffic.looks
            self.clock.pass_wait(MINUTE)
            eventually(lambda looks=looks: self.traffic.looks > looks, "a look at the traffic")
        # The next look is planned once this one is through.
        eventually(lambda: MINUTE in self.clock.waits(), "the next minute")
        return self.traffic.count


def test_given_much_traffic_when_three_minutes_pass_then_there_are_as_many_instances_as_it_needs(tmp_path: Path) -> None:
    followed = Followed(tmp_path, 2)
    assert followed.pass_minutes(2, 25.0) == 2
    assert followed.pass_minutes(1, 25.0) == 5


def test_given_little_traffic_when_fifteen_minutes_pass_then_instances_go_and_the_minimum_stays(tmp_path: Path) -> None:
    followed = Followed(tmp_path, 4)
    assert followed.pass_minutes(14, 2.0) == 4
    assert followed.pass_minutes(1, 2.0) == 1
    (_, _, activity) = followed.tracker.activities[-1]
    assert activity.description == "Setting desired instance count to 1."


def test_given_much_traffic_when_the_maximum_is_reached_then_it_stays(tmp_path: Path) -> None:
    assert Followed(tmp_path, 2).pass_minutes(3, 1000.0) == 8


@pytest.mark.parametrize("metric", [None, 9.5])
def test_given_no_data_or_nearly_enough_when_fifteen_minutes_pass_then_nothing_goes(tmp_path: Path, metric: float | None) -> None:
    assert Followed(tmp_path, 4).pass_minutes(15, metric) == 4


def test_given_scaling_in_is_disabled_when_fifteen_minutes_pass_then_nothing_goes(tmp_path: Path) -> None:
    assert Followed(tmp_path, 4, DisableScaleIn=True).pass_minutes(15, 2.0) == 4


def test_given_a_cooldown_when_the_traffic_stays_then_the_next_step_waits_for_it(tmp_path: Path) -> None:
    followed = Followed(tmp_path, 1, ScaleOutCooldown=240)
    assert followed.pass_minutes(3, 20.0) == 2
    assert followed.pass_minutes(3, 20.0) == 2
    assert followed.pass_minutes(1, 20.0) == 4


def test_given_a_busy_endpoint_when_it_is_to_be_scaled_then_it_is_tried_again(tmp_path: Path) -> None:
    followed = Followed(tmp_path, 2)
    followed.traffic.busy = True
    assert followed.pass_minutes(3, 20.0) == 2
    followed.traffic.busy = False
    assert followed.pass_minutes(1, 20.0) == 4
