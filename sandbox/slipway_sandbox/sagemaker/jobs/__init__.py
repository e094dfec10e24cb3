"""Training and processing jobs: containers that read from S3, run to their end, and write to S3."""

from __future__ import annotations

from slipway_sandbox.containers import ContainerRuntime
from slipway_sandbox.sagemaker.jobs.processing import ProcessingRoom
from slipway_sandbox.sagemaker.jobs.room import Workshop
from slipway_sandbox.sagemaker.jobs.training import TrainingRoom
from slipway_sandbox.sagemaker.tags import TagRoom
from slipway_sandbox.world import Room, World

__all__ = ["Jobs"]


class Jobs:
    """The rooms of SageMaker's jobs.

    Args:
        world: What all rooms share.
        containers: Runs the jobs' containers.
        tags: The tags of all SageMaker resources.
    """

    def __init__(self, world: World, containers: ContainerRuntime, tags: TagRoom) -> None:
        workshop = Workshop(world, containers)
        self.rooms: list[Room] = [TrainingRoom(world, workshop, tags), ProcessingRoom(world, workshop, tags)]
