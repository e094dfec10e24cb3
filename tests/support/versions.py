"""Versioned workers on a real server: which build is current, and which build a workflow runs on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from temporalio.api.workflowservice.v1 import (
    DescribeWorkerDeploymentRequest,
    DescribeWorkflowExecutionRequest,
    SetWorkerDeploymentCurrentVersionRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

PATIENCE = 30.0


async def make_current(client: Client, deployment: str, build_id: str) -> None:
    """Set a deployment's current version, as `temporal worker deployment set-current-version` does, once its worker polls."""
    request = SetWorkerDeploymentCurrentVersionRequest(
        namespace=client.namespace, deployment_name=deployment, build_id=build_id, identity="operator"
    )
    await until_true(lambda: _is_set(client, request), f"{build_id} to poll")
    await until_true(lambda: _is_current(client, deployment, build_id), f"{build_id} to be current")


async def until_true(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not await condition():
        assert time.monotonic() < deadline, f"timeout after {PATIENCE:.0f} s waiting for {what}"
        await asyncio.sleep(0.2)


async def _is_set(client: Client, request: SetWorkerDeploymentCurrentVersionRequest) -> bool:
    try:
        await client.workflow_service.set_worker_deployment_current_version(request)
    except RPCError as error:
        # Until its workers have polled, the server does not know the version or its task queues.
        if error.status not in {RPCStatusCode.NOT_FOUND, RPCStatusCode.FAILED_PRECONDITION}:
            raise
        return False
    return True


async def _is_current(client: Client, deployment: str, build_id: str) -> bool:
    return await current(client, deployment) == build_id


async def current(client: Client, deployment: str) -> str:
    """The build id of a deployment's current version."""
    request = DescribeWorkerDeploymentRequest(namespace=client.namespace, deployment_name=deployment)
    described = await client.workflow_service.describe_worker_deployment(request)
    return described.worker_deployment_info.routing_config.current_deployment_version.build_id


async def build_of(client: Client, workflow_id: str) -> str:
    """The build id of the worker version that completed a workflow's most recent workflow task."""
    request = DescribeWorkflowExecutionRequest(namespace=client.namespace)
    request.execution.workflow_id = workflow_id
    described = await client.workflow_service.describe_workflow_execution(request)
    return described.workflow_execution_info.versioning_info.deployment_version.build_id
