"""Training, processing and transform jobs: containers that read from S3, run to their end, and write to S3."""

from __future__ import annotations

from slipway_sandbox.containers.runtime import ContainerRuntime
from slipway_sandbox.core.world import Room, World
from slipway_sandbox.roles.credentials import CredentialsEndpoint
from slipway_sandbox.sagemaker.jobs.dials import JobDialRoom
from slipway_sandbox.sagemaker.jobs.processing import ProcessingRoom
from slipway_sandbox.sagemaker.jobs.room import JobStarter
from slipway_sandbox.sagemaker.jobs.training import TrainingRoom
from slipway_sandbox.sagemaker.jobs.transform import Models, TransformRoom
from slipway_sandbox.sagemaker.quotas import SageMakerQuotas
from slipway_sandbox.sagemaker.tags import TagRoom

__all__ = ["Jobs"]


class Jobs:
    """The rooms of SageMaker's jobs.

    Args:
        world: What all rooms share.
        containers: Runs the jobs' containers.
        roles: Gives them their role's credentials.
        models: What transform jobs serve.
        tags: The tags of all SageMaker resources.
        quotas: How many instances an account may have.
    """

    def __init__(
        self,
        world: World,
        containers: ContainerRuntime,
        roles: CredentialsEndpoint,
        models: Models,
        tags: TagRoom,
        quotas: SageMakerQuotas,
    ) -> None:
        starter = JobStarter(world, containers, roles)
        rooms = [
            TrainingRoom(world, starter, tags, quotas),
            ProcessingRoom(world, starter, tags, quotas),
            TransformRoom(world, starter, models, tags, quotas),
        ]
        self.rooms: list[Room] = [*rooms, JobDialRoom(world, starter, rooms)]
