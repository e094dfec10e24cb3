"""Puts the rooms together and serves them on one port."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from wsgiref.types import WSGIApplication

from slipway_sandbox.autoscaling import AutoscalingQuotas, AutoscalingRoom, ScalableTargets, ScheduleRoom
from slipway_sandbox.containers.runtime import ContainerRuntime
from slipway_sandbox.control.api import Control
from slipway_sandbox.control.page import Guard
from slipway_sandbox.core.clock import Clock
from slipway_sandbox.core.world import Room, World
from slipway_sandbox.ecr.image_room import ImageRoom
from slipway_sandbox.ecr.lifecycle_room import LifecycleRoom
from slipway_sandbox.ecr.registry import RegistryApp
from slipway_sandbox.ecr.scan_room import ScanRoom
from slipway_sandbox.ecr.service import EcrRoom
from slipway_sandbox.ecs import Ecs
from slipway_sandbox.eventbridge.delivery import Delivery
from slipway_sandbox.eventbridge.room import EventsRoom
from slipway_sandbox.gateway import Gateway
from slipway_sandbox.http.server import Server
from slipway_sandbox.iam.guard import IamGuard
from slipway_sandbox.iam.principals import Principals
from slipway_sandbox.iam.resources import ResourcePolicies
from slipway_sandbox.iam.room import IamRoom
from slipway_sandbox.iam.sts import StsRoom
from slipway_sandbox.moto.backend import MotoBackend
from slipway_sandbox.moto.cloudwatch import CloudWatch
from slipway_sandbox.roles import credentials
from slipway_sandbox.sagemaker.groups import GroupRoom
from slipway_sandbox.sagemaker.hosting import Hosting
from slipway_sandbox.sagemaker.jobs import Jobs
from slipway_sandbox.sagemaker.pipelines import Pipelines
from slipway_sandbox.sagemaker.quotas import SageMakerQuotas
from slipway_sandbox.sagemaker.registry import ModelRegistryRoom
from slipway_sandbox.sagemaker.tags import TagRoom

log = logging.getLogger(__name__)

LOCK_GRACE = 5.0
"""Seconds to wait at the end for a room that is busy."""


@dataclass(frozen=True)
class Sandbox:
    """A sandbox without the port that it serves on."""

    rooms: Sequence[Room]
    moto: MotoBackend
    gateway: Gateway

    def load(self) -> None:
        """Import and read what the start does not wait for. A call that needs it sooner waits for it."""
        _ = self.gateway.targets
        self.moto.load()


def build(world: World) -> Sandbox:
    """All rooms, and the application in front of them."""
    moto = MotoBackend()
    ecr = EcrRoom(world)
    containers = ContainerRuntime(world.data, ecr)
    roles = credentials.CredentialsEndpoint(world)
    ecs = Ecs(world, containers, roles)
    tags = TagRoom(world)
    quotas = SageMakerQuotas(world)
    groups = GroupRoom(world, tags, quotas)
    registry = ModelRegistryRoom(world, ecr, groups, tags, quotas)
    targets = ScalableTargets()
    scaling = AutoscalingQuotas(world)
    hosting = Hosting(world, containers, roles, registry, tags, quotas, targets, CloudWatch(moto.lock))
    moto.on_alarm_call = hosting.alarms.note
    moto.percentile = hosting.alarms.percentile
    rooms: list[Room] = [
        ecr,
        ecr.quotas,
        ImageRoom(world, ecr.store),
        LifecycleRoom(world, ecr.store),
        ScanRoom(world, ecr.store),
        *ecs.rooms,
        tags,
        quotas,
        groups,
        registry,
        *Pipelines(world, tags, quotas).rooms,
        *hosting.rooms,
        AutoscalingRoom(world, targets, hosting.variants, scaling),
        ScheduleRoom(world, targets, scaling),
        scaling,
        *Jobs(world, containers, roles, hosting.models, tags, quotas).rooms,
    ]
    principals = Principals(world.strict)
    rooms += [IamRoom(world), StsRoom(world, principals), EventsRoom(world, Delivery(world.clock, moto))]
    paths: dict[str, WSGIApplication] = {
        "/v2/": RegistryApp(world, ecr),
        "/_ecs/": ecs.metadata,
        credentials.PREFIX: roles,
    }
    gateway = Gateway(world, rooms, moto, principals, paths)
    world.guard = IamGuard(principals, world.clock, ResourcePolicies(rooms, gateway.ask), gateway.ask)
    # The first prefix that matches is taken, so the shorter one of the control page comes last.
    paths |= hosting.paths(gateway.caller_of)
    paths |= {"/_sandbox/": Control(world, rooms, moto)}
    # There is no login: browsers are refused, unless a person has the page itself open.
    paths |= {prefix: Guard(paths[prefix], world.endpoint) for prefix in paths if prefix.startswith("/_sandbox/")}
    return Sandbox(rooms, moto, gateway)


class SandboxServer(Server):
    """The server with its rooms.

    Args:
        host: The address to bind.
        port: The port; 0 picks a free one.
        data: The folder for blobs, image file systems and job folders.
        time_scale: Simulated seconds in a real one.

    Raises:
        OSError: The port is taken, or the folder cannot be written.
    """

    def __init__(self, host: str, port: int, data: Path, time_scale: float) -> None:
        clock = Clock(time_scale)
        data.mkdir(parents=True, exist_ok=True)
        super().__init__(host, port)
        self.endpoint = f"http://{host}:{self.server_port}"
        world = World(data=data.resolve(), clock=clock, endpoint=self.endpoint)
        self._sandbox = build(world)
        self.wsgi_app = self._sandbox.gateway

    def serve(self) -> None:
        """Serve until `stop`. What the first answer need not wait for is imported only now."""
        threading.Thread(target=self._sandbox.load, name="late-imports", daemon=True).start()
        super().serve()

    def close_rooms(self) -> None:
        """End everything that runs: containers, jobs, endpoints."""
        for room in self._sandbox.rooms:
            if not room.lock.acquire(timeout=LOCK_GRACE):
                log.warning("%s is busy; ending it anyway", room.service)
                room.reset(None)
                continue
            try:
                room.reset(None)
            finally:
                room.lock.release()
