"""Which branches a worker watches by itself."""

from __future__ import annotations

import asyncio
import contextlib
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError

from slipway.errors import TransientError
from slipway.policy.model import WorkerPolicy, policy_of_branches
from slipway.worker import watches
from slipway.worker.watches import branches_of, keep_watching
from tests.support.waiting import answered


def test_given_a_policy_then_each_branch_of_a_repository_that_it_names_is_watched_and_of_others_none() -> None:
    policy = policy_of_branches(["git@example.com:acme/apps.git@main", "https://example.com/acme/other@prod", "file:///below/*"])
    assert [(each.repository, each.branch) for each in branches_of(policy)] == [
        ("git@example.com:acme/apps.git", "main"),
        ("https://example.com/acme/other", "prod"),
    ]


def test_given_two_spellings_of_a_repository_then_they_are_one_watch() -> None:
    one, other = branches_of(policy_of_branches(["git@example.com:acme/apps.git", "ssh://git@EXAMPLE.com/acme/apps"]))
    assert one.watch_id == other.watch_id
    assert one.watch_id.startswith("watch-apps-main-")


async def test_given_a_policy_that_cannot_be_read_at_first_when_it_can_then_its_branches_are_watched(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watches, "AGAIN", 0.01)
    policy = policy_of_branches([f"https://example.com/acme/{uuid4()}@main"])
    answers = iter([TransientError("reading the policy", "the file is not there"), policy])

    async def policies() -> WorkerPolicy:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    [branch] = branches_of(policy)
    handle = client.get_workflow_handle(branch.watch_id)

    async def is_running() -> bool:
        with contextlib.suppress(RPCError):
            return (await handle.describe()).status is WorkflowExecutionStatus.RUNNING
        return False

    keeping = asyncio.create_task(keep_watching(client, policies, "nobody-polls"))
    try:
        await answered(is_running, bool, "the watch")
    finally:
        keeping.cancel()
        await handle.terminate()
