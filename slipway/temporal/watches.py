"""Starts the watches of deployment branches, and asks them to look."""

from __future__ import annotations

from temporalio.client import Client, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError, RPCStatusCode

from slipway.temporal.connect import WATCH
from slipway.watch import WatchedBranch, WatchInput

WatchHandle = WorkflowHandle[object, None]


async def start_watch(client: Client, branch: WatchedBranch, task_queue: str, signal: str | None = None) -> WatchHandle:
    """Start the watch of a branch, or find it.

    Args:
        client: Where.
        branch: The branch.
        task_queue: The workers'.
        signal: A signal that it gets in either case.

    Raises:
        RPCError: Temporal refuses it, or does not answer.
    """
    return await client.start_workflow(
        WATCH,
        WatchInput(**branch.model_dump()),
        id=branch.watch_id,
        task_queue=task_queue,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        static_summary=f"watches {branch.branch}",
        start_signal=signal,
    )


async def ask_to_look(client: Client, branch: WatchedBranch, task_queue: str) -> tuple[WatchHandle, bool]:
    """Ask the watch of a branch to look now; where there is none, start it.

    Returns:
        The watch, and whether it is new. Whoever may only send signals can ask one that runs.

    Raises:
        RPCError: Temporal refuses it, or does not answer.
    """
    handle: WatchHandle = client.get_workflow_handle(branch.watch_id)
    try:
        await handle.signal("look")
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return await start_watch(client, branch, task_queue, "look"), True
    return handle, False
