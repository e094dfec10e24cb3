"""`slipway start`."""

from __future__ import annotations

import asyncio
import os
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from cyclopts import Parameter
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus

from slipway.api import TASK_QUEUE, AppRef, Outcome, PromotionRequest, PromotionStatus
from slipway.cli.common import AsJson, By, Length, checked, person, ui_link
from slipway.cli.exits import Exit
from slipway.cli.following import exit_of, follow
from slipway.cli.out import Out
from slipway.errors import RefusedError
from slipway.git.rules import check_branch, normalise_url
from slipway.oci.reference import ImageReference
from slipway.temporal import search_attributes as attributes
from slipway.temporal.connect import connect
from slipway.temporal.runs import is_running, recorded_state
from slipway.temporal.search_attributes import State
from slipway.temporal.start import attempt_of, find_latest, has_worker, promotion, start_promotion
from slipway.view import format_age, format_moment

REQUESTER = "Who asks. Default: SLIPWAY_USER, or USER. Shown as claimed: nothing proves it."


async def start(
    *,
    repository: str,
    image: str,
    branch: str = "main",
    folder: str = ".",
    commit: str = "",
    commit_author: str = "",
    requested_by: Annotated[By, Parameter(name="--requested-by", help=REQUESTER)] = None,
    again: Annotated[bool, Parameter(negative="")] = False,
    wait: Annotated[bool, Parameter(negative="")] = False,
    timeout: Length = None,  # noqa: ASYNC109 -- it ends with the last status, not with an error
    as_json: AsJson = False,
) -> int:
    """Start the promotion of one image. The same app and digest make one promotion: a CI job that runs twice follows the first.

    Where that promotion is over already, nothing is started: the command says how it ended, and exits with 0 where it was
    promoted, else with 3.

    Args:
        repository: The URL of the deployment repository. The worker must have it on its list (SLIPWAY_REPOSITORIES).
        image: The pipeline image that CI pushed, by digest; by tag, its digest is looked up in ECR with your AWS credentials.
        branch: The deployment branch; what is on it says who may approve.
        folder: The application's folder in the repository, with app.pipecd.yaml and promotion.yaml.
        commit: The source commit that the image was built from.
        commit_author: Who wrote that commit. Like the one who asks, they may not approve, unless the spec allows selfApproval.
        requested_by: Who asks.
        again: Start the next attempt of a promotion that is over. Refused while one runs.
        wait: Follow it to its end; the exit code says how it ended.
        timeout: With --wait: how long to follow at most, as 30s, 10m, 72h or 2d. Default: as long as it takes.
        as_json: One object a line: what was started, then with --wait each change.
    """
    out = Out(as_json=as_json)
    normalise_url(repository)
    check_branch(branch)
    app = checked(AppRef, "start", repository=repository, branch=branch, folder=posixpath.normpath(folder))
    digest = await asyncio.to_thread(by_digest, image)
    request = checked(
        PromotionRequest,
        "start",
        app=app,
        image=digest,
        commit=commit,
        commit_author=commit_author,
        requested_by=person(requested_by),
    )
    client = await connect()
    begun = await begin(client, request, os.environ.get("SLIPWAY_TASK_QUEUE", TASK_QUEUE), again=again)
    code = await announce(client, begun, out)
    if begun.is_over or not wait:
        return code
    return exit_of(await follow(client, begun.request.promotion_id, out, timeout))


@dataclass(frozen=True)
class Begun:
    """The promotion that a start led to."""

    request: PromotionRequest
    task_queue: str
    existing: WorkflowExecutionDescription | None = None
    """What Temporal knows of it; none where it was started just now."""

    @property
    def is_over(self) -> bool:
        return self.existing is not None and not is_running(self.existing)


async def begin(client: Client, request: PromotionRequest, task_queue: str, *, again: bool) -> Begun:
    """Start the promotion, or find the newest attempt at it.

    Raises:
        RefusedError: The next attempt is asked for while one runs.
    """
    attempt, existing = await find_latest(client, request) or (0, None)
    if existing and again and is_running(existing):
        raise RefusedError(
            "starting the next attempt",
            f"the promotion {existing.id} has not finished: {whereabouts(existing)}",
            f"wait for its end (slipway watch {existing.id}), or end it (slipway abort {existing.id})",
        )
    if existing and not again:
        return Begun(attempt_of(request, attempt), task_queue, existing)
    following = attempt_of(request, attempt + 1)
    handle, is_new = await start_promotion(client, following, task_queue)
    return Begun(following, task_queue, None if is_new else await handle.describe())


async def announce(client: Client, begun: Begun, out: Out) -> Exit:
    """Say what was started or found, and what to do next."""
    promotion_id = begun.request.promotion_id
    ended = await promotion(client, promotion_id).result() if is_completed(begun.existing) else None
    warnings = await find_warnings(client, begun)
    link = ui_link(client.namespace, promotion_id)
    out.data(
        {
            "id": promotion_id,
            "started": begun.existing is None,
            "image": begun.request.image,
            "namespace": client.namespace,
            "state": recorded_state(begun.existing) if begun.existing else State.running,
            "outcome": ended.outcome if ended else None,
            "reason": ended.reason if ended else "",
            "closed_at": begun.existing.close_time if begun.existing else None,
            "url": link,
            "warnings": warnings,
        }
    )
    for line in lines_of(begun, ended, link):
        out.say(line)
    for warning in warnings:
        out.warn(warning)
    if not begun.is_over:
        return Exit.ok
    return exit_of(ended) if ended else Exit.not_promoted


def lines_of(begun: Begun, ended: PromotionStatus | None, link: str) -> Iterator[str]:
    """What people are told."""
    promotion_id = begun.request.promotion_id
    if begun.existing is None:
        yield f"promotion {promotion_id} started"
    else:
        yield f"promotion {promotion_id} already exists for this app and digest: {whereabouts(begun.existing)}"
    if ended and ended.reason:
        yield f"  {ended.reason}"
    if link:
        yield f"see it at: {link}"
    if not begun.is_over:
        yield f"follow it with: slipway watch {promotion_id}"
    elif ended and ended.outcome is Outcome.promoted:
        yield "nothing was started; to promote this digest once more, add --again"
    else:
        yield "nothing was started; fix the cause, then start the next attempt with --again"


def whereabouts(existing: WorkflowExecutionDescription) -> str:
    """Where it is and since when it runs, or how and when it ended."""
    now, state = datetime.now(UTC), recorded_state(existing)
    if existing.close_time:
        return f"{state} {format_age(now - existing.close_time)} ago ({format_moment(existing.close_time)})"
    stage = existing.typed_search_attributes.get(attributes.STAGE) or "its start"
    return f"{state} at {stage}, started {format_age(now - existing.start_time)} ago"


def is_completed(existing: WorkflowExecutionDescription | None) -> bool:
    """Whether it has a result: an end from outside leaves none."""
    return existing is not None and existing.status is WorkflowExecutionStatus.COMPLETED


async def find_warnings(client: Client, begun: Begun) -> list[str]:
    """What will keep the promotion from going on."""
    if begun.is_over:
        return []
    task_queue = begun.existing.task_queue if begun.existing else begun.task_queue
    if await has_worker(client, task_queue):
        return []
    place = f"the task queue {task_queue} in the namespace {client.namespace}"
    remedy = "start `slipway-worker`, or check TEMPORAL_NAMESPACE and SLIPWAY_TASK_QUEUE"
    return [f"no worker polls {place}: the promotion waits until one does; {remedy}"]


def by_digest(image: str) -> str:
    """The image by digest, which for a tag is asked of ECR.

    Raises:
        RefusedError: It names no registry, is not there, or its tag cannot be looked up.
        SlipwayError: AWS did not answer.
    """
    try:
        reference = ImageReference.parse(image)
    except ValueError as error:
        raise RefusedError("reading --image", str(error), "give the image by digest, or by tag") from error
    if reference.digest:
        return str(reference.at(reference.digest))
    # Only a tag needs AWS. Its SDK takes long to import, and is an extra of the distribution.
    try:
        from slipway.cli.tags import digest_of  # noqa: PLC0415
    except ModuleNotFoundError as error:
        remedy = "give the image by digest, or install `slipway-promotions[aws]`"
        raise RefusedError(f"looking up the tag of {image} in ECR", f"{error.name} is not installed", remedy) from error
    return str(reference.at(digest_of(reference)))
