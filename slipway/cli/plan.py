"""`slipway plan`."""

from __future__ import annotations

import asyncio
import os
import posixpath
import sys
import time
from typing import Annotated
from uuid import uuid4

from cyclopts import Parameter
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from slipway.api import TASK_QUEUE, AppRef, PromotionRequest
from slipway.cli.common import AsJson, By, checked, person
from slipway.cli.exits import Exit
from slipway.cli.out import Out
from slipway.cli.reading import QUERY_TIMEOUT, NoWorkerError
from slipway.cli.start import REQUESTER, by_digest, whereabouts
from slipway.errors import Ending, NeedsPersonError, RefusedError
from slipway.git.rules import check_branch, check_ref, normalise_url
from slipway.plan import PlanAnswer, PlanRequest, PromotionPlan
from slipway.plan_view import as_markdown, as_text
from slipway.temporal.connect import PLAN, PLAN_QUERY, connect
from slipway.temporal.start import find_latest, has_worker

WITHIN = 900.0
"""Seconds that a worker has. It may have to clone the repository first."""
PAUSE = 0.2
LONGEST_PAUSE = 2.0
NOT_YET = frozenset({RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.FAILED_PRECONDITION, RPCStatusCode.CANCELLED})
"""What Temporal answers to a query where no worker has taken the workflow yet."""


async def plan(
    *,
    repository: str,
    image: str,
    branch: str = "main",
    folder: str = ".",
    ref: str = "",
    commit: str = "",
    commit_author: str = "",
    requested_by: Annotated[By, Parameter(name="--requested-by", help=REQUESTER)] = None,
    markdown: Annotated[bool, Parameter(negative="")] = False,
    as_json: AsJson = False,
) -> int:
    """Show what a promotion of an image would do, stage by stage, and what would stop it. Nothing is started or changed.

    A worker looks, with its own roles: the command needs no AWS credentials. It exits with 0 where the promotion would go on
    until people are asked, and with 2 where it would be refused.

    Args:
        repository: The URL of the deployment repository. The worker must have it on its list (SLIPWAY_REPOSITORIES).
        image: The pipeline image that CI pushed, by digest; by tag, its digest is looked up in ECR with your AWS credentials.
        branch: The deployment branch, for which the promotion would be started.
        folder: The application's folder in the repository, with app.pipecd.yaml and promotion.yaml.
        ref: What the files are read from instead: a branch, or a pull request's reference as refs/pull/12/merge.
        commit: The source commit that the image was built from.
        commit_author: Who wrote that commit.
        requested_by: Who asks.
        markdown: Print Markdown, for a pull request's comment or a job's summary.
        as_json: Print the plan as one JSON object.
    """
    if markdown and as_json:
        raise RefusedError("reading the command line", "--markdown and --json are both given", "give one of them")
    out = Out(as_json=as_json)
    normalise_url(repository)
    check_branch(branch)
    if ref:
        check_ref(ref)
    app = checked(AppRef, "plan", repository=repository, branch=branch, folder=posixpath.normpath(folder))
    request = checked(
        PromotionRequest,
        "plan",
        app=app,
        image=await asyncio.to_thread(by_digest, image),
        commit=commit,
        commit_author=commit_author,
        requested_by=person(requested_by),
    )
    client = await connect()
    found = await ask(client, PlanRequest(request=request, ref=ref), os.environ.get("SLIPWAY_TASK_QUEUE", TASK_QUEUE))
    if markdown:
        sys.stdout.write(as_markdown(found))
    else:
        out.data(found)
        out.say(as_text(found))
    if latest := await find_latest(client, request):
        out.warn(f"the promotion {latest[1].id} exists already: {whereabouts(latest[1])}; start follows it, or needs --again")
    return Exit.ok if found.would_go else Exit.usage


async def ask(client: Client, request: PlanRequest, task_queue: str) -> PromotionPlan:
    """The plan, which a worker makes.

    Raises:
        NoWorkerError: No worker answered in time.
        RefusedError: The worker does not plan for this application.
        NeedsPersonError: It could not be made.
    """
    tried = f"asking a worker of the task queue {task_queue} for the plan"
    remedy = "start `slipway-worker` for its task queue, or check TEMPORAL_NAMESPACE and SLIPWAY_TASK_QUEUE"
    if not await has_worker(client, task_queue):
        raise NoWorkerError(tried, "none polls it", remedy)
    asked = request.request
    workflow_id = f"plan-{asked.slug}-{asked.digest.partition(':')[2][:12]}-{uuid4().hex[:8]}"
    await client.start_workflow(PLAN, request, id=workflow_id, task_queue=task_queue)
    answer = await _answer(client, workflow_id)
    if answer is None:
        raise NoWorkerError(tried, f"none answered within {WITHIN:.0f} s", remedy)
    if failure := answer.failure:
        error = RefusedError if failure.ending is Ending.refused else NeedsPersonError
        raise error(failure.tried, failure.answered, failure.remedy)
    if answer.plan is None:
        raise NeedsPersonError(tried, "the answer has none", "use a command and a worker of the same release")
    return answer.plan


async def _answer(client: Client, workflow_id: str) -> PlanAnswer | None:
    """The answer, by a query: whoever may start promotions in CI may not read results, which are in histories."""
    handle, deadline, pause = client.get_workflow_handle(workflow_id), time.monotonic() + WITHIN, PAUSE
    while time.monotonic() < deadline:
        try:
            answer = await handle.query(PLAN_QUERY, result_type=PlanAnswer | None, rpc_timeout=QUERY_TIMEOUT)  # pyright: ignore[reportArgumentType] -- any type that pydantic knows is right
        except RPCError as error:
            if error.status not in NOT_YET:
                raise
            answer = None
        if answer is not None:
            return answer
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)
    return None
