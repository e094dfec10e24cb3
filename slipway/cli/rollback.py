"""`slipway rollback`."""

from __future__ import annotations

import os
from typing import Annotated

from cyclopts import Parameter
from temporalio.client import Client

from slipway.api import TASK_QUEUE, PromotionRequest, Rollback
from slipway.cli.apps import Branch, Folder, Name, Repository, find_app
from slipway.cli.common import AsJson, By, Length, Reason, checked, person
from slipway.cli.following import exit_of, follow
from slipway.cli.out import Out
from slipway.cli.start import REQUESTER, announce, begin
from slipway.errors import RefusedError
from slipway.temporal.connect import connect
from slipway.temporal.runs import running_rollouts

Version = Annotated[int | None, Parameter(name="--to", help="The version of the model package. Default: the last good one.")]


async def rollback(
    name: Name,
    /,
    *,
    reason: Reason,
    to: Version = None,
    repository: Repository = "",
    branch: Branch = "main",
    folder: Folder = ".",
    requested_by: Annotated[By, Parameter(name="--requested-by", help=REQUESTER)] = None,
    wait: Annotated[bool, Parameter(negative="")] = False,
    timeout: Length = None,  # noqa: ASYNC109 -- it ends with the last status, not with an error
    as_json: AsJson = False,
) -> int:
    """Start the way back to a model that was approved before. It is decided on like a promotion, by the same approvers.

    Args:
        name: The application or endpoint.
        reason: Why.
        to: The version.
        repository: Where the application is.
        branch: Where the application is.
        folder: Where the application is.
        requested_by: Who asks.
        wait: Follow it to its end; the exit code says how it ended.
        timeout: With --wait: how long to follow at most, as 30s, 10m, 72h or 2d. Default: as long as it takes.
        as_json: One object a line: what was started, then with --wait each change.
    """
    out, client = Out(as_json=as_json), await connect()
    app, endpoint = await find_app(client, name, repository, branch, folder, "rollback")
    going_back = checked(Rollback, "rollback", reason=reason, version=to, endpoint=endpoint)
    request = checked(PromotionRequest, "rollback", app=app, image="", requested_by=person(requested_by), rollback=going_back)
    await refuse_beside_rollout(client, request)
    begun = await begin(client, request, os.environ.get("SLIPWAY_TASK_QUEUE", TASK_QUEUE), again=True)
    code = await announce(client, begun, out)
    if begun.is_over or not wait:
        return code
    return exit_of(await follow(client, begun.request.promotion_id, out, timeout))


async def refuse_beside_rollout(client: Client, request: PromotionRequest) -> None:
    """Refuse where a promotion of the application is at its rollout: its own way back is an abort.

    Raises:
        RefusedError: One is.
    """
    async for found in client.list_workflows(running_rollouts(request.slug), limit=1):
        raise RefusedError(
            f"starting a rollback of {request.slug}",
            f"{found.id} is at its rollout",
            f"`slipway abort {found.id}` takes its model back; or wait for its end (slipway watch {found.id})",
        )
