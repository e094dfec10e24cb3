"""SageMaker Pipelines: definitions, and executions that run real jobs."""

from slipway_sandbox.sagemaker.pipelines.executions import ExecutionRoom
from slipway_sandbox.sagemaker.pipelines.service import PipelineRoom

__all__ = ["ExecutionRoom", "PipelineRoom"]
