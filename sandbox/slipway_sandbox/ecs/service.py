"""Puts ECS's rooms together."""

from __future__ import annotations

from slipway_sandbox.containers import ContainerRuntime
from slipway_sandbox.credentials import CredentialsEndpoint
from slipway_sandbox.ecs.clusters import ClusterRoom
from slipway_sandbox.ecs.metadata import Metadata
from slipway_sandbox.ecs.store import Store
from slipway_sandbox.ecs.task_definitions import TaskDefinitionRoom
from slipway_sandbox.ecs.tasks import TaskRoom
from slipway_sandbox.world import Room, World


class Ecs:
    """The service: its rooms for the gateway, and the application for what its containers ask (`/_ecs/`)."""

    def __init__(self, world: World, runtime: ContainerRuntime, credentials: CredentialsEndpoint) -> None:
        store = Store()
        self.metadata = Metadata()
        self.rooms: list[Room] = [
            ClusterRoom(world, store),
            TaskDefinitionRoom(world, store),
            TaskRoom(world, store, runtime, self.metadata, credentials),
        ]
