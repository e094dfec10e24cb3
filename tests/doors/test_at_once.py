"""Several people at one moment: their commands are looked at while others come, and none is lost or counted twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner

from slipway.api import IdentityLevel, OperatorCommand, Outcome, PromotionStatus, Receipt, SignedCommand, StageName, StageState
from slipway.temporal.start import Handle, send_update, start_promotion
from tests.support.keys import Keyring, document, subject_of
from tests.support.waiting import state_of, until, until_asked
from tests.support.world import World, approval, request, working
from workflows import new_run
from workflows.handlers import AT_ONCE

SEND_AGAIN = "others are being looked at now: send it again in a moment"
ABORT = OperatorCommand(by="bo", reason="enough")
FEW = 90
"""Events that a run takes in the tests of a new one; a promotion has fewer when it waits for approval."""


class Ballot:
    """A promotion that asks for signed approvals, and whose lookups of people are held until they are let go."""

    def __init__(self, client: Client, world: World, keys: Keyring) -> None:
        self.world = world
        self._client = client
        self._keys = keys
        self.handle: Handle

    async def begin(self, quorum: int = 1) -> None:
        self.world.set_approval(approval(quorum=quorum, approvers=["ana", "bo", "cy"]))
        self.world.identity, self.world.evidence = IdentityLevel.signed, ""
        self.handle, _ = await start_promotion(self._client, request(), self.world.task_queue)
        await until_asked(self.handle)
        self.world.hold("identify_person")

    async def signed(self, by: str = "ana", kind: str = "approve") -> SignedCommand:
        return self._keys.sign(document(await subject_of(self.handle), kind, by), by)

    async def send(self, command: SignedCommand, kind: str = "approve") -> asyncio.Task[Receipt]:
        """An update that is being looked at."""
        before = len(self.looked_at)
        sent = asyncio.create_task(send_update(self.handle, kind, command))
        await self.until_looked_at(before + 1)
        return sent

    async def signal(self, command: SignedCommand) -> None:
        await self.handle.signal("approve", command.model_dump())

    @property
    def looked_at(self) -> list[Any]:
        return self.world.asked("identify_person")

    async def until_looked_at(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.looked_at) < count:  # noqa: ASYNC110 -- Temporal decides
                await asyncio.sleep(0.01)

    def let_go(self) -> None:
        self.world.held["identify_person"].set()

    async def status(self) -> PromotionStatus:
        return await self.handle.query("status", result_type=PromotionStatus)

    async def result(self) -> PromotionStatus:
        return await asyncio.wait_for(self.handle.result(), 30)


@pytest.fixture
def keys(tmp_path: Path) -> Keyring:
    return Keyring(tmp_path / "keys")


@pytest.fixture
def ballot(client: Client, world: World, keys: Keyring) -> Ballot:
    return Ballot(client, world, keys)


async def refusal(sent: Awaitable[Receipt]) -> str:
    with pytest.raises(WorkflowUpdateFailedError) as caught:
        await sent
    assert isinstance(caught.value.cause, ApplicationError)
    return caught.value.cause.message


# --- Two at once ---


async def test_given_a_quorum_of_two_when_two_approve_at_once_then_both_count(ballot: Ballot) -> None:
    await ballot.begin(quorum=2)
    ana, bo = await ballot.send(await ballot.signed("ana")), await ballot.send(await ballot.signed("bo"))
    ballot.let_go()
    receipts = sorted([(await ana).text, (await bo).text], key=lambda text: text[-6:])
    assert [text[-6:] for text in receipts] == ["1 of 2", "2 of 2"]
    status = await ballot.result()
    assert status.outcome is Outcome.promoted
    assert sorted(record.by for record in status.decisions) == ["ana", "bo"]


async def test_given_a_quorum_of_one_when_two_approve_at_once_then_one_counts_and_the_other_is_told(ballot: Ballot) -> None:
    await ballot.begin()
    sent = [await ballot.send(await ballot.signed("ana")), await ballot.send(await ballot.signed("bo"))]
    ballot.let_go()
    answers = await asyncio.gather(*sent, return_exceptions=True)
    assert [type(answer) for answer in answers].count(WorkflowUpdateFailedError) == 1
    status = await ballot.result()
    assert (status.outcome, len(status.decisions)) == (Outcome.promoted, 1)


async def test_given_an_approval_that_is_looked_at_when_another_rejects_then_the_first_answer_decides(ballot: Ballot) -> None:
    await ballot.begin()
    approved, rejected = (
        await ballot.send(await ballot.signed("ana")),
        await ballot.send(await ballot.signed("bo", "reject"), "reject"),
    )
    ballot.let_go()
    answers = await asyncio.gather(approved, rejected, return_exceptions=True)
    [counted] = [answer for answer in answers if isinstance(answer, Receipt)]
    status = await ballot.result()
    assert status.outcome is (Outcome.promoted if counted.text.startswith("approved") else Outcome.rejected)
    assert len(status.decisions) == 1


async def test_given_a_document_that_is_looked_at_when_it_is_sent_again_then_it_counts_once(ballot: Ballot) -> None:
    await ballot.begin(quorum=2)
    command = await ballot.signed("ana")
    first, again = await ballot.send(command), await ballot.send(command)
    ballot.let_go()
    answers = await asyncio.gather(first, again, return_exceptions=True)
    assert [type(answer) for answer in answers].count(WorkflowUpdateFailedError) == 1
    status = await ballot.status()
    assert [record.by for record in status.decisions] == ["ana"]
    assert status.waiting_for
    assert status.waiting_for.what == "approval (1 of 2)"
    await ballot.handle.terminate()


# --- An abort meanwhile ---


async def test_given_an_approval_that_is_looked_at_when_an_abort_comes_then_it_is_aborted_and_the_approval_is_refused(
    ballot: Ballot,
) -> None:
    await ballot.begin()
    approved = await ballot.send(await ballot.signed())
    aborted = asyncio.create_task(send_update(ballot.handle, "abort", ABORT))
    await until(ballot.handle, lambda status: status.outcome is Outcome.aborted, "the abort")
    assert "revert_image" in ballot.world.names
    ballot.let_go()
    assert "this promotion has already finished (aborted)" in await refusal(approved)
    assert "aborting" in (await aborted).text
    status = await ballot.result()
    assert (status.outcome, status.reason) == (Outcome.aborted, "aborted by bo (claimed): enough")
    assert [(record.kind, record.by) for record in status.decisions] == [("abort", "bo")]
    assert ballot.world.asked("set_approval") == []


async def test_given_as_many_as_are_looked_at_at_once_when_an_abort_comes_then_it_is_taken_and_recorded(ballot: Ballot) -> None:
    await ballot.begin(quorum=2)
    for _ in range(AT_ONCE):
        await ballot.signal(await ballot.signed())
    await ballot.until_looked_at(AT_ONCE)
    await send_update(ballot.handle, "abort", ABORT)
    ballot.let_go()
    status = await ballot.result()
    assert (status.outcome, status.reason) == (Outcome.aborted, "aborted by bo (claimed): enough")
    assert [(record.kind, record.by, record.level) for record in status.decisions] == [("abort", "bo", IdentityLevel.claimed)]


# --- More than are looked at at once ---


async def test_given_as_many_as_are_looked_at_at_once_when_others_come_then_they_are_told_to_send_it_again(
    ballot: Ballot,
) -> None:
    await ballot.begin(quorum=2)
    for _ in range(3 * AT_ONCE):
        await ballot.signal(await ballot.signed("ana"))
    status = await until(ballot.handle, lambda status: len(status.notices) == 2 * AT_ONCE, "the refusals")
    assert all(f"the signal approve was refused: {SEND_AGAIN}" in notice for notice in status.notices)
    bo = await ballot.signed("bo")
    assert await refusal(send_update(ballot.handle, "approve", bo)) == SEND_AGAIN
    assert len(ballot.looked_at) == AT_ONCE
    ballot.let_go()
    await until(ballot.handle, lambda status: len(status.decisions) == 1, "ana's approval")
    await send_update(ballot.handle, "approve", bo)
    status = await ballot.result()
    assert [record.by for record in status.decisions] == ["ana", "bo"]
    assert status.outcome is Outcome.promoted


# --- A new run meanwhile ---


async def grow(handle: Handle) -> None:
    """Send more refused signals than a run takes, and wait until all are refused."""
    for _ in range(FEW):
        await handle.signal("approve", {"by": "eve"})
    await until(handle, lambda status: len(status.notices) >= 50, "the refusals")


async def test_given_a_history_that_has_grown_when_an_approval_is_looked_at_then_the_new_run_begins_after_it_and_knows_it(
    client: Client, keys: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(new_run, "EVENTS", FEW)
    ballot = Ballot(client, World(task_queue=f"test-{uuid4()}"), keys)
    async with working(client, ballot.world, UnsandboxedWorkflowRunner()):
        await ballot.begin(quorum=2)
        run = (await ballot.handle.describe()).run_id
        approved = await ballot.send(await ballot.signed("ana"))
        await grow(ballot.handle)
        await ballot.signal(await ballot.signed("cy"))
        status = await until(ballot.handle, lambda status: SEND_AGAIN in status.notices[-1], "the refusal")
        assert state_of(status, StageName.approval) is StageState.waiting
        assert ((await ballot.handle.describe()).run_id, len(ballot.looked_at)) == (run, 1)
        ballot.let_go()
        assert (await approved).text == "approved by ana (signed), 1 of 2"
        async with asyncio.timeout(30):
            while (await ballot.handle.describe()).run_id == run:  # noqa: ASYNC110 -- Temporal decides
                await asyncio.sleep(0.05)
        await send_update(ballot.handle, "approve", await ballot.signed("bo"))
        status = await ballot.result()
    assert [record.by for record in status.decisions] == ["ana", "bo"]
    assert status.outcome is Outcome.promoted
