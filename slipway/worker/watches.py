"""The branches that a worker's policy names are watched, without anybody's doing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import structlog
from temporalio.client import Client
from temporalio.service import RPCError

from slipway.errors import SlipwayError
from slipway.git.rules import url_for_git
from slipway.policy.model import WorkerPolicy
from slipway.policy.source import Policies
from slipway.temporal.watches import start_watch
from slipway.watch import WatchedBranch

EVERY = 60.0
"""Seconds between two looks at the policy, for branches that were added."""
AGAIN = 5.0
"""Seconds until the next look, where the policy could not be read or Temporal did not take a watch."""
log = structlog.stdlib.get_logger("slipway.watches")


async def keep_watching(client: Client, policies: Policies, task_queue: str) -> None:
    """Start the watch of each branch that the policy names, and of those that are added. Does not end."""
    started: set[str] = set()
    while True:
        complete = await _start_missing(client, policies, task_queue, started)
        await asyncio.sleep(EVERY if complete else AGAIN)


async def _start_missing(client: Client, policies: Policies, task_queue: str, started: set[str]) -> bool:
    """Start the watches that are not in `started`, and add them there; returns whether none is missing now."""
    try:
        for branch in branches_of(await policies()):
            if branch.watch_id not in started:
                await start_watch(client, branch, task_queue)
                started.add(branch.watch_id)
    except SlipwayError as error:
        report = error.report
        log.warning("branches are not watched", tried=report.tried, answered=report.answered, remedy=report.remedy)
        return False
    except RPCError as error:
        remedy = "let the worker's token start WatchWorkflow; images that piped writes are not promoted by themselves meanwhile"
        log.warning("branches are not watched", answered=f"{error.status.name}: {error.message}", remedy=remedy)
        return False
    return True


def branches_of(policy: WorkerPolicy) -> Iterator[WatchedBranch]:
    """The branches of a policy. Which repositories an entry with `/*` stands for is not known."""
    for entry in policy.apps:
        if not entry.repository.endswith("/*"):
            yield WatchedBranch(repository=url_for_git(entry.repository), branch=entry.branch)
