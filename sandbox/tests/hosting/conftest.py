"""Endpoints on a stage: a clock that is wound by hand and fleets that come up at once; and those whose containers really run."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from slipway_sandbox.autoscaling import ScalableTargets
from slipway_sandbox.core.calls import Caller
from slipway_sandbox.core.clock import Clock, Timer
from slipway_sandbox.core.errors import AwsError, validation_error
from slipway_sandbox.core.events import Event
from slipway_sandbox.core.world import World
from slipway_sandbox.sagemaker.hosting.alarms import AlarmWatch
from slipway_sandbox.sagemaker.hosting.configs import EndpointConfig, EndpointConfigRoom
from slipway_sandbox.sagemaker.hosting.dials import DialRoom
from slipway_sandbox.sagemaker.hosting.endpoints import EndpointRoom
from slipway_sandbox.sagemaker.hosting.fleet import Fleet
from slipway_sandbox.sagemaker.hosting.models import ModelRoom
from slipway_sandbox.sagemaker.hosting.rollout import RolloutContext
from slipway_sandbox.sagemaker.hosting.servers import DeployedImage, FleetError
from slipway_sandbox.sagemaker.quotas import SageMakerQuotas
from slipway_sandbox.sagemaker.tags import TagRoom
from slipway_sandbox.testing import SandboxProcess, fresh_account, wait_until

from sandbox.testkit.hosting import ROLE, Hosted, push_server

CALLER = Caller("111111111111", "us-east-1", "111111111111")
LOOK_EVERY = 0.005
"""Seconds between two looks: nothing on the stage takes longer than a thread takes to be woken."""


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Wait for what another thread is about to do."""
    wait_until(condition, what, every=LOOK_EVERY)


class NoPackages:
    """A model registry that has no packages."""

    def find_package(self, caller: Caller, arn: str) -> dict[str, Any]:  # noqa: ARG002  (the registry's signature)
        raise validation_error(f'Could not find model package "{arn}".')


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


class Stage:
    """The rooms of hosting, and shorthands for what a client does."""

    def __init__(self, folder: Path) -> None:
        self.clock = HandClock()
        self.world = World(data=folder, clock=self.clock)
        self.fleets = QuickFleets()
        self.alarms = HandAlarms()
        self.dial_room = DialRoom(self.world)
        self.dials = self.dial_room.forced
        self.targets = ScalableTargets()
        self.told: list[Event] = []
        self.world.events.subscribe(self.told.append)
        tags = TagRoom(self.world)
        self.quotas = SageMakerQuotas(self.world)
        self.models = ModelRoom(self.world, NoPackages(), tags, self.quotas)
        self.configs = EndpointConfigRoom(self.world, self.models, tags, self.quotas)
        context = RolloutContext(self.clock, self.world.lock("sagemaker"), self.fleets, self.alarms, self.world.events)
        self.endpoints = EndpointRoom(self.world, self.configs, context, self.dial_room, tags, self.quotas, self.targets)
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


@pytest.fixture(scope="session")
def image(sandbox: SandboxProcess) -> str:
    """The server's image in a registry that all tests share."""
    return push_server(sandbox, fresh_account())


@pytest.fixture
def hosted(sandbox: SandboxProcess, account: str, image: str) -> Hosted:
    """An account whose models really serve."""
    return Hosted(sandbox, account, image)
