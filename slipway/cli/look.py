"""`slipway look`."""

from __future__ import annotations

import os
from collections.abc import Iterator

from slipway.api import TASK_QUEUE
from slipway.cli.common import AsJson, checked
from slipway.cli.exits import Exit
from slipway.cli.out import Out
from slipway.cli.reading import QUERY_TIMEOUT
from slipway.git.rules import check_branch, normalise_url
from slipway.temporal.connect import connect
from slipway.temporal.watches import ask_to_look
from slipway.watch import WatchedBranch, WatchStatus


async def look(*, repository: str, branch: str = "main", as_json: AsJson = False) -> int:
    """Ask the worker to look at a deployment branch now, and show what it has seen there so far.

    By itself it looks every SLIPWAY_WATCH_SECONDS. A branch that nothing watches yet, as one of an entry of the policy that ends
    in `/*`, is watched from now on.

    Args:
        repository: The URL of the deployment repository.
        branch: The deployment branch.
        as_json: One object: the watch's id, whether it is new, and what it has seen.
    """
    out = Out(as_json=as_json)
    normalise_url(repository)
    check_branch(branch)
    watched = checked(WatchedBranch, "look", repository=repository, branch=branch)
    client = await connect()
    handle, is_new = await ask_to_look(client, watched, os.environ.get("SLIPWAY_TASK_QUEUE", TASK_QUEUE))
    status = await handle.query("watch", result_type=WatchStatus, rpc_timeout=QUERY_TIMEOUT)
    out.data({"id": handle.id, "started": is_new, **status.model_dump(mode="json")})
    for line in lines_of(handle.id, status, is_new=is_new):
        out.say(line)
    return Exit.ok


def lines_of(watch_id: str, status: WatchStatus, *, is_new: bool) -> Iterator[str]:
    """What people are told."""
    seen = status.seen
    yield f"{watch_id} {'watches the branch from now on' if is_new else 'looks now'}"
    yield f"seen before: {seen.commit[:12] or 'nothing'}; piped writes the images of: {', '.join(seen.apps) or 'no application'}"
    if status.problem:
        yield f"cannot be looked at: {status.problem}"
    for each in seen.open:
        yield f"{each.folder} waits: {each.why}"
    yield from status.notes
    yield "what it starts is in: slipway list"
