"""`slipway look`."""

from __future__ import annotations

from uuid import uuid4

from temporalio.client import Client

from slipway.watch import WatchedBranch
from tests.support.shell import Shell


async def test_given_a_branch_that_nobody_watches_when_a_look_is_asked_for_then_it_is_watched_from_now_on(
    shell: Shell, client: Client
) -> None:
    repository = f"file:///repositories/{uuid4()}.git"
    first = await shell.slipway("look", "--repository", repository, "--json")
    again = await shell.slipway("look", "--repository", repository)
    assert (first.code, again.code) == (0, 0), first.err + again.err
    [told] = first.lines
    assert told["started"] is True
    assert told["id"] == WatchedBranch(repository=repository).watch_id
    assert f"{told['id']} looks now" in again.out
    await client.get_workflow_handle(told["id"]).terminate()


async def test_given_no_repository_when_a_look_is_asked_for_then_nothing_is_started(shell: Shell) -> None:
    done = await shell.slipway("look", "--repository", "no url", "--json")
    assert done.code == 2
    assert "is not a repository URL" in done.error["answered"]
