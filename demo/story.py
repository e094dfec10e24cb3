"""The story of one promotion: CI starts it, people look at it, and it ends as it should."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from rich.markup import escape
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from demo.asking import LOOK_EVERY, ask
from demo.remote import BRANCH
from demo.screen import Screen, seconds_of
from demo.signing import Signer
from demo.stack import Crew, Stack
from demo.team import FOLDER, Team
from slipway.api import Evidence, Outcome, PromotionStatus, StageReport, StageState
from slipway.temporal.queries import AskAgain
from slipway.temporal.start import Handle
from slipway.view import decision_line

OPERATOR = "ana"
AUTHOR = "ci"


class StoryError(Exception):
    """The story did not go as it should; the message says where."""


class Story:
    """Runs promotions of the team's application and shows them.

    Args:
        stack: Where they run.
        crew: Who runs them.
        team: Whose application it is.
        screen: Where the story is told.
        signer: The operator with her key; none where decisions are claimed.
        asks: Whether the person at the terminal decides on approvals. Otherwise the sample's operator does.
    """

    def __init__(self, stack: Stack, crew: Crew, team: Team, screen: Screen, signer: Signer | None = None, *, asks: bool) -> None:
        self._stack = stack
        self._crew = crew
        self._team = team
        self._screen = screen
        self._signer = signer
        self._asks = asks
        self.said_no = False
        """Whether the person at the terminal rejected a model."""
        self.decided_elsewhere = False
        """Whether somebody decided in another terminal or in Temporal's UI."""

    async def promote(self, image: str, commit: str, fix: Callable[[], None] | None = None) -> PromotionStatus:
        """Start a promotion as CI does, and see it through.

        Args:
            image: The pipeline image, by digest.
            commit: The source commit that it was built from.
            fix: What the operator does about a stage that parks, before it is retried.

        Raises:
            StoryError: It parked and nobody knows what to do, or a command failed.
        """
        handle = await self._start(image, commit)
        seen: dict[str, StageReport] = {}
        while True:
            status = await handle.query("status", result_type=PromotionStatus)
            self._show_changes(seen, status)
            if status.outcome:
                return await handle.result()
            if status.waiting_for and status.waiting_for.failure:
                await self._retry(status, fix)
                fix = None
            elif status.waiting_for and status.evidence:
                await self._decide(handle, status)
            await asyncio.sleep(LOOK_EVERY)

    async def _start(self, image: str, commit: str) -> Handle:
        arguments = ["start", "--repository", self._team.remote.url, "--branch", BRANCH, "--folder", FOLDER]
        arguments += ["--image", image, "--commit", commit, "--requested-by", AUTHOR]
        self._screen.command("slipway", *arguments)
        started = json.loads(await self._slipway(*arguments, "--json"))
        client = await Client.connect(
            self._stack.temporal.address,
            namespace=self._crew.namespace,
            data_converter=pydantic_data_converter,
            interceptors=[AskAgain()],
        )
        handle = client.get_workflow_handle(started["id"], result_type=PromotionStatus)
        run = (await handle.describe()).run_id
        # The page that shows the current details; the one without `/user-metadata` shows the timeline.
        self._screen.say(
            f"[dim]{self._stack.temporal.ui}/namespaces/{self._crew.namespace}/workflows/{handle.id}/{run}/user-metadata[/]"
        )
        return handle

    def _show_changes(self, seen: dict[str, StageReport], status: PromotionStatus) -> None:
        for report in status.stages:
            known = seen.get(report.name)
            if report.state is StageState.pending or (known and (known.state, known.attempts) == (report.state, report.attempts)):
                continue
            seen[report.name] = report
            if report.state is not StageState.running or self._screen.animated:
                self._screen.stage(report)

    async def _retry(self, status: PromotionStatus, fix: Callable[[], None] | None) -> None:
        waiting = status.waiting_for
        if waiting is None or waiting.failure is None or fix is None:
            raise StoryError(f"promotion {status.id} parked: {waiting.failure if waiting else 'no reason given'}")
        self._screen.title("It parks until an operator has fixed the cause")
        self._screen.say(f"tried     {waiting.failure.tried}")
        self._screen.say(f"answered  {indented(waiting.failure.answered)}")
        self._screen.say(f"to do     {waiting.failure.remedy}")
        fix()
        arguments = ["retry", status.id, "--by", OPERATOR, "--reason", "the cause is fixed", *self._signing]
        self._screen.command("slipway", *arguments)
        await self._slipway(*arguments)

    async def _decide(self, handle: Handle, status: PromotionStatus) -> None:
        evidence = await handle.query("evidence", result_type=Evidence)
        self._screen.evidence(evidence)
        answer = await ask("Approve this model?", lambda: self._waits_for_decision(handle, evidence)) if self._asks else True
        if answer is None:
            self._go_on()
            return
        self.said_no = not answer
        if not self._asks:
            self._screen.say(f"[dim]no question here: {OPERATOR}, the sample's operator, approves[/]")
        command = "approve" if answer else "reject"
        arguments = [command, status.id, "--by", OPERATOR, "--evidence", evidence.hash, *self._signing]
        self._screen.command("slipway", *arguments)
        try:
            await self._slipway(*arguments)
        except StoryError:
            if await self._waits_for_decision(handle, evidence):
                raise
            self._go_on()
            return
        decided = await self._until_decided(handle)
        self._screen.say(f"decision    {escape(decision_line(decided.decisions[-1]))}")

    async def verify(self, status: PromotionStatus) -> None:
        """Check the signatures of its decisions, as anybody can who has the record and the file of allowed signers.

        Raises:
            StoryError: One of them is not good.
        """
        if not status.decisions:
            return
        self._screen.title("Who decided, and how that is known")
        for decision in status.decisions:
            self._screen.say(escape(decision_line(decision)))
        if self._signer is None:
            self._screen.say("[yellow]the names are claimed: there is no signature to verify[/]")
            return
        arguments = ["verify", status.id, "--allowed-signers", str(self._signer.allowed_signers)]
        self._screen.command("slipway", *arguments)
        self._screen.say(indented(escape((await self._slipway(*arguments)).strip()), "  "))

    @property
    def _signing(self) -> tuple[str, ...]:
        return self._signer.options if self._signer else ()

    def _go_on(self) -> None:
        self.decided_elsewhere = True
        self._screen.say("decided elsewhere")

    async def _waits_for_decision(self, handle: Handle, evidence: Evidence) -> bool:
        status = await handle.query("status", result_type=PromotionStatus)
        return bool(status.waiting_for) and status.evidence == evidence.hash

    async def _until_decided(self, handle: Handle) -> PromotionStatus:
        deadline = time.monotonic() + 30
        while (status := await handle.query("status", result_type=PromotionStatus)).waiting_for:
            if time.monotonic() > deadline:
                raise StoryError("timeout after 30 s waiting for the promotion to act on the decision")
            await asyncio.sleep(LOOK_EVERY)
        return status

    async def _slipway(self, *arguments: str) -> str:
        done = await asyncio.to_thread(self._crew.slipway, *arguments)
        if done.returncode:
            raise StoryError(f"slipway {arguments[0]} ended with {done.returncode}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout


def indented(text: str, indent: str = " " * 12) -> str:
    """A text of some lines, in line with its first."""
    return text.replace("\n", f"\n{indent}")


async def with_traffic(team: Team, work: Awaitable[PromotionStatus]) -> tuple[PromotionStatus, int, int]:
    """Do the work while the endpoint's clients go on asking; returns how often they were answered, and how often not."""
    answered = failed = 0
    task = asyncio.ensure_future(work)
    while not task.done():
        try:
            await asyncio.to_thread(team.invoke)
            answered += 1
        except Exception:  # noqa: BLE001  (the clients count whatever fails)
            failed += 1
        await asyncio.sleep(LOOK_EVERY / 4)
    return await task, answered, failed


def result_of(status: PromotionStatus, answer: str | None, counts: dict[str, int]) -> dict[str, object]:
    """What `build/demo/result.json` says."""
    endpoint = status.endpoints[-1] if status.endpoints else None
    return {
        "id": status.id,
        "outcome": status.outcome,
        "reason": status.reason,
        "stages": [{"name": report.name, "state": report.state, "seconds": seconds_of(report)} for report in status.stages],
        "endpoint": endpoint.endpoint if endpoint else None,
        "package": endpoint.package if endpoint else None,
        "answer": answer,
        "decisions": [
            decision.model_dump(mode="json", include={"kind", "by", "at", "level", "reason", "fingerprint"})
            for decision in status.decisions
        ],
        "ledger": [entry.model_dump(mode="json") for entry in status.ledger],
        "aws_calls": counts,
        "written_at": datetime.now(UTC).isoformat(),
    }


EXPECTED = {
    "": Outcome.promoted,
    "accuracy": Outcome.refused,
    "task": Outcome.promoted,
    "rollout": Outcome.rolled_back,
}
"""The ending that each kind of demo should have."""
