"""Puts ECS's rooms together."""

from __future__ import annotations

from slipway_sandbox.containers.runtime import ContainerRuntime
from slipway_sandbox.core.world import Room, World
from slipway_sandbox.ecs.capacity import CapacityProviderRoom
from slipway_sandbox.ecs.clusters import ClusterRoom
from slipway_sandbox.ecs.launch import Platform
from slipway_sandbox.ecs.metadata import Metadata
from slipway_sandbox.ecs.store import Store
from slipway_sandbox.ecs.tagging import TagRoom
from slipway_sandbox.ecs.task_definitions import TaskDefinitionRoom
from slipway_sandbox.ecs.tasks import TaskRoom
from slipway_sandbox.roles.credentials import CredentialsEndpoint


class Ecs:
    """The service: its rooms for the gateway, and the application for what its containers ask (`/_ecs/`)."""

    def __init__(self, world: World, runtime: ContainerRuntime, credentials: CredentialsEndpoint) -> None:
        store = Store(world.clock)
        self.metadata = Metadata(world.clock)
        platform = Platform(world, runtime, self.metadata, credentials)
        self.rooms: list[Room] = [
            TaskRoom(world, store, platform),
            ClusterRoom(world, store),
            TaskDefinitionRoom(world, store),
            CapacityProviderRoom(world, store),
            TagRoom(world, store),
        ]
