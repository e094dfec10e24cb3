"""SageMaker Pipelines: definitions, and executions that run real jobs."""

from __future__ import annotations

from collections.abc import Sequence

from slipway_sandbox.core.world import Room, World
from slipway_sandbox.sagemaker.pipelines.callbacks import CallbackRoom
from slipway_sandbox.sagemaker.pipelines.executions import ExecutionRoom
from slipway_sandbox.sagemaker.pipelines.functions import FunctionRoom
from slipway_sandbox.sagemaker.pipelines.service import PipelineRoom
from slipway_sandbox.sagemaker.pipelines.work import Tools
from slipway_sandbox.sagemaker.quotas import SageMakerQuotas
from slipway_sandbox.sagemaker.tags import TagRoom

__all__ = ["Pipelines"]


class Pipelines:
    """All rooms of SageMaker Pipelines.

    Args:
        world: What all rooms share.
        tags: The tags of all SageMaker resources.
        quotas: How many pipelines and executions an account may have.
    """

    def __init__(self, world: World, tags: TagRoom, quotas: SageMakerQuotas) -> None:
        functions = FunctionRoom(world)
        pipelines = PipelineRoom(world, tags, quotas)
        executions = ExecutionRoom(Tools(world, functions), pipelines, quotas)
        self.rooms: Sequence[Room] = (
            pipelines,
            executions,
            CallbackRoom(pipelines, executions),
            functions,
        )
