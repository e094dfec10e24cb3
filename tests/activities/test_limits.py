"""How many activities an application may have in flight on one worker."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from activities.limits import WITHOUT_TURN, Turns
from slipway.api import AppRef
from slipway.errors import TransientError
from slipway.policy.model import Limits, WorkerPolicy, policy_of_branches
from slipway.policy.source import fixed
from tests.activities.test_registered import names_of, registered

REPOSITORY = "https://github.com/acme/deploy.git"
APP = AppRef(repository=REPOSITORY, folder="apps/screening")


def turns(repository: str = REPOSITORY) -> Turns:
    """An application may have two activities and three waits in flight."""
    policy = policy_of_branches([repository])
    entries = [entry.model_copy(update={"limits": Limits(activities=2, waits=3)}) for entry in policy.apps]
    return Turns(fixed(WorkerPolicy(api_version=policy.api_version, kind=policy.kind, apps=tuple(entries))))


async def fill(stack: AsyncExitStack, held: Turns) -> None:
    for _ in range(2):
        await stack.enter_async_context(held.turn(APP, "read_app", waits=False))


async def test_given_as_many_activities_as_are_allowed_when_one_more_begins_then_it_is_tried_again_and_says_why() -> None:
    held = turns()
    async with AsyncExitStack() as stack:
        await fill(stack, held)
        with pytest.raises(TransientError, match=r"2 activities of this app are in flight .* limits\.activities allows"):
            await stack.enter_async_context(held.turn(APP, "read_app", waits=False))


async def test_given_an_app_at_its_limit_when_another_spelling_of_it_begins_then_it_counts_as_the_same() -> None:
    held = turns()
    async with AsyncExitStack() as stack:
        await fill(stack, held)
        spelled = AppRef(repository="https://GitHub.com/acme/deploy", folder="apps/screening/")
        with pytest.raises(TransientError):
            await stack.enter_async_context(held.turn(spelled, "read_app", waits=False))


async def test_given_an_app_at_its_limit_when_one_of_its_activities_ends_then_the_next_may_begin() -> None:
    held = turns()
    async with AsyncExitStack() as stack:
        await fill(stack, held)
    async with held.turn(APP, "read_app", waits=False):
        pass


@pytest.mark.parametrize(
    ("app", "name", "waits"),
    [
        (APP.model_copy(update={"folder": "apps/spam"}), "read_app", False),
        (APP, "follow_task", True),
        *((APP, name, False) for name in sorted(WITHOUT_TURN)),
    ],
)
async def test_given_an_app_at_its_limit_when_a_neighbour_a_wait_or_an_undo_begins_then_it_may(
    app: AppRef, name: str, waits: bool
) -> None:
    held = turns()
    async with AsyncExitStack() as stack:
        await fill(stack, held)
        await stack.enter_async_context(held.turn(app, name, waits=waits))


async def test_given_an_app_that_the_policy_does_not_name_then_its_own_checks_say_so_and_not_the_limits() -> None:
    held = turns("https://github.com/acme/other.git")
    async with AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(held.turn(APP, "read_app", waits=False))


def test_given_the_activities_that_undo_then_each_is_one_that_the_worker_registers() -> None:
    assert set(names_of(registered())) >= WITHOUT_TURN
