"""Given/When/Then over the whole system: real git, the real Temporal server, the local AWS, a worker in its own process."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from slipway_sandbox.testing import fresh_account
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from demo.oci_layout import BuiltImage
from demo.remote import BRANCH
from demo.stack import Stack
from demo.team import FOLDER, Team
from slipway.api import Decision, OperatorCommand, Outcome, PromotionStatus, StageName, StageState
from slipway.plan import PromotionPlan
from slipway.temporal.queries import AskAgain
from slipway.temporal.start import Handle, promotion, send_update
from tests.support.forked import ForkingCrew
from tests.support.waiting import answered, pause, state_of, summary_of, until

PATIENCE = 90.0
"""Seconds: a promotion takes about ten; a worker that was killed is noticed after ten more."""
COMMIT = "1" * 40
EFFECTS = (
    "registry.PutManifest",
    "ecs.RegisterTaskDefinition",
    "ecs.RunTask",
    "sagemaker.UpdateModelPackage",
    "sagemaker.CreateModel",
    "sagemaker.CreateEndpointConfig",
    "sagemaker.CreateEndpoint",
    "sagemaker.UpdateEndpoint",
)


class Scenario:
    """One team in accounts of its own, with its own worker and Temporal namespace.

    Args:
        stack: The servers, shared with other scenarios.
        model_image: The model image that the team has in its registry.
    """

    def __init__(self, stack: Stack, model_image: BuiltImage) -> None:
        self.stack = stack
        self.team = Team(stack, ci_account=fresh_account(), ml_account=fresh_account())
        self.crew = ForkingCrew(stack, self.team.ml_account, namespace=f"team-{self.team.ml_account}")
        self._model_image = model_image
        self._client: Client | None = None
        self._handle: Handle | None = None

    def __enter__(self) -> Self:
        """Its worker polls."""
        self.crew.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Its worker ends, and all that runs in its accounts."""
        self.crew.__exit__(kind, error, trace)
        for account in (self.team.ci_account, self.team.ml_account):
            self.stack.sandbox.leave(account)

    @property
    def handle(self) -> Handle:
        """The promotion that was started last."""
        assert self._handle, "no promotion was started"
        return self._handle

    @property
    def app(self) -> str:
        """The application's short name."""
        return self.handle.id.rpartition("-")[0]

    async def connect(self) -> Client:
        """A client of the team's namespace."""
        return await Client.connect(
            self.stack.temporal.address,
            namespace=self.crew.namespace,
            data_converter=pydantic_data_converter,
            interceptors=[AskAgain()],
        )

    # --- Given -------------------------------------------------------------------------------------------

    def given_a_team(self) -> Self:
        """Its accounts, repositories, data and alarms are there."""
        self.team.prepare(self._model_image)
        return self

    def given_its_file(self, name: str, old: str, new: str) -> Self:
        """Its deployment branch has a file in which `old` is replaced by `new`."""
        path = f"{FOLDER}/{name}"
        text = self.team.remote.read(path)
        assert old in text, f"{path} has no {old!r}"
        self.team.remote.commit_files({path: text.replace(old, new)}, f"Change {name}")
        return self

    def given_that_piped_runs_the_task(self, timeout: str = "30m") -> Self:
        """Its spec leaves the task to piped, which may take so long."""
        self.team.leave_task_to_piped(timeout)
        return self

    def given_lenient_gates(self) -> Self:
        """Its gates let a weak model pass."""
        self.given_its_file("promotion.yaml", "min: 0.9}", "min: 0.5}")
        return self.given_its_file("promotion.yaml", "maxRegression: 0.01}", "maxRegression: 0.9}")

    async def given_a_champion(self, image: str) -> PromotionStatus:
        """A model serves already: this image's."""
        await self.when_ci_starts(image)
        await self.when_ana_approves()
        return await self.then_it_ends(Outcome.promoted)

    # --- When --------------------------------------------------------------------------------------------

    async def when_ci_starts(self, image: str, repository: str | None = None, branch: str = BRANCH, folder: str = FOLDER) -> Self:
        """CI starts the promotion of an image, by the command that the workflow file has."""
        done = await asyncio.to_thread(
            self.crew.slipway,
            *("start", "--repository", repository or self.team.remote.url, "--branch", branch, "--folder", folder),
            *("--image", image, "--commit", COMMIT, "--requested-by", "ci", "--json"),
        )
        assert done.returncode == 0, done.stderr
        self._handle = promotion(await self.connect(), json.loads(done.stdout.splitlines()[-1])["id"])
        return self

    async def planned(self, image: str, code: int = 0) -> PromotionPlan:
        """CI asks what a promotion of an image would do; the command exits with this code."""
        where = ("--repository", self.team.remote.url, "--branch", BRANCH, "--folder", FOLDER)
        done = await asyncio.to_thread(
            self.crew.slipway, "plan", *where, "--image", image, "--commit", COMMIT, "--requested-by", "ci", "--json"
        )
        assert done.returncode == code, done.stderr or done.stdout
        return PromotionPlan.model_validate_json(done.stdout)

    async def when_it_is_taken_back(self, reason: str) -> Self:
        """Somebody starts a rollback of the app, by the command."""
        options = ("--reason", reason, "--requested-by", "cy", "--json")
        done = await asyncio.to_thread(self.crew.slipway, "rollback", self.app, *options)
        assert done.returncode == 0, done.stderr
        self._handle = promotion(await self.connect(), json.loads(done.stdout.splitlines()[-1])["id"])
        return self

    async def when_ana_approves(self) -> Self:
        """The sample's approver has looked at the evidence, and says yes."""
        status = await self.until_stage(StageName.approval, StageState.waiting)
        await send_update(self.handle, "approve", Decision(by="ana", evidence=status.evidence or ""))
        return self

    async def when_an_operator_says(self, command: str) -> Self:
        """`retry` or `abort`."""
        await send_update(self.handle, command, OperatorCommand(by="ana", reason="as the scenario has it"))
        return self

    async def when_the_worker_is(self, program: Path) -> Self:
        """The worker that runs is stopped as an upgrade does it, and another program takes its place."""
        await asyncio.to_thread(self.crew.replace_worker, program)
        return self

    async def when_the_worker_is_killed_after_each(self, effects: Sequence[tuple[str, str]], begin: Callable[[], Any]) -> Self:
        """SIGKILL, right after the effect of each call: its answer is held back until the worker is dead. Another one takes over.

        Args:
            effects: Services and their calls, in the order in which a promotion makes them.
            begin: Starts what leads to the first call; awaited.
        """
        sandbox, account = self.stack.sandbox, self.team.ml_account
        held = [(name, sandbox.plant_fault(*name, "hold-answer", account=account)) for name in effects]
        try:
            await begin()
            while held:
                (service, operation), fault = held[0]
                await self.until(lambda fault=fault: sandbox.struck(fault) > 0, f"{service}.{operation}")
                self.crew.worker.kill()
                sandbox.remove_fault(fault)
                del held[0]
                await asyncio.to_thread(self.crew.start_worker)
        finally:
            for _, fault in held:
                sandbox.remove_fault(fault)
        return self

    # --- Then --------------------------------------------------------------------------------------------

    async def then_it_ends(self, outcome: Outcome) -> PromotionStatus:
        """It ends with this outcome."""
        try:
            status = await asyncio.wait_for(self.handle.result(), PATIENCE)
        except TimeoutError:
            status = await self.handle.query("status", result_type=PromotionStatus)
            raise AssertionError(f"timeout after {PATIENCE:.0f} s waiting for it to end as {outcome}: {status}") from None
        assert status.outcome == outcome, status
        return status

    async def until_stage(self, stage: StageName, state: StageState) -> PromotionStatus:
        """The status as soon as a stage is in that state."""
        begun = time.monotonic()
        while True:
            status = await self.handle.query("status", result_type=PromotionStatus)
            if state_of(status, stage) is state:
                return status
            failure = status.waiting_for.failure if status.waiting_for else None
            assert status.outcome is None, f"it ended while {stage} was to be {state}: {status.reason}"
            assert failure is None, f"it parked while {stage} was to be {state}: {failure}"
            late = f"timeout after {PATIENCE:.0f} s waiting for {stage} to be {state}: {status}"
            assert time.monotonic() < begun + PATIENCE, late
            await pause(begun)

    async def until_summary(self, stage: StageName, text: str) -> PromotionStatus:
        """The status as soon as a stage's summary has a text in it."""
        return await until(self.handle, lambda status: text in summary_of(status, stage), f"{text!r} in {stage}")

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until the condition holds."""
        await answered(lambda: asyncio.to_thread(condition), bool, what, PATIENCE)

    def done(self, operation: str) -> list[dict[str, Any]]:
        """The calls of one operation that succeeded in the team's account, as `ecs.RunTask`, by the sandbox's own log."""
        service, _, name = operation.partition(".")
        calls = self.stack.sandbox.calls(service, name, self.team.ml_account)
        return [call for call in calls if call["error"] is None]

    def commits(self) -> list[str]:
        """The messages of the commits that promotions made on the deployment branch."""
        return [message for message in self.team.remote.log() if "Slipway-Promotion:" in message]

    def tasks(self) -> list[str]:
        """Every ECS task of the team, whatever its state."""
        found: list[str] = []
        for status in ("RUNNING", "STOPPED"):
            found += self.team.client("ecs").list_tasks(cluster="ml", desiredStatus=status)["taskArns"]
        return found

    def executions(self) -> list[dict[str, Any]]:
        """Every execution of the team's pipeline."""
        name = self.team.spec.spec.pipeline.name
        return self.team.client("sagemaker").list_pipeline_executions(PipelineName=name)["PipelineExecutionSummaries"]

    def packages(self) -> list[dict[str, Any]]:
        """Every package of the team's group."""
        group = self.team.spec.spec.model.package_group
        return self.team.client("sagemaker").list_model_packages(ModelPackageGroupName=group)["ModelPackageSummaryList"]


def effects(scenario: Scenario) -> dict[str, int]:
    """How many effects there are on AWS, and commits on the deployment branch."""
    return {name: len(scenario.done(name)) for name in EFFECTS} | {"commits": len(scenario.team.remote.log())}


def hold_pushes(repository: Path) -> Path:
    """Make git keep the answer to a push back, after the branch has moved, while the file that is returned is there."""
    gate = repository / "hold-pushes"
    gate.touch()
    hook = repository / "hooks" / "post-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f'#!/bin/sh\ntouch "{repository}/pushed"\nwhile [ -e "{gate}" ]; do sleep 0.05; done\n')
    hook.chmod(0o755)
    return gate
